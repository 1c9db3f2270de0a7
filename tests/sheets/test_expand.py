"""What may not be derived, and what is kept of what may."""

import numpy as np
import pytest

from npc_engine.sheets.expand import Derived, Dimension, Filter, addition, request, shown_facts
from npc_engine.sheets.lint.models import NO_MODELS, Models
from tests.talk import mara

HOME = "I live beside the old mill."


class Words:
    """An encoder whose vectors are the words of a text."""

    def embed(self, texts):
        words = sorted({word for text in texts for word in text.lower().split()})
        rows = np.array([[float(word in text.lower().split()) for word in words] for text in texts], np.float32)
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)


class Contradicts:
    """An NLI model that finds every pair with one word contradicting."""

    name = "test"

    def __init__(self, word):
        self._word = word

    def scores_now(self, pairs):
        return np.array([[0, 0, 1] if self._word in f"{a}{b}" else [0, 1, 0] for a, b in pairs], np.float32)


@pytest.fixture
def sheet(tmp_path):
    return mara(tmp_path, ("register: short", "register: short\n  avoid: [damn]"))


def refused(sheet, text, models=NO_MODELS):
    return Filter(sheet, models).judged(text, Dimension.ROUTINES).refused


def test_what_fits_is_let_through_with_what_it_is_near(sheet):
    one = Filter(sheet, NO_MODELS).judged("I often hear the mill at night.", Dimension.ROUTINES)
    assert (one.refused, one.sources[0]) == ("", "home")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("I live.", "2 words"),
        ("I sleep at the mill " + "and then " * 12 + "rest.", "words"),
        ("I have seven cats at the mill.", "number 7"),
        ("I meet Berta at the mill.", "name Berta"),
        ("I have a daughter at the old mill.", "know of a daughter"),
        ("I am kinder at the mill than she lets on.", "a pronoun stands for nobody"),
        ("I damn the old mill.", "'damn'"),
        ("I live beside the mill.", "is said already"),
        ("I do not live beside the old mill.", "contradicts"),
        ("I enjoy cooking soup.", "follows from nothing"),
        # What is hidden is not told by another sentence either.
        ("I know that the treasure lies under the anvil.", "is said already"),
    ],
)
def test_what_is_refused(sheet, text, why):
    assert why in refused(sheet, text)


def test_known_names_and_numbers_are_let_through(sheet):
    assert refused(sheet, "I miss Tobin at the mill.") == ""
    assert refused(sheet, "I save forty crowns for the mill.") == ""


def test_what_was_let_through_is_said_already(sheet):
    sieve = Filter(sheet, NO_MODELS)
    assert sieve.judged("I often hear the mill at night.", Dimension.ROUTINES).refused == ""
    assert "is said already" in sieve.judged("I often hear the mill at night!", Dimension.GOALS).refused


def test_an_nli_model_finds_contradictions_and_an_encoder_likeness(sheet):
    models = Models(encoder=Words(), nli=Contradicts("hate"))
    assert refused(sheet, "I hate the old mill beside my house.", models).startswith("contradicts")
    assert refused(sheet, "I hear the old mill beside my bed.", models) == ""
    assert "is said already" in refused(sheet, "We live beside the old mill.", models)
    assert "follows from nothing" in refused(sheet, "Cooking soup makes others happy.", models)


def test_the_model_sees_no_secret_and_nothing_derived(sheet, tmp_path):
    assert [fact.id for fact in shown_facts(sheet)] == ["price-sword", "home"]
    text = request(sheet, Dimension.GOALS)
    assert HOME in text
    assert "treasure" not in text
    again = sheet.model_copy(update={"extensions": {"derived": {"facts": {"home": "goals"}}}})
    assert [fact.id for fact in shown_facts(again)] == ["price-sword"]


def test_what_is_taken_is_marked(sheet):
    one = Derived(text="I often hear the mill.", dimension=Dimension.ROUTINES, sources=("home",))
    bare = Derived(text="I like iron best.", dimension=Dimension.CHARACTERISTICS)
    made = addition(sheet, [(one, "I often hear the mill turn."), (bare, bare.text)], model="base")
    assert [(fact.id, fact.text) for fact in made.facts] == [
        ("often-hear-mill-turn", "I often hear the mill turn."),
        ("like-iron-best", "I like iron best."),
    ]
    assert made.marks["facts"] == {
        "often-hear-mill-turn": "routines and habits; from home; by base",
        "like-iron-best": "characteristics; from the identity; by base",
    }
