"""A turn from the line to the commit, on models that say what the test wants."""

import asyncio
import json
import sys
from contextlib import aclosing

import pytest

from npc_engine.dialogue.events import ActionCall, Sentence, Token, TurnEnd
from npc_engine.dialogue.trace import STAGES
from npc_engine.errors import UnknownActionCall
from npc_engine.inference.sampler import SamplingParams
from tests.recital import OPENING
from tests.talk import (
    CALL_NONE,
    CALL_RING,
    CALL_SELL,
    CALL_VAULT,
    RING,
    SELL,
    VAULT,
    answering,
    at_once,
    mara,
    say,
    seen_by_model,
    talking,
)

PIECES = ("Forty", " crowns.", " Not one", " less.")
REPLY = "Forty crowns. Not one less."


@pytest.fixture
def speaker(reciter):
    """Says REPLY, and calls no action."""
    return reciter(*PIECES, call=CALL_NONE)


@pytest.fixture
def endless(reciter):
    """Never ends its first sentence."""
    return reciter("Well", " la", " di", " da", again_from=1)


def engine_of(conversation):
    return conversation.character.engine


# --- what a turn emits -------------------------------------------------------------------------


async def test_events_come_in_order_and_say_the_same(sheet, speaker, word_encoder):
    async with talking(sheet, model=speaker, encoder=word_encoder) as dialogue:
        heard = await say(dialogue.open_conversation("mara", player_id="p"), "What does a sword cost?")
    assert heard.end.text == REPLY == heard.spoken == " ".join(heard.sentences)
    assert [sentence.index for sentence in heard.of(Sentence)] == [0, 1]
    assert (heard.end.source, heard.end.finish_reason) == ("model", "stop")
    first_sentence = next(i for i, event in enumerate(heard.events) if isinstance(event, Sentence))
    assert [token.text for token in heard.events[:first_sentence]] == ["Forty", " crowns."]


async def test_the_trace_is_plain_data_and_tells_every_stage(sheet, speaker, word_encoder):
    async with talking(sheet, model=speaker, encoder=word_encoder) as dialogue:
        heard = await say(dialogue.open_conversation("mara", player_id="p"), "What does a sword cost?")
    trace = json.loads(json.dumps(heard.trace))
    assert tuple(trace["stages"]) == STAGES
    assert "not reached" not in trace["stages"].values()
    assert trace["stages"]["judge"] == "off: 2 sentences passed unjudged"
    assert "not built yet" in trace["stages"]["commit"]
    assert set(trace["controls"]["levels"]) == set(trace["controls"]) - {"levels"}
    assert trace["premises"][0] == {
        "id": "price-sword",
        "text": "A sword costs forty crowns.",
        "source": "sheet",
        "kind": "fact",
        "score": trace["premises"][0]["score"],
    }
    assert trace["tokens"]["output"] == 5
    names = "route_s ground_s act_s queue_time_s prefill_time_s time_to_first_model_token_s time_to_first_token_s"
    names += " time_to_first_sentence_s time_per_output_token_s total_s"
    assert set(trace["latency"]) == set(names.split())
    assert all(isinstance(value, float) and value >= 0 for value in trace["latency"].values())
    latency = trace["latency"]
    assert latency["time_to_first_token_s"] <= latency["time_to_first_sentence_s"] <= latency["total_s"]


async def test_the_same_seed_gives_the_same_talk(sheet, babbler, word_encoder):
    lines = ("Hello.", "What does a sword cost?", "Where do you live?")

    async def talk(seed):
        settings = {"seed": seed, "temperature": 1.0}
        async with talking(sheet, model=babbler, encoder=word_encoder, **settings) as dialogue:
            conversation = dialogue.open_conversation("mara", player_id="p")
            return [(await say(conversation, line)).end.text for line in lines]

    first = await talk(5)
    assert len(set(first)) == len(first)  # a seed a turn
    assert await talk(5) == first
    assert await talk(6) != first


