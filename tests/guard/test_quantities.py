import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_engine.guard.quantities import quantities, unexplained

READ = {
    "A short sword costs 40 crowns.": [(40, "crown")],
    "Forty crowns, and not one less.": [(40, "crown")],
    "Forty-five pennies.": [(45, "penny")],
    "one penny": [(1, "penny")],
    "The one over the door.": [],
    "two hundred and ten": [(210, None)],
    "a hundred gold crowns": [(100, "crown")],
    "three thousand, four hundred": [(3000, None), (400, None)],
    "1,200 crowns or 4.50": [(1200, "crown"), (4.5, None)],
    "half a crown": [(0.5, "crown")],
    "half a dozen eggs, a dozen more": [(6, None), (12, None)],
    "two dozen arrows": [(24, None)],
    "twice the price": [(2, None)],
    "six o'clock": [(6, "o'clock")],
    "A third of the price. The third sword.": [(1 / 3, None)],
    "two thirds of it": [(2 / 3, None)],
    "the 3rd door, the second door": [],
    "eight or ten": [(8, None), (10, None)],
    "Nothing at all.": [],
    "": [],
}


@pytest.mark.parametrize(("text", "wanted"), READ.items(), ids=READ.keys())
def test_numbers_are_read(text, wanted):
    assert [(pytest.approx(one.value), one.unit) for one in quantities(text)] == wanted


@given(st.integers(0, 999), st.sampled_from(["crowns", "pennies", "days"]))
def test_digits_keep_their_value_and_place(value, unit):
    text = f"It is {value} {unit} then."
    (one,) = quantities(text)
    assert (one.value, text[one.start : one.end]) == (value, f"{value} {unit}")


@given(st.text(max_size=60))
def test_any_text_is_read(text):
    for one in quantities(text):
        assert 0 <= one.start < one.number_end <= one.end <= len(text)


@pytest.mark.parametrize(
    ("said", "known", "line", "wrong"),
    [
        ("40 crowns.", "It costs forty crowns.", "", []),
        ("Forty.", "It costs 40 crowns.", "", []),
        ("40 pennies.", "It costs 40 crowns.", "", ["40 pennies"]),
        ("50 crowns.", "It costs 40 crowns.", "", ["50 crowns"]),
        ("80 crowns for both.", "It costs 40 crowns.", "How much for two?", []),
        ("80 crowns.", "It costs 40 crowns.", "How much?", ["80 crowns"]),
        ("Forty crowns, ready in nine days.", "40 crowns.", "", ["nine days"]),
    ],
)
def test_what_nothing_says_is_found(said, known, line, wrong):
    found = unexplained(said, quantities(known), counts=quantities(line))
    assert [said[one.start : one.end] for one in found] == wrong
