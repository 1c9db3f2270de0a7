"""The controls in a running talk: what they keep from being said, what they prefer, what the trace tells of them."""

import pytest

from npc_engine.dialogue.events import Token
from npc_engine.errors import ConversationClosed
from npc_engine.guard.words import stems
from npc_engine.sheets.controls import ControlOverrides
from tests.talk import CALL_RING, RING, answering, mara, say, talking

SAYING = "Iron never sleeps."


@pytest.fixture(scope="module")
def proverbial(tmp_path_factory):
    """Mara with a catchphrase."""
    person = f"personality:\n  catchphrases: [{SAYING}]\nvoice:"
    return mara(tmp_path_factory.mktemp("sheet"), ("voice:", person))


async def hear(sheet, model, encoder, *, line="Hello.", **controls):
    async with talking(sheet, model=model, encoder=encoder, guard="rules") as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p")
        conversation.set_controls(ControlOverrides(**controls))
        return await say(conversation, line)


def outcomes(heard):
    return [(entry["text"], entry["outcome"]) for entry in heard.trace["judge"]["sentences"]]


# --- quirk_budget --------------------------------------------------------------------------------------


async def test_within_the_budget_a_catchphrase_is_said(proverbial, reciter, word_encoder):
    heard = await hear(proverbial, reciter("Iron never", " sleeps."), word_encoder, quirk_budget=1)
    assert heard.end.text == SAYING
    assert heard.trace["voice"]["quirks"] == [SAYING]


async def test_over_the_budget_another_sample_is_said(proverbial, brancher, word_encoder):
    model = brancher(["Iron never", " sleeps."], ["Good", " day."])
    kept = 0
    async with talking(proverbial, model=model, encoder=word_encoder, guard="rules") as dialogue:
        for number in range(8):
            conversation = dialogue.open_conversation("mara", player_id=str(number))
            heard = await say(conversation, "Hello.", controls=ControlOverrides(quirk_budget=0))
            kept += heard.end.text == "Good day."
            for entry in heard.trace["judge"]["sentences"]:
                assert (entry["outcome"] in ("rejected", "lapse")) == (entry["text"] == SAYING)
    assert kept >= 6


async def test_a_catchphrase_at_the_edge_is_cut_off(proverbial, reciter, word_encoder):
    model = reciter("Good day,", " iron never sleeps.")
    heard = await hear(proverbial, model, word_encoder, quirk_budget=0)
    assert heard.sentences == ["Good day."]
    assert outcomes(heard)[-1] == ("Good day.", "edited")


async def test_a_later_sentence_is_left_out(proverbial, reciter, word_encoder):
    model = reciter("Good", " day.", " Iron never", " sleeps.")
    heard = await hear(proverbial, model, word_encoder, quirk_budget=0)
    assert heard.sentences == ["Good day."]
    assert (heard.end.source, heard.end.finish_reason) == ("model", "stop")


async def test_a_first_sentence_that_is_only_out_of_style_is_better_than_none(proverbial, reciter, word_encoder):
    heard = await hear(proverbial, reciter("Iron never", " sleeps."), word_encoder, quirk_budget=0)
    assert heard.end.text == SAYING
    assert outcomes(heard) == [(SAYING, "rejected"), (SAYING, "lapse")]
    assert heard.trace["judge"]["sentences"][0]["repair"] == "said all the same"


async def test_the_cooldown_lasts_for_so_many_turns(proverbial, reciter, word_encoder):
    model = reciter("Good day.", " Iron never", " sleeps.")
    async with talking(proverbial, model=model, encoder=word_encoder, guard="rules") as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p")
        conversation.set_controls(ControlOverrides(quirk_budget=1, cooldown_turns=2))
        shown = [SAYING in (await say(conversation, "Hello.")).end.text for _ in range(7)]
    assert shown == [True, False, False, True, False, False, True]


# --- trait_saturation ------------------------------------------------------------------------------------


async def test_over_the_cap_the_trademark_rests(proverbial, reciter, word_encoder):
    model = reciter("Good day.", " Iron never", " sleeps.")
    async with talking(proverbial, model=model, encoder=word_encoder, guard="rules") as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p")
        conversation.set_controls(ControlOverrides(quirk_budget=20, trait_saturation=0.12))
        heard = [await say(conversation, "Hello.") for _ in range(4)]
    assert [SAYING in one.end.text for one in heard] == [True, False, False, True]
    saturation = [one.trace["voice"]["saturation"] for one in heard]
    assert saturation[0] == 0
    assert saturation[1] > saturation[2] > saturation[3]
    assert [one.trace["voice"]["is_saturated"] for one in heard] == [False, True, True, False]
    assert any("plainly" in one for one in heard[1].trace["prompt"]["style"])


