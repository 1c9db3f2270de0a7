import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_engine.dialogue.admission import flat, one_line
from npc_engine.errors import RequestError, TextTooLong


@given(st.text(alphabet=st.characters(), max_size=60))
def test_a_line_is_one_line(text):
    line = flat(text)
    assert not any(unicodedata.category(character)[0] == "C" for character in line)
    assert len(line.splitlines()) <= 1
    assert "  " not in line
    assert line == line.strip()
    assert flat(line) == line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("  What\r\ndo\tyou  sell? ", "What do you sell?"),
        ("a\x00b\x1b[31mc", "a b [31mc"),
        ("one\u2028two\u2029three\x85four", "one two three four"),
        ("cafe\u0301", "café"),
        ("half \ud83d a face", "half a face"),
        ("\u202egnirts", "gnirts"),
    ],
)
def test_examples(text, line):
    assert one_line(text, max_chars=100) == line


@pytest.mark.parametrize("text", ["", "  \n", "\x00\u200b"])
def test_nothing_is_no_line(text):
    with pytest.raises(RequestError) as caught:
        one_line(text, max_chars=100)
    assert caught.value.code == "NPC300"
    assert caught.value.hint


def test_too_long_is_told_before_anything_is_done():
    assert one_line("x" * 10, max_chars=10) == "x" * 10
    with pytest.raises(TextTooLong):
        one_line("x" * 11, max_chars=10)
