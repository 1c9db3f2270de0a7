"""What is written as YAML is read as the same data."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from npc_engine.sheets.cards.json_fields import json_text
from npc_engine.sheets.cards.sheet_text import Block, sheet_yaml
from npc_engine.sheets.yaml_reader import MAX_NUMBER_CHARS, read_yaml

# YAML's scanner takes no key longer than this.
KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
NUMBERS = st.integers(-(10**15), 10**15) | st.floats(allow_nan=False, allow_infinity=False).filter(
    lambda number: len(repr(number)) <= MAX_NUMBER_CHARS and math.isfinite(number)
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    [
        "yes",
        "No",
        "null",
        "~",
        "1.5",
        "5.",
        ".5",
        "0x1F",
        "a: b",
        "a #b",
        "- a",
        "[a]",
        "a,b",
        "a, b",
        "",
        " a",
        "a ",
        "%",
    ]
)
DATA = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(KEYS, DATA, min_size=1, max_size=5))
def test_any_data_is_read_as_it_was(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("yaml") / "sheet.yaml"
    path.write_text(sheet_yaml(data), encoding="utf-8", newline="")
    assert repr(read_yaml(path).data) == repr(data)


@settings(max_examples=100, deadline=None)
@given(DATA)
def test_a_block_is_read_as_it_was(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("yaml") / "sheet.yaml"
    text = json_text([data], indent=1)
    path.write_text(sheet_yaml({"a": {"b": Block(text)}, "c": 1}), encoding="utf-8", newline="")
    assert read_yaml(path).data == {"a": {"b": text}, "c": 1}


def test_writers_find_plain_text():
    text = sheet_yaml(
        {"name": "Mira Oss", "tags": ["ferry", "how much"], "facts": [{"id": "a", "text": "It's 2 pennies."}]}
    )
    assert "name: Mira Oss\n" in text
    assert "tags: [ferry, how much]\n" in text
    assert "  - id: a\n    text: It's 2 pennies.\n" in text
