import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from npc_engine.config import EngineConfig
from npc_engine.dialogue.controls import LengthBudget, engine_controls
from npc_engine.sheets.controls import ControlOverrides, ControlValues

SENTENCES = st.lists(st.integers(1, 40).map(lambda words: " ".join(["word"] * words)), max_size=12)


@given(SENTENCES, st.integers(4, 300), st.integers(1, 12))
def test_a_reply_stays_within_its_budget(sentences, max_words, max_sentences):
    budget = LengthBudget(ControlValues(max_words=max_words, max_sentences=max_sentences))
    admitted = [sentence for sentence in sentences if budget.admit(sentence)]
    assert budget.num_sentences == len(admitted) <= max_sentences
    assert budget.num_words == sum(len(sentence.split()) for sentence in admitted)
    assert len(admitted) <= 1 or budget.num_words <= max_words
    assert admitted[:1] == sentences[:1]
    assert budget.is_spent == (budget.num_words >= max_words or len(admitted) == max_sentences)


@given(st.integers(4, 300))
def test_tokens_are_enough_for_the_words(max_words):
    assert LengthBudget(ControlValues(max_words=max_words)).max_new_tokens > max_words


@pytest.mark.parametrize("name", ControlOverrides.model_fields)
@pytest.mark.parametrize("value", [-1, 0, 0.5, 1, 1.5, 4, 12, 13, 20, 21, 100, 101, 300, 301])
def test_the_configuration_takes_what_sheets_take(name, value):
    def takes(settings):
        try:
            settings(**{name: value})
        except ValidationError:
            return False
        return True

    assert takes(EngineConfig) == takes(ControlOverrides)


def test_the_engine_s_controls_are_the_configuration_s():
    assert engine_controls(EngineConfig()) == ControlOverrides()
    assert engine_controls(EngineConfig(role_play=0.2, quirk_budget=3)) == ControlOverrides(
        role_play=0.2, quirk_budget=3
    )
