from hypothesis import given
from hypothesis import strategies as st

from npc_engine.dialogue.controls import INACTIVE_CONTROLS, LengthBudget
from npc_engine.sheets.controls import ControlValues

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


def test_every_control_is_built_or_named_as_not_built():
    built = {"role_play", "max_words", "max_sentences"}
    assert built | set(INACTIVE_CONTROLS) == set(ControlValues.model_fields)
