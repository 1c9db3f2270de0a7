import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_engine.dialogue.lexical import Bm25, terms

TEXTS = ("A short sword costs 40 crowns.", "A long sword costs 65 crowns.", "My mule is called Bishop.")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("What do swords cost?", ["sword", "cost"]),
        ("The smith's costs", ["smith", "cost"]),
        ("smith\u2019s", ["smith"]),
        ("Who are you?", []),
        ("It costs 1,040 crowns", ["cost", "1", "040", "crown"]),
        ("ÉTÉ naïve_words", ["été", "naïv", "word"]),
    ],
)
def test_terms_are_stems_of_content_words(text, found):
    assert terms(text) == found


def test_the_text_with_the_rare_word_wins():
    scores = Bm25(TEXTS).scores("How much is the short sword?")
    assert scores.argmax() == 0
    assert scores[1] > scores[2] == 0


def test_a_word_that_no_text_has_lowers_every_score():
    bm25 = Bm25(TEXTS)
    assert (bm25.scores("short sword zeppelin")[:2] < bm25.scores("short sword")[:2]).all()


@pytest.mark.parametrize("query", ["", "who are you", "zeppelin", "?!"])
def test_nothing_shared_scores_zero(query):
    assert Bm25(TEXTS).scores(query).tolist() == [0, 0, 0]


def test_no_texts_no_scores():
    assert Bm25([]).scores("sword").shape == (0,)
    assert Bm25(["", "who"]).scores("sword").tolist() == [0, 0]


@given(st.lists(st.text("abc '.", max_size=20), max_size=6), st.text("abc '.", max_size=20))
def test_scores_are_finite_shares(texts, query):
    scores = Bm25(texts).scores(query)
    assert scores.shape == (len(texts),)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    # A word said twice in a short text counts for more than once, but never for more than k1 + 1 times.
    assert ((scores >= 0) & (scores <= 2.2)).all()
