"""A conversation between its turns: what it takes, refuses and remembers."""

from contextlib import aclosing

import pytest

from npc_engine.dialogue.events import Token
from npc_engine.dialogue.session import MAX_EVENTS
from npc_engine.errors import (
    ConversationClosed,
    InvalidControls,
    InvalidState,
    RequestError,
    TextTooLong,
    TurnInProgress,
    UnknownActionCall,
)
from tests.talk import say, seen_by_model, talking


@pytest.fixture
async def conversation(sheet, reciter, word_encoder):
    async with talking(sheet, model=reciter("Well", " met."), encoder=word_encoder, max_text_chars=50) as dialogue:
        yield dialogue.open_conversation("mara", player_id="p", player_name="Ada", state={"trust": 7})


async def test_it_begins_with_the_greeting(conversation, sheet):
    assert conversation.greeting == sheet.greeting
    assert conversation.history.exchanges == ()
    assert conversation.state.trust == 7


async def test_one_turn_at_a_time(conversation):
    async with aclosing(conversation.say("Hello.")) as turn:
        first = await anext(turn)
        assert isinstance(first, Token)
        with pytest.raises(TurnInProgress):
            await say(conversation, "Hello?")
        rest = [event async for event in turn]
    assert rest[-1].text == "Well met."
    assert [exchange.player for exchange in conversation.history.exchanges] == ["Hello."]


@pytest.mark.parametrize(("text", "error"), [("x" * 51, TextTooLong), (" \n\x00", RequestError), ("", RequestError)])
async def test_a_line_that_is_not_admitted_leaves_no_trace(conversation, text, error):
    with pytest.raises(error):
        await say(conversation, text)
    assert conversation.history.exchanges == ()
    assert not conversation.cancel()
    assert (await say(conversation, "Hello.")).end.text == "Well met."


@pytest.mark.parametrize(("text", "error"), [("x" * 51, TextTooLong), (" \n", RequestError)])
async def test_an_event_that_is_not_admitted_is_not_remembered(conversation, text, error):
    with pytest.raises(error):
        conversation.world_event(text)
    assert conversation.events == []


async def test_the_oldest_events_are_forgotten(conversation):
    for number in range(MAX_EVENTS + 5):
        conversation.world_event(f"Bell {number}", float(number))
    assert len(conversation.events) == MAX_EVENTS
    assert (conversation.events[0].text, conversation.events[0].id) == ("Bell 5", "event:6")
    assert conversation.events[-1].game_time == MAX_EVENTS + 4


@pytest.mark.parametrize("changes", [{"trust": 101}, {"trust": "much"}, {"mood": "good"}, {"trust": 9, "hour": 24}])
async def test_a_wrong_state_changes_nothing(conversation, changes):
    before = conversation.state
    with pytest.raises(InvalidState):
        conversation.set_state(changes)
    assert conversation.state == before


async def test_a_state_change_leaves_the_other_keys(conversation):
    conversation.set_state({"hour": 12, "flags": ["rain"]})
    assert (conversation.state.trust, conversation.state.hour, conversation.state.flags) == (7, 12, {"rain"})


async def test_nobody_waits_for_an_action(conversation):
    with pytest.raises(UnknownActionCall):
        conversation.action_result("made-up", {}, None)


async def test_a_closed_conversation_takes_nothing(conversation):
    conversation.close()
    conversation.close()
    assert conversation.is_closed
    for request in (lambda: conversation.world_event("Rain."), lambda: conversation.set_state({"trust": 1})):
        with pytest.raises(ConversationClosed):
            request()
    with pytest.raises(ConversationClosed):
        await say(conversation, "Hello.")
    assert not conversation.cancel()


async def test_closing_cancels_a_running_turn(conversation):
    heard = await say(conversation, "Hello.", on_event=lambda event: conversation.close())
    assert heard.end.finish_reason == "cancelled"
    assert heard.end.text == heard.spoken == "Well"


async def test_a_turn_that_nobody_heard_is_no_context(conversation):
    await say(conversation, "Hello.", on_event=lambda event: None)
    async with aclosing(conversation.say("Where is it?")) as turn:
        await anext(turn)
    await say(conversation, "And then?")
    assert "Where is it?" not in seen_by_model(conversation)


async def test_controls_are_set_as_the_game_sends_them(conversation):
    now = conversation.set_controls({"max_words": 20, "synchrony": None})
    assert (now.own["max_words"], now.own["synchrony"]) == (20, None)
    assert {values["max_words"] for values in now.by_route.values()} == {20}
    heard = await say(conversation, "Hello.")
    assert heard.trace["controls"]["max_words"] == 20
    for wrong in ({"max_words": 1000}, {"loudness": 1}):
        with pytest.raises(InvalidControls):
            conversation.set_controls({"max_words": 9} | wrong)
    assert conversation.overrides.max_words == 20
    # The sheet's own again.
    assert conversation.set_controls({"max_words": None}).by_route["small_talk"]["max_words"] == 40
    with pytest.raises(InvalidControls):
        async with aclosing(conversation.say("Hello.", controls={"loudness": 1})) as turn:
            await anext(turn)
    async with aclosing(conversation.say("Hello.", controls={"max_words": 8})) as turn:
        events = [event async for event in turn]
    assert events[-1].trace["controls"]["max_words"] == 8
    assert len(conversation.history.exchanges) == 2
