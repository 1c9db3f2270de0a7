"""Characters with adapters of their own in one dialogue: each speaks with its own, and none loads without it."""

import numpy as np
import pytest

from npc_engine.errors import UnknownAdapter
from npc_engine.models.build import build_decoder
from npc_engine.sheets.loader import load_sheets
from tests.models.test_lora import save_adapter
from tests.recital import FIRST_PIECE, INNER, OPENING, write_reciter
from tests.talk import MARA, at_once, mara, say, talking

PIECES = ("Well", " met", " again.")


def skipping(folder, hidden, piece):
    """An adapter that makes the model go on as if it had begun its reply with this piece already."""
    begins, goes_on = np.zeros((1, hidden), np.float32), np.zeros((hidden, 1), np.float32)
    begins[0, OPENING], goes_on[FIRST_PIECE + piece] = 1.0, 100.0
    one = np.eye(1, INNER, dtype=np.float32)
    halves = {
        "gate_proj": (begins, one.T * 10),
        "up_proj": (begins, one.T),
        "down_proj": (one, goes_on),
    }
    tensors = {
        f"base_model.model.model.layers.0.mlp.{module}.lora_{half}.weight": values
        for module, pair in halves.items()
        for half, values in zip("AB", pair, strict=True)
    }
    return save_adapter(folder, tensors, r=1, lora_alpha=1)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model that says "Well met again.", with adapters that leave out the first piece, or the first two."""
    root = tmp_path_factory.mktemp("adapted")
    source = write_reciter(root / "stub.gguf", *PIECES)
    hidden = -(-(FIRST_PIECE + len(PIECES)) // 32) * 32
    adapters = {f"curt{piece}": skipping(root / f"curt{piece}", hidden, piece) for piece in (0, 1)}
    (root / "model").mkdir()
    build_decoder(source, root / "model", precision="fp32", adapters=adapters)
    return root / "model"


def voiced(folder, id_, adapter):
    folder.mkdir()
    named = f"voice:\n  adapter: {adapter}" if adapter else "voice:"
    return mara(folder, ("id: mara", f"id: {id_}"), ("voice:", named))


async def test_each_character_speaks_with_its_own(tmp_path, model, word_encoder):
    sheets = [
        voiced(tmp_path / id_, id_, adapter) for id_, adapter in (("plain", None), ("ada", "curt0"), ("bo", "curt1"))
    ]
    async with talking(*sheets, model=model, encoder=word_encoder) as dialogue:
        talks = [dialogue.open_conversation(sheet.id, player_id="p") for sheet in sheets]
        for _ in range(2):
            heard = await at_once(*(say(talk, "Hello.") for talk in talks))
            assert [each.end.text.casefold() for each in heard] == ["well met again.", "met again.", "again."]
        # Each of them began from its own warm prefix.
        for each in heard:
            assert each.trace["tokens"]["cached"] >= each.trace["prompt"]["stable_tokens"]
        slots = dialogue.character("ada").engine.decoder.kv.slots
        held = {slot.conversation_id: slot.adapter for slot in slots if slot.conversation_id}
        assert held == {talk.id: number for number, talk in enumerate(talks)}


async def test_a_sheet_whose_adapter_the_model_lacks_is_refused_and_says_which_there_are(tmp_path, model, word_encoder):
    with pytest.raises(UnknownAdapter, match=r"ada: voice.adapter: .*'grim'") as caught:
        async with talking(voiced(tmp_path / "ada", "ada", "grim"), model=model, encoder=word_encoder):
            pass
    assert "curt0, curt1" in caught.value.hint


async def test_a_changed_sheet_with_an_unknown_adapter_stays_out_and_the_others_come_in(tmp_path, model, word_encoder):
    def write(id_, adapter, cost="forty"):
        text = MARA.replace("id: mara", f"id: {id_}").replace("voice:", f"voice:\n  adapter: {adapter}")
        (tmp_path / f"{id_}.yaml").write_text(text.replace("forty crowns", f"{cost} crowns"), encoding="utf-8")

    write("ada", "curt0")
    write("bo", "curt1")
    sheets = load_sheets([tmp_path]).values()
    async with talking(*sheets, model=model, encoder=word_encoder, sheets=(tmp_path,)) as dialogue:
        talk = dialogue.open_conversation("ada", player_id="p")
        write("ada", "grim")
        write("bo", "curt0", cost="ninety")
        done = await dialogue.reload()
        assert (done.changed, [error.code for error in done.errors]) == (("bo",), ["NPC162"])
        assert (await say(talk, "Hello.")).end.text.casefold() == "met again."
        assert (
            await say(dialogue.open_conversation("bo", player_id="p"), "Hello.")
        ).end.text.casefold() == "met again."