# --- task_priority -----------------------------------------------------------------------------------------


async def test_on_a_task_what_carries_the_result_is_said(proverbial, brancher, word_encoder):
    result, carrying, other = {"volume": "deafening"}, "It was deafening.", "A fine sound."
    model = brancher(["It was", " deafening."], ["A fine", " sound."], call=CALL_RING)
    is_neutral = 0
    async with talking(proverbial, model=model, encoder=word_encoder, guard="rules") as dialogue:
        for number in range(10):
            conversation = dialogue.open_conversation("mara", player_id=str(number), actions=["*"])
            conversation.set_controls(ControlOverrides(task_priority=1.0))
            heard = await say(conversation, RING, on_event=answering(conversation, result))
            task = heard.trace["judge"]["task"]
            assert task["wanted"] == sorted(stems("deafening"))
            assert task["carried"] == float(heard.end.text == carrying)
            assert heard.end.text in (carrying, other)
            is_neutral += task["is_neutral"]
            if task["is_neutral"]:
                assert heard.end.text == carrying
    assert is_neutral > 0


async def test_without_task_priority_no_neutral_sentence_is_drawn(proverbial, brancher, word_encoder):
    model = brancher(["It was", " deafening."], ["A fine", " sound."], call=CALL_RING)
    async with talking(proverbial, model=model, encoder=word_encoder, guard="rules") as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p", actions=["*"])
        conversation.set_controls(ControlOverrides(task_priority=0.0))
        heard = await say(conversation, RING, on_event=answering(conversation, {"volume": "deafening"}))
    assert "task" not in heard.trace["judge"]


# --- levels ------------------------------------------------------------------------------------------------


async def test_each_level_reaches_the_turn_and_the_trace(proverbial, reciter, word_encoder):
    settings = {"guard": "rules", "synchrony": 0.9, "task_priority": 0.1}
    async with talking(proverbial, model=reciter("Good", " day."), encoder=word_encoder, **settings) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p")
        conversation.set_controls(ControlOverrides(role_play=1.0, task_priority=0.2))
        heard = await say(conversation, "Hello.", controls=ControlOverrides(max_words=9))
        following = await say(conversation, "Hello again.")
    controls = heard.trace["controls"]
    assert (controls["synchrony"], controls["role_play"], controls["task_priority"]) == (0.9, 1.0, 0.2)
    assert controls["levels"] == {
        "role_play": "conversation",
        "max_words": "turn",
        "max_sentences": "character",
        "quirk_budget": "default",
        "cooldown_turns": "default",
        "trait_saturation": "default",
        "task_priority": "conversation",
        "synchrony": "engine",
    }
    assert following.trace["controls"]["levels"]["max_words"] == "character"


async def test_controls_set_within_a_turn_hold_from_the_next(proverbial, reciter, word_encoder):
    model = reciter("Good.", " Fine.", " Well then.")
    async with talking(proverbial, model=model, encoder=word_encoder, guard="rules") as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p")

        def shorten(event):
            if isinstance(event, Token):
                conversation.set_controls(ControlOverrides(max_sentences=1))

        running = await say(conversation, "Hello.", on_event=shorten)
        following = await say(conversation, "Hello.")
        conversation.set_controls(ControlOverrides(max_sentences=None))
        back = await say(conversation, "Hello.")
        conversation.close()
        with pytest.raises(ConversationClosed):
            conversation.set_controls(ControlOverrides())
    assert [len(heard.sentences) for heard in (running, following, back)] == [3, 1, 3]


async def test_the_stable_part_stays_cached_whatever_the_controls(proverbial, reciter, word_encoder):
    async with talking(proverbial, model=reciter("Good", " day."), encoder=word_encoder, guard="rules") as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p")
        for values in ({"role_play": 0.0}, {"role_play": 1.0, "quirk_budget": 5}, {"synchrony": 1.0, "max_words": 8}):
            conversation.set_controls(ControlOverrides(**values))
            heard = await say(conversation, "HELLO!!!")
            assert heard.trace["tokens"]["cached"] >= heard.trace["prompt"]["stable_tokens"]