async def test_history_grows_and_stays_in_the_cache(sheet, speaker, word_encoder):
    async with talking(sheet, model=speaker, encoder=word_encoder) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p")
        stable = len(conversation.character.prompts.stable_ids)
        cached = []
        for number in range(4):
            heard = await say(conversation, f"Hello {number}")
            cached.append(heard.trace["tokens"]["cached"])
            assert heard.trace["prompt"]["stable_tokens"] == stable
            seen = seen_by_model(conversation)
            for earlier in range(number):
                assert f"Hello {earlier}<|im_end|>\n<|im_start|>assistant\n{REPLY}<|im_end|>" in seen
        assert len(conversation.history.exchanges) == 4
    assert cached[0] >= stable
    # From the third turn on, what is shared grows by an exchange a turn.
    assert stable < cached[2] < cached[3]
    assert cached[3] - cached[2] >= len(f"Hello 1{REPLY}")


async def test_a_topic_she_knows_nothing_of_gets_an_authored_line(sheet, speaker, word_encoder):
    async with talking(sheet, model=speaker, encoder=word_encoder) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p")
        dragons = await say(conversation, "Did a dragon come by?")
        ships = await say(conversation, "And a ship?")
        assert conversation.history.last().reply == ships.end.text
    assert dragons.end.text in ("No dragons here.", "Never saw one.")
    assert ships.end.text in sheet.fallbacks.unknown
    for heard, topic in ((dragons, "dragons"), (ships, "ships")):
        assert heard.end.source == "fallback"
        assert heard.trace["unknown_topic"] == topic
        assert heard.spoken == heard.end.text == " ".join(heard.sentences)


@pytest.mark.parametrize("thought", ["*sighs deeply*", "<think> what to say", "Player: I take it."])
async def test_a_model_with_nothing_to_say_is_stood_in_for(sheet, reciter, word_encoder, thought):
    async with talking(sheet, model=reciter(thought), encoder=word_encoder) as dialogue:
        heard = await say(dialogue.open_conversation("mara", player_id="p"), "Hello.")
    assert heard.end.text in sheet.fallbacks.error
    assert (heard.end.source, heard.end.finish_reason) == ("fallback", "guard")
    assert heard.spoken == heard.end.text == " ".join(heard.sentences)


# --- cancelling --------------------------------------------------------------------------------


async def cancelled(conversation, line="Hello.", *, at=None):
    """Say a line and cancel at the first event of a kind, or before any."""
    if at is None:

        async def canceller():
            assert conversation.cancel()

        heard, _ = await at_once(say(conversation, line), canceller())
        return heard
    return await say(conversation, line, on_event=lambda event: isinstance(event, at) and conversation.cancel())


async def test_cancel_before_the_first_word(sheet, speaker, word_encoder):
    async with talking(sheet, model=speaker, encoder=word_encoder) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p")
        heard = await cancelled(conversation)
        assert [type(event) for event in heard.events] == [TurnEnd]
        assert (heard.end.text, heard.end.finish_reason, heard.end.source) == ("", "cancelled", "none")
        assert (await say(conversation, "Hello again.")).end.text == REPLY
        assert not conversation.cancel()


async def test_cancel_within_a_sentence_keeps_what_was_heard(sheet, endless, word_encoder):
    async with talking(sheet, model=endless, encoder=word_encoder) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p")
        heard = await cancelled(conversation, at=Token)
        assert heard.end.text == heard.spoken != ""
        assert heard.sentences == []
        assert (heard.end.finish_reason, heard.end.source) == ("cancelled", "model")
        assert heard.trace["stopped"] == "cancelled"
        assert conversation.history.last().reply == heard.end.text
        following = await say(conversation, "Go on.")
        assert following.end.finish_reason == "length"  # a sentence without an end: the token limit's
        assert f"assistant\n{heard.end.text}<|im_end|>" in seen_by_model(conversation)


