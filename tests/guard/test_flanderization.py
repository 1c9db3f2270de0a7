import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_engine.guard.flanderization import (
    VoiceLexicon,
    catchphrases_in,
    flanderization_index,
    quirks_in,
    traits_in,
    without_catchphrases,
)
from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheets

SHEETS = load_sheets((shipped_sheets_dir(),))


def lexicon_of(sheet):
    examples = tuple(example.character for example in sheet.voice.examples)
    return VoiceLexicon(sheet.personality.catchphrases, sheet.personality.quirks, examples)


LEXICONS = {name: lexicon_of(sheet) for name, sheet in SHEETS.items()}
REWORDED = [
    ("aldith", "Penny on it.", "I'd put a penny on it, friend."),
    ("aldith", "Even money.", "It's even money whether he comes."),
    ("ambrose", "In ink, if you please.", "Sign it in ink, sir, if you please."),
    ("ambrose", "Let us be accurate.", "Let's be accurate about the date."),
    ("corin", "One moment, it's in the book.", "One moment please, it is in the book."),
    ("florian", "I am told it builds character.", "I'm told that it builds character."),
    ("gil", "Ask anyone on the river.", "Just ask anyone along the river."),
    ("hesta", "Steel first, talk after.", "Steel comes first, and talk after."),
    ("hesta", "It'll hold.", "It will hold."),
    ("nell", "I can show you on the board.", "I could show you that on the board."),
    ("perpetua", "It comes out in the wash.", "It will all come out in the wash, dear."),
    ("sabet", "I should be glad to be corrected.", "I'd be glad to be corrected."),
    ("septimus", "I refer you to my treatise.", "I must refer you once more to my treatise."),
    ("septimus", "I draw no conclusion. The rat has drawn it.", "I draw no conclusions."),
    ("sunniva", "Count your people.", "Count your people!"),
    ("teodor", "Nothing further to report.", "There is nothing further to report here."),
]


@pytest.mark.parametrize(("character", "phrase", "text"), REWORDED, ids=[text for _, _, text in REWORDED])
def test_a_catchphrase_is_found_in_other_words(character, phrase, text):
    assert [found.trait for found in catchphrases_in(text, LEXICONS[character])] == [phrase]
    (found,) = catchphrases_in(text, LEXICONS[character])
    assert 0 <= found.start < found.end <= len(text)


@pytest.mark.parametrize(
    ("character", "text"),
    [
        ("aldith", "A penny is all it costs."),
        ("aldith", "I even have money left."),
        ("ambrose", "There is ink on your sleeve."),
        ("hesta", "Hold the light, will you?"),
        ("gil", "Anyone can see the river."),
        ("teodor", "There is nothing here."),
        ("sunniva", "People count for little."),
    ],
)
def test_the_same_words_otherwise_are_no_catchphrase(character, text):
    assert catchphrases_in(text, LEXICONS[character]) == []


def test_no_authored_line_of_the_sheets_raises_a_false_alarm():
    lines = [
        text
        for sheet in SHEETS.values()
        for text in (
            *(example.character for example in sheet.voice.examples),
            *(fact.text for fact in sheet.facts),
            *(line for reason in sheet.fallbacks.model_fields_set for line in getattr(sheet.fallbacks, reason)),
        )
    ]
    assert len(lines) > 500
    alarms = [
        (found.trait, text)
        for lexicon in LEXICONS.values()
        for text in lines
        for found in catchphrases_in(text, lexicon)
    ]
    assert alarms == []


def test_a_quirk_shows_by_two_of_its_words():
    lexicon = LEXICONS["florian"]
    (quirk,) = quirks_in("I award those boots eight out of ten.", lexicon)
    assert "marks out of ten" in quirk.trait
    assert quirks_in("Those are fine boots.", lexicon) == []
    assert quirks_in("Fine boots. I gave no marks.", lexicon) == []  # in two sentences


def test_the_index_tells_a_caricature_from_the_voice():
    hesta = LEXICONS["hesta"]
    plain = "A short sword costs forty crowns."
    voice = "Good iron, clean fire, and I throw away the bad ones."
    caricature = "Steel first, talk after. It'll hold. Steel, I say."
    values = [flanderization_index(text, hesta) for text in (plain, voice, caricature)]
    assert values[0] == 0.0
    assert values[1] < 0.2
    assert values[2] > 0.7


def test_what_the_examples_show_counts_for_nothing():
    example = "Steel is steel, and bread is bread."
    own = VoiceLexicon(catchphrases=("Steel first.",), examples=(example,))
    assert 0 < own.baseline < 1
    assert flanderization_index(example, own) == pytest.approx(0.0)
    bare = VoiceLexicon(catchphrases=("Steel first.",))
    assert flanderization_index(example, bare) > 0


@given(st.text(max_size=200), st.lists(st.text(min_size=1, max_size=30), max_size=3))
def test_the_index_is_a_share_for_any_text(text, phrases):
    lexicon = VoiceLexicon(catchphrases=tuple(phrases), quirks=tuple(phrases[:1]), examples=(text[:50],))
    assert 0.0 <= flanderization_index(text, lexicon) <= 1.0
    for found in traits_in(text, lexicon):
        assert 0 <= found.start <= found.end <= len(text)


def test_without_traits_nothing_is_flanderized():
    assert flanderization_index("Steel first, talk after.", VoiceLexicon()) == 0.0


@pytest.mark.parametrize(
    ("sentence", "left"),
    [
        ("Forty crowns, steel first, talk after.", "Forty crowns."),
        ("Steel first, talk after, so that is forty crowns.", "That is forty crowns."),
        ("Forty crowns for steel first talk after you pay.", None),
        ("Steel first, talk after.", None),
        ("Forty crowns.", None),
    ],
)
def test_a_catchphrase_at_the_edge_can_be_taken_out(sentence, left):
    assert without_catchphrases(sentence, LEXICONS["hesta"]) == left
