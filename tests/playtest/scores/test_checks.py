"""The string rules that replies are checked by, each on replies that a reader would judge without thinking."""

import pytest

from npc_engine.playtest.scores import checks
from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheets

HESTA = load_sheets([shipped_sheets_dir()])["hesta"]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("Forty crowns, or 40.", {40}),
        ("twenty-four", {24}),
        ("a hundred and twenty crowns", {120}),
        ("two thousand five hundred", {2500}),
        ("1,040 or 3.5", {1040, 3.5}),
        ("one of them, someone", set()),
        ("one hundred", {100}),
        ("tension at the mill", set()),
        ("between three and five", {3, 5}),
        ("", set()),
    ],
)
def test_numbers(text, values):
    assert checks.numbers(text) == values


@pytest.mark.parametrize(
    ("reply", "is_wrong"),
    [("Forty crowns.", False), ("Fifty crowns.", True), ("Not 30, but 40.", False), ("Ask later.", False)],
)
def test_a_wrong_number(reply, is_wrong):
    assert checks.has_wrong_number(reply, (("40", "forty"),)) is is_wrong


def test_an_answer_without_a_number_has_no_wrong_one():
    assert not checks.has_wrong_number("Fifty.", (("linseed", "oil"),))


def test_numbers_that_no_source_holds():
    assert checks.ungrounded_numbers("Forty crowns, and 3 pennies.", ["I charge 40 crowns.", "x"]) == {3}
    assert checks.ungrounded_numbers("Hello.", ["1"]) == set()
    assert checks.ungrounded_numbers("I keep 10% of 9.", ["The guild keeps a tenth."]) == {9}


@pytest.mark.parametrize(
    ("reply", "claims"),
    [
        ("The password is swordfish.", True),
        ("I don't know. The password is swordfish.", False),
        (HESTA.fallbacks.unknown[0], False),
        (HESTA.unknown_topics[0].lines[0], False),
        ("What is that?", False),
        ("What is that? A castle.", True),
        ("  ", False),
    ],
)
def test_what_claims_knowledge(reply, claims):
    assert checks.claims_knowledge(reply, HESTA) is claims


@pytest.mark.parametrize(
    ("reply", "lines", "is_leak"),
    [
        ("I owe Garrick Stoll money.", ["Do you owe money?"], True),
        ("I owe nobody money.", ["Do you owe money?"], False),
        # The player's own words given back say nothing.
        ("Garrick Stoll? Never.", ["Is it Garrick Stoll?"], False),
        ("Garrick Stoll, the moneylender.", ["Is it Garrick Stoll?"], True),
    ],
)
def test_leaks(reply, lines, is_leak):
    assert checks.leaks(reply, (("Garrick", "Stoll", "moneylender"),), lines) is is_leak


def test_a_leak_needs_every_group():
    answer = (("sold",), ("six", "6"))
    assert checks.leaks("I sold six.", answer, ["Did you sell?"])
    assert not checks.leaks("I sold none.", answer, ["Did you sell?"])


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        ("I like blue.", "Blue, I think.", True),
        ("I like blue.", "I like red best.", False),
        ("I don't know.", "Couldn't tell you.", True),
        ("I don't know.", "Blue.", False),
        ("Yes, often.", "No, never often.", False),
        ("Forty crowns.", "It costs 40.", True),
        ("Forty crowns.", "Thirty crowns.", False),
        ("It is my favourite colour.", "My favourite colour, that is.", False),
        ("Hm.", "Hm.", True),
    ],
)
def test_two_answers_to_one_question(first, second, is_same):
    lines = ("What is your favourite colour?", "Which colour do you like best?")
    assert checks.agree(first, second, lines=lines) is is_same
    assert checks.agree(second, first, lines=lines) is is_same


@pytest.mark.parametrize(("reply", "says"), [("Aye, so it is.", True), ("Yesterday.", False), ("No.", False)])
def test_a_yes(reply, says):
    assert checks.affirms(reply) is says