async def test_cancel_between_sentences_ends_at_a_sentence(sheet, speaker, word_encoder):
    async with talking(sheet, model=speaker, encoder=word_encoder) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p")
        heard = await cancelled(conversation, at=Sentence)
        assert heard.end.text == heard.spoken == " ".join(heard.sentences)
        assert (await say(conversation, "Hello again.")).end.text == REPLY


async def test_cancel_while_the_game_acts(sheet, reciter, word_encoder):
    model = reciter(*PIECES, call=CALL_RING)
    async with talking(sheet, model=model, encoder=word_encoder) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p", actions=["*"])
        heard = await cancelled(conversation, RING, at=ActionCall)
        assert (heard.end.text, heard.end.finish_reason, heard.end.source) == ("", "cancelled", "none")
        with pytest.raises(UnknownActionCall):
            conversation.action_result(heard.calls[0].call_id, {}, None)
        assert (await say(conversation, "Hello again.")).end.text == REPLY


# --- abandoning --------------------------------------------------------------------------------


@pytest.mark.parametrize("until", [Token, Sentence, ActionCall])
async def test_a_turn_that_is_closed_leaves_nothing_behind(sheet, reciter, word_encoder, until):
    left_to_the_collector = []
    model = reciter("One", " two.", " Three.", " Four,", " five", again_from=3, call=CALL_RING)
    async with talking(sheet, model=model, encoder=word_encoder, num_slots=1) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p", actions=["*"])
        sys.set_asyncgen_hooks(finalizer=left_to_the_collector.append)
        async with aclosing(conversation.say(RING)) as turn:
            async for event in turn:
                if isinstance(event, until):
                    break
                answering(conversation)(event)
        assert left_to_the_collector == []
        assert conversation.history.exchanges == ()
        assert not conversation.cancel()
        following = await say(conversation, RING, on_event=answering(conversation))
        assert following.spoken.startswith("One two. Three.")
        stats = engine_of(conversation).stats()
        assert (stats["running"], stats["waiting"]) == (0, 0)


@pytest.mark.parametrize("until", [Token, ActionCall])
async def test_a_task_that_is_cancelled_leaves_nothing_behind(sheet, reciter, word_encoder, until):
    model = reciter("Well", " la", " di", again_from=1, call=CALL_RING)
    async with talking(sheet, model=model, encoder=word_encoder, num_slots=1) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p", actions=["*"])
        reached, never = asyncio.Event(), asyncio.Event()

        async def listener():
            async with aclosing(conversation.say(RING)) as turn:
                async for event in turn:
                    if isinstance(event, until):
                        reached.set()
                        if until is ActionCall:
                            continue  # hear on, and wait within the turn
                        await never.wait()
                    answering(conversation)(event)

        task = asyncio.create_task(listener())
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert conversation.history.exchanges == ()
        await say(conversation, "Hello again.")
        stats = engine_of(conversation).stats()
        assert (stats["running"], stats["waiting"]) == (0, 0)


# --- when something is in the way -----------------------------------------------------------------


async def test_past_the_deadline_an_authored_line_is_said(sheet, speaker, word_encoder):
    async with talking(sheet, model=speaker, encoder=word_encoder, turn_deadline_s=1e-6) as dialogue:
        heard = await say(dialogue.open_conversation("mara", player_id="p"), "Hello.")
    assert heard.end.text in sheet.fallbacks.error
    assert (heard.end.source, heard.end.finish_reason) == ("fallback", "guard")
    assert heard.trace["stopped"] == "deadline"
    assert heard.trace["stages"]["speak"] == "authored line: error"


async def test_a_game_that_never_answers_does_not_outlast_the_deadline(sheet, reciter, word_encoder):
    model = reciter(*PIECES, call=CALL_RING)
    async with talking(sheet, model=model, encoder=word_encoder, turn_deadline_s=1.0) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p", actions=["*"])
        heard = await say(conversation, RING)
    assert len(heard.calls) == 1
    assert heard.end.text in sheet.fallbacks.error
    assert heard.trace["stopped"] == "deadline"


