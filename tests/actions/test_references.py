"""What words refer to, and what of a call the talk settles."""

import pytest

from npc_engine.actions.narrowing import UNSAID, has_argument, missing, narrowed
from npc_engine.actions.references import Talk, has_number, is_said, number_in, referred, spelled_out
from npc_engine.sheets.action_spec import ActionSpec

WARES = ("short sword", "long sword", "dagger", "hand axe", "spear", "arrowheads")
BEFORE = ("What have you got?", "A short sword, a dagger and a spear.", "How much is the dagger?", "Twelve crowns.")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("I'll take the spear.", ["spear"]),
        ("Two DAGGERS, please", ["dagger"]),
        ("a dagger and two spears", ["dagger", "spear"]),
        ("Not the dagger, the spear.", ["spear"]),
        ("the long sword instead of the short sword", ["long sword"]),
        ("an arrowhead", ["arrowheads"]),
        ("The second one.", ["dagger"]),
        ("I want the last.", ["spear"]),
        ("the first one please", ["short sword"]),
        ("It, please.", ["dagger"]),
        ("that sword", ["short sword"]),
        ("the axe", ["hand axe"]),
        ("I'd like to buy something", []),
        ("the swordfish", []),
        ("the fifth one", ["dagger"]),  # of three: "one" is what was named last
    ],
)
def test_what_a_line_refers_to(line, found):
    assert list(referred(Talk(line=line, before=BEFORE), WARES)) == found


def test_what_may_be_any_of_several_stays_open():
    before = ("A short sword and a long sword.",)
    assert set(referred(Talk(line="That sword", before=before), WARES)) == {"short sword", "long sword"}
    assert referred(Talk(line="It, please."), WARES) == ()


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("I'll take it.", "I'll take the dagger."),
        ("Give me the third one, please", "Give me the spear, please"),
        ("I'll take the spear.", None),
        ("Good morning.", None),
    ],
)
def test_a_line_with_its_reference_spelled_out(line, meant):
    assert spelled_out(Talk(line=line, before=BEFORE), WARES) == meant


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("two daggers", 2),
        ("3 daggers", 3),
        ("a dozen", 12),
        ("for 1,200 crowns", 1200),
        ("2.5 pounds", 2.5),
        ("I'll take one", 1),
        ("I'll take that one", None),
        ("the second one", None),
        ("one of those", None),
        ("between 2 and 5", None),
        ("none", None),
        ("x2y", None),
    ],
)
def test_the_number_of_a_text(text, number):
    found = number_in(text)
    assert found == number
    assert type(found) is type(number)


def test_two_numbers_are_numbers():
    assert has_number("between 2 and 5")
    assert not has_number("that one")


def test_a_free_text_is_said_word_by_word():
    talk = Talk(line="Write me down as Anna Reed.", before=("I am from Harrow.",))
    assert is_said("Anna Reed", talk)
    assert is_said("anna of Harrow", Talk(line="Anna of", before=("Harrow",)))
    assert not is_said("Anna Smith", talk)


SELL = ActionSpec.model_validate(
    {
        "name": "sell",
        "description": "sells",
        "parameters": [
            {"name": "item", "description": "what", "choices": WARES},
            {"name": "quantity", "type": "integer", "description": "how many", "minimum": 1, "maximum": 9},
            {"name": "note", "description": "a word", "required": False},
        ],
    }
)


def narrow(line, *, before=(), known=None, used=(), ask_missing=True):
    return narrowed(SELL, Talk(line=line, before=before), known=known or {}, used=used, ask_missing=ask_missing)


def test_what_is_said_is_fixed_and_the_rest_is_left():
    found = narrow("three daggers")
    assert found.fixed == {"item": "dagger", "quantity": 3}
    assert [one.name for one in found.action.parameters] == ["note"]


def test_what_is_open_may_be_left_unsaid():
    choices = narrow("three of them").action.parameters[0].choices
    assert choices == (*WARES, UNSAID)
    assert narrow("three of them", ask_missing=False).action.parameters[0].choices == WARES


def test_the_line_goes_before_what_is_known():
    assert narrow("a spear", known={"item": "dagger", "quantity": 2}).fixed == {"item": "spear", "quantity": 2}


def test_of_several_named_values_the_next_is_taken_with_its_own_number():
    assert narrow("a dagger and two spears").fixed == {"item": "dagger"}
    assert narrow("a dagger and two spears", used=["dagger"]).fixed == {"item": "spear", "quantity": 2}


@pytest.mark.parametrize("line", ["fifty daggers", "0 daggers", "2.5 daggers"])
def test_a_number_that_does_not_fit_is_said_so(line):
    assert narrow(line).misfit.startswith("quantity: ")


def test_what_is_missing():
    talk = Talk(line="I want to buy")
    assert [one.name for one in missing(SELL, {"item": UNSAID, "quantity": 1}, talk)] == ["item"]
    assert missing(SELL, {"item": "dagger", "quantity": 1, "note": "made up"}, talk) == ()


def test_whether_a_line_has_an_argument():
    assert has_argument(SELL, "the spear")
    assert has_argument(SELL, "two of them")
    assert not has_argument(SELL, "Nice weather")
