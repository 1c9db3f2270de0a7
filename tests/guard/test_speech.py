import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_engine.guard.segments import SentenceBuffer
from npc_engine.guard.speech import SpeechCleaner, clean

CASES = {
    "plain": ("Forty crowns, and not one less.", "Forty crowns, and not one less."),
    "stage direction": ("*wipes her hands* Forty crowns.", "Forty crowns."),
    "stage direction in the middle": ("Forty *sighs* crowns.", "Forty crowns."),
    "brackets": ("[laughs] No.", "No."),
    "parenthesis at a sentence start": ("(She looks up.) Yes? (Pauses) Go on.", "Yes? Go on."),
    "parenthesis inside a sentence is speech": ("My boat (the Gull) sank.", "My boat (the Gull) sank."),
    "bold is emphasis": ("A **longsword**, then.", "A longsword, then."),
    "think block": ("<think>\nThe player wants a price.\n</think>\n\nForty crowns.", "Forty crowns."),
    "open think block": ("<think> hmm", ""),
    "own tag": ("Mara: Forty crowns.", "Forty crowns."),
    "own full name tag": ("Mara Holt: Forty crowns.", "Forty crowns."),
    "bold tag": ("**Mara:** Forty crowns.", "Forty crowns."),
    "assistant tag": ("Assistant: Forty crowns.", "Forty crowns."),
    "somebody else speaks": ("Forty crowns.\nPlayer: I take it.\nMara: Good.", "Forty crowns."),
    "the player's name": ("Forty.\nAda: I take it.", "Forty."),
    "quoted whole": ('"Forty crowns," she said. "Not less."', "Forty crowns, she said. Not less."),
    "list": ("I have:\n- a dagger\n- a bow", "I have: a dagger a bow"),
    "html": ("<b>Forty</b> crowns", "Forty crowns"),
    "white space": ("  Forty \n\n crowns .", "Forty crowns."),
    "a lone star": ("Five * three", "Five three"),
    "a word that begins like a name": ("Maravilla is far.", "Maravilla is far."),
}


@pytest.mark.parametrize(("raw", "speech"), CASES.values(), ids=CASES.keys())
def test_speech_is_what_is_said(raw, speech):
    assert clean(raw, speaker="Mara Holt", others=["Ada"]) == speech


@given(st.text(alphabet='aM:*[]()<>/think \n"-.!1u', max_size=60), st.integers(1, 7))
def test_streamed_equals_whole(raw, size):
    cleaner = SpeechCleaner(speaker="M")
    pieces = [cleaner.feed(raw[i : i + size]) for i in range(0, len(raw), size)]
    streamed = "".join(pieces) + cleaner.flush()
    assert streamed == clean(raw, speaker="M")


def test_first_word_is_not_held_back():
    assert SpeechCleaner(speaker="Mara").feed("Forty cr") == "Forty cr"


@given(st.text(alphabet="ab .!?…\nMr", max_size=60))
def test_sentences_do_not_depend_on_how_text_arrives(text):
    whole, by_character = SentenceBuffer(), SentenceBuffer()
    expected = whole.feed(text) + whole.flush()
    got = [sentence for character in text for sentence in by_character.feed(character)]
    assert got + by_character.flush() == expected


def test_abbreviations_do_not_end_a_sentence():
    buffer = SentenceBuffer()
    assert buffer.feed("Ask Mr. Vale. He ") == ["Ask Mr. Vale."]
    assert buffer.flush() == ["He"]
