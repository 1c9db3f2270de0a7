from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from npc_engine.inference.text_stream import StopBuffer, TextStream

LETTERS = st.text(alphabet="abc", max_size=30)
STOPS = st.lists(st.text(alphabet="abc", min_size=1, max_size=4), max_size=3)


def streamed(text: str, stops: list[str], cuts: list[int]) -> tuple[str, bool]:
    buffer, out = StopBuffer(stops), ""
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    for start, end in itertools.pairwise(edges):
        out += buffer.push(text[start:end])
    return out + buffer.flush(), buffer.is_stopped


@given(LETTERS, STOPS, st.lists(st.integers(0, 30)))
def test_stopping_does_not_depend_on_how_text_arrives(text: str, stops: list[str], cuts: list[int]) -> None:
    assert streamed(text, stops, cuts) == streamed(text, stops, []) == streamed(text, stops, list(range(30)))


@given(LETTERS, STOPS)
def test_text_ends_before_the_first_stop_text_to_be_complete(text: str, stops: list[str]) -> None:
    out, is_stopped = streamed(text, stops, [])
    assert text.startswith(out)
    assert is_stopped == any(stop in text for stop in stops)
    if is_stopped:
        assert any(text.startswith(stop, len(out)) for stop in stops)
    else:
        assert out == text


def test_a_possible_stop_text_is_held_back_and_released() -> None:
    buffer = StopBuffer(["\nPlayer:"])
    assert [buffer.push(piece) for piece in ("Aye.\nPl", "an", "\n", "Player", ": x")] == ["Aye.", "\nPlan", "", "", ""]
    assert (buffer.is_stopped, buffer.flush()) == (True, "")


def stream(tokenizer: Tokenizer, ids: list[int], stop: tuple[str, ...] = ()) -> list[str]:
    text = TextStream(tokenizer, stop)
    return [*(text.push(token_id) for token_id in ids), text.flush()]


@given(ids=st.lists(st.integers(0, 399), max_size=40))
def test_streamed_pieces_are_the_whole_text(tokenizer: Tokenizer, ids: list[int]) -> None:
    assert "".join(stream(tokenizer, ids)) == tokenizer.decode(ids)


@given(text=st.text(max_size=30))
def test_no_piece_of_valid_text_has_a_broken_character(tokenizer: Tokenizer, text: str) -> None:
    pieces = stream(tokenizer, tokenizer.encode(text, add_special_tokens=False).ids)
    assert "".join(pieces) == text
    if "\N{REPLACEMENT CHARACTER}" not in text:
        assert not any("\N{REPLACEMENT CHARACTER}" in piece for piece in pieces)


def test_a_character_over_several_tokens_comes_at_once(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("🗡", add_special_tokens=False).ids
    assert len(ids) > 1
    assert stream(tokenizer, ids) == [*[""] * (len(ids) - 1), "🗡", ""]


@given(text=st.text(alphabet="the sword.", max_size=40), stop=st.text(alphabet="the sword.", min_size=1, max_size=5))
def test_a_stop_text_across_tokens_is_found(tokenizer: Tokenizer, text: str, stop: str) -> None:
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert "".join(stream(tokenizer, ids, (stop,))) == text.split(stop)[0]


def test_special_tokens_give_no_text(tokenizer: Tokenizer) -> None:
    assert "".join(stream(tokenizer, [1, *tokenizer.encode("aye").ids, 2])) == "aye"
