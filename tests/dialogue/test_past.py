"""Turns that are taken back, and a line that is said again with the same seed."""

from contextlib import aclosing

import pytest

from npc_engine.dialogue.past import MAX_UNDO
from npc_engine.errors import ConversationClosed, NothingToUndo, TurnInProgress
from tests.talk import CALL_NONE, CALL_SELL, SELL, answering, say, seen_by_model, talking


@pytest.fixture
async def conversation(sheet, reciter, word_encoder):
    async with talking(sheet, model=reciter("Well", " met."), encoder=word_encoder) as dialogue:
        yield dialogue.open_conversation("mara", player_id="p", player_name="Ada")


async def test_what_was_said_is_gone(conversation):
    for line in ("One is said.", "Two is said.", "Three is said."):
        await say(conversation, line)
    conversation.world_event("It rains.")
    assert conversation.undo(2) == 1
    assert [exchange.player for exchange in conversation.history.exchanges] == ["One is said."]
    await say(conversation, "Four is said.")
    seen = seen_by_model(conversation)
    assert "Two is said." not in seen
    assert "One is said." in seen
    assert [event.text for event in conversation.events] == ["It rains."]


@pytest.mark.parametrize("turns", [2, 0, -1])
async def test_no_more_than_was_said(conversation, turns):
    await say(conversation, "One.")
    with pytest.raises(NothingToUndo):
        conversation.undo(turns)
    assert len(conversation.history.exchanges) == 1
    assert conversation.undo() == 0
    with pytest.raises(NothingToUndo):
        conversation.undo()


async def test_the_oldest_turns_stay(conversation):
    for number in range(MAX_UNDO + 2):
        await say(conversation, f"Line {number}.")
    assert conversation.undo(MAX_UNDO) == 0
    assert [exchange.player for exchange in conversation.history.exchanges] == ["Line 0.", "Line 1."]


async def test_a_running_turn_is_not_taken_back(conversation):
    await say(conversation, "One.")
    async with aclosing(conversation.say("Two.")) as turn:
        await anext(turn)
        with pytest.raises(TurnInProgress):
            conversation.undo()
    # Abandoned, so there is nothing of it to take back.
    assert conversation.undo() == 0
    conversation.close()
    with pytest.raises(ConversationClosed):
        conversation.undo()


async def test_what_she_told_of_herself_is_forgotten(sheet, reciter, word_encoder):
    model = reciter("I wear", " green", " on Sundays.", call=CALL_NONE)
    async with talking(sheet, model=model, encoder=word_encoder) as dialogue:
        first = dialogue.open_conversation("mara", player_id="p")
        second = dialogue.open_conversation("mara", player_id="p")
        told = await say(first, "Which colour do you wear?")
        assert told.trace["extended"] == "said:1"
        # The same claim again is nothing new, so taking it back leaves the first.
        await say(second, "Which colour do you wear?")
        second.undo()
        assert [each.id for each in first.statements.all] == ["said:1"]
        first.undo()
        assert first.statements.all == ()


async def test_an_offer_is_open_again_or_gone(sheet, reciter, word_encoder):
    async with talking(sheet, model=reciter("Well", " met.", call=CALL_SELL), encoder=word_encoder) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p", actions=["*"])
        await say(conversation, SELL)
        await say(conversation, "No.")
        assert conversation.pending is None
        conversation.undo()
        assert conversation.pending is not None
        agreed = await say(conversation, "Yes, deal.", on_event=answering(conversation, {"paid": "80 crowns"}))
        assert [call.name for call in agreed.calls] == ["sell_sword"]
        conversation.undo(2)
        assert conversation.pending is None
        assert conversation.record.successes == []
        assert (await say(conversation, "Yes, deal.")).calls == []


async def test_the_same_seed_gives_the_same_reply(sheet, reciter, word_encoder):
    async with talking(sheet, model=reciter("Well", " met."), encoder=word_encoder) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p")

        async def reply(seed):
            async with aclosing(conversation.say("Do you like dragons?", seed=seed)) as turn:
                events = [event async for event in turn]
            conversation.undo()
            return events[-1]

        first, second = await reply(4), await reply(4)
        assert (first.text, first.trace["seed"]) == (second.text, 4)
        # Her lines on dragons are two, and the seed picks.
        assert (await reply(5)).text != first.text
        assert (await reply(None)).trace["seed"] != (await reply(None)).trace["seed"]
