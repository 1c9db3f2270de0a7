"""Model text on its way to the player: what streams, what is held, what the length budget lets through."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npc_engine.dialogue.events import Sentence, Token
from npc_engine.guard.segments import is_whole
from npc_engine.models.build import build_decoder
from tests.recital import write_reciter
from tests.talk import mara, say, talking

CASES = {
    "a plain reply": (["Forty", " crowns.", " Not less."], ["Forty crowns.", "Not less."], "stop"),
    "no full stop at the end": (["Sure.", " Forty", " crowns"], ["Sure.", "Forty crowns"], "stop"),
    "no full stop at all": (["Forty", " crowns"], ["Forty crowns"], "stop"),
    "the player's part after one sentence": (["Forty", " crowns.", "\nPlayer: Good."], ["Forty crowns."], "stop"),
    "the player's part after two": (
        ["Sure. ", "Forty", " it is.", "\nPlayer: Good."],
        ["Sure.", "Forty it is."],
        "stop",
    ),
    "one sentence too many": (["One. ", "Two. ", "Three. ", "Four. ", "Five."], ["One.", "Two.", "Three."], "stop"),
    "a stage direction first": (["*nods* ", "Forty."], ["Forty."], "stop"),
    "a stage direction last": (["Forty.", " *nods*"], ["Forty."], "stop"),
    "thoughts": (["<think>", "a price", "</think>", "Forty."], ["Forty."], "stop"),
    "her own tag": (["Mara:", " Forty."], ["Forty."], "stop"),
}


@pytest.mark.parametrize(("pieces", "sentences", "finish_reason"), CASES.values(), ids=CASES.keys())
async def test_what_is_said(sheet, reciter, word_encoder, pieces, sentences, finish_reason):
    async with talking(sheet, model=reciter(*pieces), encoder=word_encoder) as dialogue:
        heard = await say(dialogue.open_conversation("mara", player_id="p"), "Hello.")
    assert heard.sentences == sentences
    assert heard.spoken == heard.end.text == " ".join(sentences)
    assert (heard.end.source, heard.end.finish_reason) == ("model", finish_reason)


async def test_a_sentence_too_long_for_the_rest_of_the_budget_is_left_out(tmp_path, reciter, word_encoder):
    sheet = mara(tmp_path, ("max_words: 40", "max_words: 6"))
    pieces = ("One two three.", " Four five six seven.", " Eight.")
    async with talking(sheet, model=reciter(*pieces), encoder=word_encoder) as dialogue:
        heard = await say(dialogue.open_conversation("mara", player_id="p"), "Hello.")
    assert heard.sentences == ["One two three."]
    assert heard.end.finish_reason == "length"


async def test_only_the_first_sentence_streams(sheet, reciter, word_encoder):
    model = reciter("One", " two", " three.", " Four", " five.")
    async with talking(sheet, model=model, encoder=word_encoder) as dialogue:
        heard = await say(dialogue.open_conversation("mara", player_id="p"), "Hello.")
    assert [type(event) for event in heard.events[:-1]] == [Token, Token, Token, Sentence, Token, Sentence]


async def test_the_player_is_not_spoken_for(sheet, reciter, word_encoder):
    async with talking(sheet, model=reciter("Forty. ", "\nAda Byron: Good."), encoder=word_encoder) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p", player_name="Ada Byron")
        assert (await say(conversation, "Hello.")).end.text == "Forty."


PIECES = [
    *(f" {word}" for word in ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]),
    *(f" {word}." for word in ["red", "green", "blue", "white", "black", "grey"]),
    *(f" {word}!" for word in ["oh", "no", "yes", "stop"]),
    *(f" {word}?" for word in ["who", "what"]),
    *(" Mr. Vale", " 4.50 crowns", " wait...", " (sighs)", " [nods]", " *bows*", " <b>", "\n\n", '"Quoted,"', " —"),
    *("\nPlayer:", "\nMara:", "\n- item", "**", " e.g.", " crème", " 🙂", "<think>", "</think>"),
]


@settings(max_examples=40, deadline=None)
@given(
    pieces=st.lists(st.sampled_from(PIECES), min_size=1, max_size=45, unique=True),
    max_words=st.integers(4, 30),
    max_sentences=st.integers(1, 5),
    is_endless=st.booleans(),
)
def test_the_length_budget_holds(tmp_path_factory, word_encoder, pieces, max_words, max_sentences, is_endless):
    folder = tmp_path_factory.mktemp("spoken")
    again_from = 0 if is_endless else None
    (folder / "model").mkdir()
    build_decoder(
        write_reciter(folder / "stub.gguf", *pieces, again_from=again_from), folder / "model", precision="fp32"
    )
    budget = f"max_words: {max_words}, max_sentences: {max_sentences}"
    sheet = mara(folder, ("max_words: 40, max_sentences: 3", budget))

    async def turn():
        async with talking(sheet, model=folder / "model", encoder=word_encoder) as dialogue:
            return await say(dialogue.open_conversation("mara", player_id="p"), "Hello.")

    heard = asyncio.run(turn())
    sentences = heard.sentences
    assert heard.spoken == heard.end.text == " ".join(sentences)
    assert [sentence.index for sentence in heard.of(Sentence)] == list(range(len(sentences)))
    assert 1 <= len(sentences) <= max_sentences
    assert len(sentences) == 1 or len(heard.end.text.split()) <= max_words
    assert all(is_whole(sentence) for sentence in sentences[:-1])
    # What the token limit cuts is only ever heard where it is all there is.
    assert is_whole(sentences[-1]) or heard.end.finish_reason == "stop" or len(sentences) == 1