async def test_no_room_is_told_with_an_authored_line(sheet, endless, word_encoder):
    settings = {"num_slots": 1, "max_waiting": 1}
    async with talking(sheet, model=endless, encoder=word_encoder, **settings) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p")
        engine = engine_of(conversation)
        long = SamplingParams(temperature=0, max_new_tokens=8000)
        async with (
            aclosing(engine.generate([OPENING], long)) as first,
            aclosing(engine.generate([OPENING], long)) as second,
        ):
            await anext(first)
            waiting = asyncio.create_task(anext(second))
            heard = await say(conversation, "Hello.")
            assert not waiting.done()
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
    assert heard.end.text in sheet.fallbacks.busy
    assert (heard.end.source, heard.end.finish_reason) == ("fallback", "guard")
    assert heard.trace["error"]["code"] == "NPC306"
    assert heard.trace["error"]["retry_after_s"] > 0


async def test_a_line_that_outgrows_the_context_gets_an_authored_line(sheet, speaker, word_encoder):
    async with talking(sheet, model=speaker, encoder=word_encoder, max_context_tokens=2560) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p")
        heard = await say(conversation, "long " * 399)
        assert heard.end.text in sheet.fallbacks.error
        assert heard.trace["error"]["code"] == "NPC307"
        assert (await say(conversation, "Hello.")).end.text == REPLY


# --- what the game tells ------------------------------------------------------------------------


async def test_world_events_are_premises_of_their_own_conversation(sheet, speaker, word_encoder):
    async with talking(sheet, model=speaker, encoder=word_encoder) as dialogue:
        told, other = (dialogue.open_conversation("mara", player_id=player) for player in ("a", "b"))
        told.world_event("The brass bell fell\ninto the mill.", 12.5)
        heard, unheard = await at_once(say(told, "Where is the brass bell?"), say(other, "Where is the brass bell?"))
        assert heard.premises[0] == "event:1"
        assert heard.trace["premises"][0]["source"] == "game"
        assert "The brass bell fell into the mill." in seen_by_model(told)
        assert "event:1" not in unheard.premises
        assert "fell into" not in seen_by_model(other)


async def test_events_may_come_while_a_turn_runs(sheet, speaker, word_encoder, monkeypatch):
    monkeypatch.setattr("npc_engine.dialogue.session.MAX_EVENTS", 1_000_000)
    async with talking(sheet, model=speaker, encoder=word_encoder) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p")
        conversation.world_event("The bell rang.")
        turn = asyncio.create_task(say(conversation, "Did the bell ring?"))
        while not turn.done():
            conversation.world_event("The bell rang again.")
            await asyncio.sleep(0)
        assert (await turn).end.text == REPLY


async def test_a_fact_appears_with_its_condition(sheet, speaker, word_encoder):
    async with talking(sheet, model=speaker, encoder=word_encoder) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p")
        asked = "Where does the hidden treasure lie?"
        stranger = await say(conversation, asked)
        assert "treasure" not in stranger.premises
        assert "under my anvil" not in seen_by_model(conversation)
        assert "anvil" not in json.dumps(stranger.trace)
        conversation.set_state({"trust": 50})
        friend = await say(conversation, asked)
        assert friend.premises[0] == "treasure"
        assert "under my anvil" in seen_by_model(conversation)


