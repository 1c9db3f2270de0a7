"""From ids and text to sentences with the ids to go on from."""

from hypothesis import given
from hypothesis import strategies as st

from npc_engine.dialogue.drafting import Segmenter
from npc_engine.guard.speech import SpeechCleaner

START = (1000,)


def segment(pieces):
    """Each character is its own id; a piece is what one token carries."""
    segmenter = Segmenter(SpeechCleaner(speaker="Mara"), start_ids=START, encode=lambda text: [*map(ord, text)])
    drafted = [one for index, piece in enumerate(pieces) for one in segmenter.feed([2000 + index], piece)]
    return [*drafted, *segmenter.flush()]


def test_a_sentence_ends_with_its_last_token():
    first, second = segment(["Sure", ".", " Forty", "."])
    assert (first.text, first.ids, first.is_last) == ("Sure.", (*START, 2000, 2001), False)
    assert (second.text, second.ids, second.is_last) == ("Forty.", (*START, 2000, 2001, 2002, 2003), True)


def test_a_token_that_carries_the_next_sentence_is_cut_before_it():
    first, second = segment(["I sell", " forty", ". Then", " no."])
    assert (first.text, first.ids) == ("I sell forty.", (*START, 2000, 2001, ord(".")))
    assert (second.text, second.ids) == ("Then no.", (*START, 2000, 2001, 2002, 2003))


def test_what_is_not_speech_belongs_to_no_sentence():
    first, second = segment(["*nods*", " Sure.", " (sighs)", " Forty."])
    assert (first.text, first.ids) == ("Sure.", (*START, 2000, 2001))
    assert (second.text, second.ids) == ("Forty.", (*START, 2000, 2001, 2002, 2003))


def spoken(text):
    return "".join(text.replace("(sighs)", "").split())


@given(
    st.lists(st.sampled_from(["Yes", " no", ".", ". Then", "! ", " Mr.", "?", " well,", "  ", " (sighs)"]), max_size=20)
)
def test_ids_only_grow_and_spell_what_was_said(pieces):
    spelled = dict(enumerate(pieces, start=2000))
    drafted = segment(pieces)
    for one in drafted:
        raw = "".join(spelled[i] if i >= 2000 else chr(i) for i in one.ids[1:])
        assert spoken(raw).endswith(spoken(one.text))
    assert [one.is_last for one in drafted] == [False] * (len(drafted) - 1) + [True] * bool(drafted)
