"""Claims that something was done: caught where it was not, left alone where they claim nothing."""

import pytest

from npc_engine.guard.deeds import changes_something, undone_verbs, verbs_of
from npc_engine.guard.rules import RuleContext, broken_rules, false_deeds
from npc_engine.guard.verdict import Thresholds
from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheets
from npc_engine.sheets.schema import ActionSpec

ACTIONS = [
    ActionSpec(name="sell_item", description="Sell the player a weapon."),
    ActionSpec(name="register_member", description="Enter the player in the book."),
    ActionSpec(name="rent_room", description="Let a room to the player."),
    ActionSpec(name="ring_bell", description="Ring the bell."),
    ActionSpec(name="look_up_price", description="Look up a price."),
]
FALSE_ANYWHERE = [
    "I've sold you the long sword.",
    "I have just registered you.",
    "I rang it for you.",
    "Here is your sword.",
    "Here are your arrows, friend.",
    "It's yours now.",
    "The short sword is yours now.",
    "Done.",
    "I gave you the key already.",
    "You are now registered.",
    "I have entered you in the book.",
    "Your name has been entered.",
]
FALSE_ON_A_TASK = [*FALSE_ANYWHERE, "I have rung the bell.", "The bell has been rung, I have sold it.", "Agreed."]
TRUE_ANYWHERE = [
    "I sold a sword to the reeve.",
    "I've never sold a sword to a child.",
    "Shall I sell it to you?",
    "I haven't rung it.",
    "I would have sold you one.",
    "I sold you a dagger last winter.",
    "Here is my advice.",
    "I have given you my word.",
    "If you want it, it's yours.",
    "Have I sold you one before?",
    "I rent rooms.",
    "It rang once.",
    "I've looked at it for you.",
    "I was entered in the guild's book once.",
]


def reasons(sentence, *, deeds, done=(), facts=()):
    context = RuleContext(deeds=deeds, undone=undone_verbs(ACTIONS, done), facts=facts)
    return [reason.kind for reason in broken_rules(sentence, context, Thresholds())]


@pytest.mark.parametrize("sentence", FALSE_ANYWHERE)
def test_nothing_was_done_for_the_player_without_a_result(sentence):
    assert reasons(sentence, deeds="free") == ["deed"]


@pytest.mark.parametrize("sentence", FALSE_ON_A_TASK)
def test_nothing_at_all_was_done_on_a_task_without_a_result(sentence):
    assert reasons(sentence, deeds="none") == ["deed"]


@pytest.mark.parametrize("sentence", TRUE_ANYWHERE)
def test_what_claims_no_deed_may_be_said(sentence):
    assert reasons(sentence, deeds="free") == []


def test_what_was_done_may_be_said_and_what_was_not_may_not():
    assert reasons("I've sold you the sword.", deeds="by_result", done=["sell_item"]) == []
    assert reasons("Here is your sword.", deeds="by_result", done=["sell_item"]) == []
    assert reasons("I have rung the bell as well.", deeds="by_result", done=["sell_item"]) == ["deed"]


def test_a_fact_may_be_retold():
    fact = "I rang the storm bell for you on the night of the flood."
    assert reasons("I rang the storm bell for you.", deeds="free") == ["deed"]
    assert reasons("I rang the storm bell for you.", deeds="free", facts=[fact]) == []


def test_without_a_game_behind_the_talk_nobody_is_suspected():
    assert broken_rules("Here is your sword.", RuleContext(), Thresholds()) == ()


def test_the_verbs_of_an_action():
    assert verbs_of(ActionSpec(name="takeAcross", description="Ferry the player over.")) == {"take", "ferri"}
    assert not changes_something(ACTIONS[-1])
    assert changes_something(ACTIONS[0])


def test_no_shipped_line_claims_a_deed():
    false = []
    for sheet in load_sheets((shipped_sheets_dir(),)).values():
        facts = [fact.text for fact in sheet.facts]
        context = RuleContext(undone=undone_verbs(sheet.actions, ()), facts=facts)
        lines = list(facts)
        lines += [sheet.greeting, *(example.character for example in sheet.voice.examples)]
        lines += [line for topic in sheet.unknown_topics for line in topic.lines]
        lines += [action.offer for action in sheet.actions if action.offer]
        false += [(sheet.id, line) for line in lines if list(false_deeds(line, context))]
    assert false == []