# --- actions --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "error", "told", "directive"),
    [
        ({"volume": "deafening"}, None, "deafening", "Say that it rang."),
        ({}, None, "", "Say that it rang."),
        (None, "the rope\nsnapped\x00", "the rope snapped", "Say that it broke."),
        (None, "e" * 5000, "e" * 100, "Say that it broke."),
    ],
    ids=["result", "empty result", "error", "endless error"],
)
async def test_what_the_game_answers_is_what_she_knows(sheet, reciter, word_encoder, result, error, told, directive):
    model = reciter(*PIECES, call=CALL_RING)
    async with talking(sheet, model=model, encoder=word_encoder) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p", actions=["ring_bell"])
        heard = await say(conversation, RING, on_event=answering(conversation, result, error))
        (call,) = heard.calls
        assert (call.name, call.arguments) == ("ring_bell", {})
        assert heard.end.text == REPLY
        assert heard.trace["action"]["call_id"] == call.call_id
        prompt = seen_by_model(conversation)
        assert told in prompt
        assert directive in prompt
        assert len(prompt) < 6000
        with pytest.raises(UnknownActionCall):  # a second answer
            conversation.action_result(call.call_id, {}, None)


async def test_no_answer_in_time_is_a_failure(sheet, reciter, word_encoder):
    model = reciter(*PIECES, call=CALL_RING)
    async with talking(sheet, model=model, encoder=word_encoder, action_timeout_s=0.05) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p", actions=["ring_bell"])
        heard = await say(conversation, RING)
        assert heard.end.text == REPLY
        assert heard.trace["action"]["outcome"] == "failed: the game did not answer in time"
        assert "Say that it broke." in seen_by_model(conversation)
        with pytest.raises(UnknownActionCall):
            conversation.action_result(heard.calls[0].call_id, {}, None)


async def test_an_answer_to_nothing_is_refused(sheet, reciter, word_encoder):
    model = reciter(*PIECES, call=CALL_RING)
    async with talking(sheet, model=model, encoder=word_encoder) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p", actions=["*"])

        def answer(event):
            if isinstance(event, ActionCall):
                with pytest.raises(UnknownActionCall):
                    conversation.action_result("made-up", {}, None)
                conversation.action_result(event.call_id, {}, None)
                with pytest.raises(UnknownActionCall):
                    conversation.action_result(event.call_id, {}, None)

        assert (await say(conversation, RING, on_event=answer)).end.text == REPLY


@pytest.mark.parametrize(
    ("actions", "state", "line", "call"),
    [
        ((), {}, RING, CALL_RING),
        (("sell_sword",), {}, RING, CALL_RING),
        (("*",), {"trust": 49}, VAULT, CALL_VAULT),
        (("*",), {}, "What does a sword cost?", CALL_RING),
        (("*",), {}, "Does the brass thing ring at night?", CALL_NONE),
    ],
    ids=["nothing offered", "another offered", "not eligible", "no task", "none chosen"],
)
async def test_no_action_where_there_is_none_to_call(sheet, reciter, word_encoder, actions, state, line, call):
    async with talking(sheet, model=reciter(*PIECES, call=call), encoder=word_encoder) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p", actions=actions, state=state)
        heard = await say(conversation, line)
    assert heard.calls == []
    assert heard.trace["stages"]["act"] == "no action"


async def test_an_eligible_action_is_called(sheet, reciter, word_encoder):
    async with talking(sheet, model=reciter(*PIECES, call=CALL_VAULT), encoder=word_encoder) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p", actions=["*"], state={"trust": 50})
        heard = await say(conversation, VAULT, on_event=answering(conversation))
        assert [call.name for call in heard.calls] == ["open_vault"]


@pytest.fixture
def seller(reciter):
    return reciter(*PIECES, call=CALL_SELL)


async def test_what_needs_a_yes_is_offered_and_then_called(sheet, seller, word_encoder):
    async with talking(sheet, model=seller, encoder=word_encoder) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p", actions=["*"])
        offered = await say(conversation, SELL)
        assert offered.calls == []
        assert offered.trace["action"] == {"name": "sell_sword", "arguments": {"quantity": 2}}
        agreed = await say(conversation, "Yes, deal.", on_event=answering(conversation, {"paid": "80 crowns"}))
        assert [(call.name, call.arguments) for call in agreed.calls] == [("sell_sword", {"quantity": 2})]
        assert "80 crowns" in seen_by_model(conversation)
        again = await say(conversation, "Yes, deal.")
        assert again.calls == []


