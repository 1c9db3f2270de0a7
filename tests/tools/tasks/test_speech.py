import pytest

from tools.tasks import speech

RESULT = {"price": "300 Gold"}


def test_numbers_need_a_source():
    assert speech.loose_numbers("It costs 300G.", ["price: 300 Gold"]) == set()
    assert speech.loose_numbers("It costs three hundred.", ["price: 300 Gold"]) == set()
    assert speech.loose_numbers("It costs 250G.", ["price: 300 Gold"]) == {250}


@pytest.mark.parametrize(
    ("reply", "results", "expected"),
    [
        ("That is 300G.", [RESULT], False),
        ("That is 250G.", [RESULT], True),
        ("I don't know what it costs.", [RESULT], True),
        ("A fine bow.", [RESULT], False),
        ("I don't know what it costs.", [{}], False),
        ("That is 250G.", [], False),
    ],
)
def test_contradicting_results(reply, results, expected):
    assert speech.contradicts_results(reply, results) is expected


def test_results_as_text():
    assert (
        speech.result_text({"item_name": "Bow", "parts": [{"a": 1}, {"a": None}]}) == "item name: Bow; parts: a: 1; a: "
    )
    assert speech.counts({"results": [{"a": 1}, {"a": 2}]}) == [2]
    assert speech.counts("many") == []


def test_how_a_reply_sounds():
    assert speech.num_words("Here is  the bow.") == 4
    assert speech.num_exclamations("Oh! Ha!!") == 3
    assert speech.has_stock_phrase("Excellent choice! It's yours.")
    assert not speech.has_stock_phrase("The bow is by the door.")
    assert speech.num_archaic("Nay, thou art wrong.") == 2
    assert speech.has_asterisk("*smiles* Hello.")
    assert speech.has_phrase("Well, steel first, talk after.", ["Steel first, talk after"])


def test_persona_words_that_nobody_asked_for():
    persona = ["I love gazing at constellations."]
    assert speech.unprompted_persona("Under these constellations, a bow serves.", persona, ["I need a bow."])
    assert not speech.unprompted_persona("Constellations, yes.", persona, ["Tell me of constellations."])
    assert not speech.unprompted_persona("A bow serves.", persona, [])


def test_distance_from_gold():
    assert speech.chrf("The bow is 300G.", "The bow is 300G.") == pytest.approx(1)
    assert speech.chrf("zzz", "The bow is 300G.") < 0.1
