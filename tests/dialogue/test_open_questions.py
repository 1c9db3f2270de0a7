"""Which questions want support, and which the character may answer as she likes."""

import pytest

from npc_engine.dialogue.grounding import Grounding, Premise
from npc_engine.dialogue.open_questions import (
    OPEN_SCORE,
    asks_about_the_world,
    asks_about_you,
    names_a_stranger,
    needs_support,
)
from npc_engine.playtest.material import load_open

LINE = "What is your favourite colour?"


@pytest.mark.parametrize(
    ("line", "asks"),
    [
        (LINE, True),
        ("Tell me about yourself.", True),
        ("And do you snore", True),
        ("You look tired.", False),
        ("What does a sword cost?", False),
        ("Your move, smith.", False),
    ],
)
def test_questions_about_the_one_who_is_spoken_to(line, asks):
    assert asks_about_you(line) is asks


@pytest.mark.parametrize(
    ("line", "asks"),
    [
        ("Who painted the Mona Lisa?", True),
        ("How many ships has Admiral Drusk?", True),
        ("Is the bridge safe?", True),
        ("What is my name?", True),
        ("What lies behind the hill", True),
        (LINE, False),
        ("How are things?", False),
        ("What a day!", False),
        ("What about a drink?", False),
        ("What news?", False),
        ("Cold today, isn't it?", False),
        ("The road was muddy.", False),
        ("How goes it?", False),
    ],
)
def test_questions_about_the_world(line, asks):
    assert asks_about_the_world(line) is asks


def test_talk_that_asks_for_nothing_is_no_question_about_the_world():
    fillers = load_open().fillers
    assert len(fillers) > 10
    assert not [line for line in fillers if asks_about_the_world(line)]


@pytest.mark.parametrize(
    ("line", "is_stranger"),
    [
        ("What does Baron Ulfgar want?", True),
        ("What does Hesta want?", False),
        ("Is Mother Pell about?", False),
        ("Shall we meet on Friday?", False),
        ("What does a sword cost?", False),
    ],
)
def test_a_name_that_nobody_has_said_is_a_strangers(line, is_stranger):
    found = names_a_stranger(line, talk=["Ask Mother Pell."], told=["You are Hesta."], world_words=frozenset())
    assert found is is_stranger


def found(kind, score):
    premise = Premise(id="1", text="", source="", kind=kind, score=score)
    return Grounding(premises=(premise,), unknown_topic=None, num_candidates=1, num_hidden=0)


@pytest.mark.parametrize(
    ("line", "premise", "stranger", "wanted"),
    [
        ("Where is the mill?", ("fact", OPEN_SCORE), False, False),
        ("Where is the mill?", ("fact", OPEN_SCORE - 0.01), False, True),
        ("Where is the mill?", ("said", 1.0), False, True),
        (LINE, ("fact", 0.3), False, False),
        ("Have you met Ulfgar?", ("fact", 0.9), True, True),
        ("I come from Ulfgar.", ("fact", 0.3), True, False),
    ],
)
def test_what_no_premise_answers_wants_support(line, premise, stranger, wanted):
    assert needs_support(line, found(*premise), is_stranger_named=stranger) is wanted
