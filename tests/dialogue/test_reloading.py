"""Changed sheets in a running dialogue: taken between turns, kept out where they do not load."""

import asyncio

import pytest

from npc_engine.dialogue.events import Token
from npc_engine.errors import SheetInvalid
from tests.talk import MARA, say, talking


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sheets").mkdir()
    return tmp_path / "sheets"


@pytest.fixture
def write(folder):
    def write(*changes, name="mara.yaml"):
        text = MARA
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (folder / name).write_text(text, encoding="utf-8")

    write()
    return write


@pytest.fixture
def model(reciter):
    return reciter("Well", " met.")


def running(folder, model, word_encoder, **settings):
    from npc_engine.sheets.loader import load_sheets

    sheets = load_sheets([folder]).values()
    return talking(*sheets, model=model, encoder=word_encoder, sheets=(folder,), **settings)


DEARER = ("A sword costs forty crowns.", "A sword costs ninety crowns.")


async def test_nothing_changed_nothing_taken(folder, write, model, word_encoder):
    async with running(folder, model, word_encoder) as dialogue:
        before = dialogue.character("mara")
        done = await dialogue.reload()
        assert (done.changed, done.errors) == ((), ())
        assert dialogue.character("mara") is before


async def test_a_talk_goes_on_with_the_changed_sheet(folder, write, model, word_encoder):
    async with running(folder, model, word_encoder) as dialogue:
        talk = dialogue.open_conversation("mara", player_id="p", actions=["*"])
        await say(talk, "What costs a sword?")
        write(DEARER, ("greeting: Come in.", "greeting: Sit down."))
        done = await dialogue.reload()
        await dialogue.warmed()
        heard = await say(talk, "What costs a sword?")
        health = dialogue.health()
    assert done.changed == ("mara",)
    assert "A sword costs ninety crowns." in [premise["text"] for premise in heard.trace["premises"]]
    assert [exchange.player for exchange in talk.history.exchanges] == ["What costs a sword?"] * 2
    assert len(talk.actions) == 3
    assert (health["sheet_reloads"], health["sheet_errors"], health["characters_warm"]) == (1, [], 1)
    assert health["sheet_hashes"] == {"mara": talk.character.sheet.content_hash[:12]}


async def test_a_turn_that_runs_ends_with_the_old_sheet(folder, write, model, word_encoder):
    async with running(folder, model, word_encoder) as dialogue:
        talk = dialogue.open_conversation("mara", player_id="p")
        old = talk.character
        async for event in talk.say("What costs a sword?"):
            if isinstance(event, Token) and talk.character is old and not dialogue.health()["sheet_reloads"]:
                write(DEARER)
                await dialogue.reload()
                assert talk.character is old
        assert dialogue.health()["sheet_reloads"] == 1
        await say(talk, "Well?")
        assert talk.character is dialogue.character("mara") is not old


async def test_what_does_not_load_leaves_the_old_one(folder, write, model, word_encoder, caplog):
    async with running(folder, model, word_encoder) as dialogue:
        write(("greeting: Come in.", "greting: Come in."))
        done = await dialogue.reload()
        health = dialogue.health()
        heard = await say(dialogue.open_conversation("mara", player_id="p"), "Hello.")
        write(DEARER)
        mended = await dialogue.reload()
    assert done.changed == ()
    assert isinstance(done.errors[0], SheetInvalid)
    assert "mara.yaml:" in health["sheet_errors"][0]
    assert "mara.yaml:" in caplog.text
    assert "greting" in caplog.text
    assert heard.end.text == "Well met."
    assert (mended.changed, mended.errors) == (("mara",), ())


async def test_one_bad_sheet_keeps_no_other_out(folder, write, model, word_encoder):
    async with running(folder, model, word_encoder) as dialogue:
        write(DEARER)
        write(("id: mara", "id: tobin"), ("name: Mara Holt", "nme: Tobin"), name="tobin.yaml")
        done = await dialogue.reload()
        assert (done.changed, len(done.errors)) == (("mara",), 1)
        write(("id: mara", "id: tobin"), ("Mara Holt", "Tobin Reed"), name="tobin.yaml")
        assert (await dialogue.reload()).changed == ("tobin",)
        assert [one.id for one in dialogue.characters()] == ["mara", "tobin"]
        assert (await say(dialogue.open_conversation("tobin", player_id="p"), "Hello.")).end.text == "Well met."


async def test_a_sheet_too_long_for_the_context_is_not_taken(folder, write, model, word_encoder):
    async with running(folder, model, word_encoder, max_context_tokens=4096) as dialogue:
        long = "x" * 590
        texts = (("Known to all.", long), ("Works alone.", long), ("Likes iron.", long))
        write(*texts, ("greeting: Come in.", f"greeting: {'y' * 290}"))
        done = await dialogue.reload()
        assert (done.changed, [error.code for error in done.errors]) == ((), ["NPC001"])


async def test_an_action_that_is_gone_is_no_longer_offered(folder, write, model, word_encoder):
    async with running(folder, model, word_encoder) as dialogue:
        talk = dialogue.open_conversation("mara", player_id="p", actions=["ring_bell", "open_vault"])
        write(("name: ring_bell", "name: beat_drum"))
        await dialogue.reload()
        assert [action.name for action in talk.actions] == ["open_vault"]


async def test_a_watched_folder_is_taken_without_being_asked(folder, write, model, word_encoder):
    async with running(folder, model, word_encoder, watch_sheets=True) as dialogue:
        talk = dialogue.open_conversation("mara", player_id="p")
        prices = ["fifty", "sixty", "seventy", "eighty", "ninety"] * 40
        async with asyncio.timeout(60):
            for price in prices:  # until the watcher, which begins in the background, has seen one
                write((DEARER[0], f"A sword costs {price} crowns."))
                waited = asyncio.get_running_loop().time() + 1.0
                while not dialogue.health()["sheet_reloads"] and asyncio.get_running_loop().time() < waited:
                    await asyncio.to_thread(dialogue.metrics_text)
                if dialogue.health()["sheet_reloads"]:
                    break
        assert "forty" not in talk.character.sheet.facts[0].text