@pytest.mark.parametrize("line", ["No.", "Yes, but cheaper.", "What does a sword cost?", "Did a dragon come by?"])
async def test_anything_but_yes_drops_the_offer(sheet, seller, word_encoder, line):
    async with talking(sheet, model=seller, encoder=word_encoder) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p", actions=["*"])
        await say(conversation, SELL)
        assert (await say(conversation, line)).calls == []
        assert (await say(conversation, "Yes.")).calls == []


async def test_an_offer_ends_with_its_condition(tmp_path, reciter, word_encoder):
    sheet = mara(tmp_path, ("    confirm: true\n", "    confirm: true\n    when: trust >= 10\n"))
    async with talking(sheet, model=reciter(*PIECES, call=CALL_SELL), encoder=word_encoder) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p", actions=["*"], state={"trust": 10})
        await say(conversation, SELL)
        conversation.set_state({"trust": 9})
        assert (await say(conversation, "Yes.")).calls == []


async def test_an_offer_in_the_sheets_own_words_is_said_as_it_is(tmp_path, seller, word_encoder):
    sheet = mara(tmp_path, ("    confirm: true\n", "    confirm: true\n    offer: That makes {quantity}. Deal?\n"))
    async with talking(sheet, model=seller, encoder=word_encoder) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p", actions=["*"])
        offered = await say(conversation, SELL)
        assert (offered.end.text, offered.end.source) == ("That makes 2. Deal?", "fallback")
        agreed = await say(conversation, "Yes.", on_event=answering(conversation))
        assert [call.arguments for call in agreed.calls] == [{"quantity": 2}]


async def test_an_offer_that_was_not_made_aloud_cannot_be_taken(sheet, reciter, seller, word_encoder):
    silent = reciter("*nods slowly*", call=CALL_SELL)
    async with talking(sheet, model=silent, encoder=word_encoder) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p", actions=["*"])
        assert (await say(conversation, SELL)).end.source == "fallback"
        assert (await say(conversation, "Yes.")).calls == []
    async with talking(sheet, model=seller, encoder=word_encoder) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p", actions=["*"])
        await cancelled(conversation, SELL, at=Token)
        assert (await say(conversation, "Yes.")).calls == []
        async with aclosing(conversation.say(SELL)) as turn:
            await anext(turn)
        assert (await say(conversation, "Yes.")).calls == []


# --- what a reply adds to the character ---------------------------------------------------------


async def test_an_answer_that_no_fact_gives_is_found_again_in_a_later_talk(sheet, reciter, word_encoder):
    model = reciter("I wear", " green", " on Sundays.", call=CALL_NONE)
    question = "Which colour do you wear?"
    async with talking(sheet, model=model, encoder=word_encoder) as dialogue:
        first = await say(dialogue.open_conversation("mara", player_id="p"), question)
        again = await say(dialogue.open_conversation("mara", player_id="p"), question)
        stranger = await say(dialogue.open_conversation("mara", player_id="q"), question)
    assert first.trace["extended"] == "said:1"
    assert [one["kind"] for one in first.trace["premises"] if one["id"] == "said:1"] == []
    assert (again.trace["premises"][0]["id"], again.trace["premises"][0]["text"]) == (
        "said:1",
        "I wear green on Sundays.",
    )
    assert "extended" not in again.trace
    assert all(one["kind"] != "said" for one in stranger.trace["premises"])


async def test_what_a_fact_answers_and_authored_lines_add_nothing(sheet, reciter, word_encoder):
    model = reciter("I live", " nowhere", " at all.", call=CALL_NONE)
    async with talking(sheet, model=model, encoder=word_encoder) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p")
        known = await say(conversation, "Do you live beside the old mill?")
        unknown = await say(conversation, "Do you like dragons?")
    assert unknown.end.source == "fallback"
    assert "extended" not in known.trace
    assert "extended" not in unknown.trace
    assert conversation.statements.all == ()
