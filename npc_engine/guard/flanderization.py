"""How much of a text is the character's trademark: catchphrases found, quirks found, and the flanderization index.

A character flanderizes where it collapses into its loudest traits. What counts as a trait is its `VoiceLexicon`, made
from the sheet alone; every measure here is computed from a text and a lexicon, without a model.

Sources: "Deflanderization for Game Dialogue" (CPDC 2025) names the failure; the index and its baseline are this
engine's own, and docs/controls.md has the formula. What is not covered: a trait acted out in other words than the
sheet's; a quirk that is a gesture, which is not heard in speech at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from npc_engine.guard.segments import SentenceBuffer
from npc_engine.guard.words import is_content
from npc_engine.sheets.words import WORD, stem

# Of a phrase's words so many must be there, in order. Source: with these no line or fact of the shipped sheets holds
# another sheet's catchphrase, and all rewordings of tests/guard/test_flanderization.py are found.
MIN_PHRASE_SHARE = 0.6
# Words that may stand between a phrase's own: one in a phrase of up to four words, two in a longer one.
SHORT_PHRASE_WORDS = 4
# A quirk shows where so many of its content words do. Source: one such word also comes by chance.
MIN_QUIRK_STEMS = 2
_CONTRACTIONS = (
    (re.compile(r"\blet's\b"), "let us"),
    (re.compile(r"\bwon't\b"), "will not"),
    (re.compile(r"\bcan't\b"), "can not"),
    (re.compile(r"n't\b"), " not"),
    (re.compile(r"'ll\b"), " will"),
    (re.compile(r"'re\b"), " are"),
    (re.compile(r"'ve\b"), " have"),
    (re.compile(r"'m\b"), " am"),
    (re.compile(r"\b(it|that|he|she|what|there|here)'s\b"), r"\1 is"),
    (re.compile(r"'s\b"), ""),
)


@dataclass(frozen=True)
class _Token:
    """A word of a text: its stem, whether it says what the text is about, and where it stands."""

    stem: str
    is_content: bool
    start: int
    end: int


@dataclass(frozen=True)
class Found:
    """A trait found in a text.

    Attributes:
        trait: The catchphrase or quirk as the sheet has it.
        start: Of the words that show it, in the text.
        end: Behind them.
    """

    trait: str
    start: int
    end: int


@dataclass(frozen=True)
class VoiceLexicon:
    """What a character's trademarks are. Make it with `VoiceLexicon.of`.

    Attributes:
        catchphrases: The sheet's.
        quirks: The sheet's.
        examples: Lines that show the voice as it should be.
    """

    catchphrases: tuple[str, ...] = ()
    quirks: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()

    @cached_property
    def stems(self) -> frozenset[str]:
        """Stems of the trait vocabulary: the content words of catchphrases and quirks."""
        return frozenset(
            one.stem for text in (*self.catchphrases, *self.quirks) for one in _tokens(text) if one.is_content
        )

    @cached_property
    def baseline(self) -> float:
        """Share of the voice examples that is trait vocabulary or catchphrase: how much is right; 0 to below 1."""
        counts = [_trait_words(text, self) for text in self.examples]
        total = sum(num_words for _, num_words in counts)
        return min(0.9, sum(num_traits for num_traits, _ in counts) / total) if total else 0.0

    @cached_property
    def phrases(self) -> tuple[tuple[str, tuple[_Token, ...]], ...]:
        """Each sentence of each catchphrase, which may stand alone, with its words."""
        return tuple((text, tuple(_tokens(part))) for text in self.catchphrases for part in _sentences(text))

    @cached_property
    def quirk_stems(self) -> tuple[tuple[str, frozenset[str]], ...]:
        """Each quirk with the stems of its content words."""
        return tuple((text, frozenset(one.stem for one in _tokens(text) if one.is_content)) for text in self.quirks)


def flanderization_index(text: str, lexicon: VoiceLexicon) -> float:
    """The flanderization index of a text: 0 no more trademark than the sheet's own examples, 1 nothing else.

    index = max(0, (s - b) / (1 - b)), where s is the share of the text's words that are trait vocabulary or lie in a
    catchphrase (of its content words, and of the words of the catchphrases in it), and b the same share over the
    sheet's voice examples.
    """
    num_traits, num_words = _trait_words(text, lexicon)
    if num_words == 0:
        return 0.0
    share = num_traits / num_words
    return max(0.0, (share - lexicon.baseline) / (1.0 - lexicon.baseline))


def catchphrases_in(text: str, lexicon: VoiceLexicon) -> list[Found]:
    """Each catchphrase in a text, reworded a little or not: other endings, a word between, a small word changed.

    A phrase is there where all its content words are (one of four or more may be missing), in order, with
    `MIN_PHRASE_SHARE` of all its words; one whose words are mostly small must stand there word for word.
    """
    return list(_catchphrases_in(text, lexicon))


@lru_cache(maxsize=4096)
def _catchphrases_in(text: str, lexicon: VoiceLexicon) -> tuple[Found, ...]:
    tokens = _tokens(text)
    found = []
    for phrase, words in lexicon.phrases:
        at = 0
        while (span := _match(tokens, words, at)) is not None:
            found.append(Found(phrase, tokens[span[0]].start, tokens[span[1]].end))
            at = span[1] + 1
    return tuple(sorted(found, key=lambda one: one.start))


def quirks_in(text: str, lexicon: VoiceLexicon) -> list[Found]:
    """Each quirk that a sentence of the text shows: `MIN_QUIRK_STEMS` of its content words, or its only one."""
    found = []
    at = 0
    for sentence in _sentences(text):
        at = text.find(sentence, at)
        said = {one.stem for one in _tokens(sentence) if one.is_content}
        for quirk, stems in lexicon.quirk_stems:
            if stems and len(said & stems) >= min(MIN_QUIRK_STEMS, len(stems)):
                found.append(Found(quirk, at, at + len(sentence)))
    return found


def traits_in(text: str, lexicon: VoiceLexicon) -> list[Found]:
    """Catchphrases and quirks in a text, in the order of their places."""
    return sorted((*catchphrases_in(text, lexicon), *quirks_in(text, lexicon)), key=lambda one: one.start)


def without_catchphrases(sentence: str, lexicon: VoiceLexicon) -> str | None:
    """The sentence without a catchphrase that stands at its beginning or end behind a comma or dash.

    Returns:
        None where there is none, where it cannot be taken out so, or where fewer than two words would be left.
    """
    text = sentence
    for found in reversed(catchphrases_in(sentence, lexicon)):
        before, after = text[: found.start], text[found.end :]
        if not re.search(r"\w", after) and re.search(r"[,;:\u2013\u2014-]\s*(?:and|but|so)?\s*$", before):
            text = re.sub(r"[\s,;:\u2013\u2014-]+(?:and|but|so)?\s*$", "", before) + (after.strip(" ,;") or ".")
        elif not re.search(r"\w", before) and re.match(r"\s*[,;:\u2013\u2014-]", after):
            text = re.sub(r"^[\s,;:\u2013\u2014-]+(?:and |but |so )?", "", after)
        else:
            return None
    if text == sentence or len(text.split()) < 2:
        return None
    return text[:1].upper() + text[1:]


def _match(tokens: Sequence[_Token], phrase: Sequence[_Token], begin: int) -> tuple[int, int] | None:
    """First and last index of the first place from `begin` on where the phrase stands."""
    num_content = sum(one.is_content for one in phrase)
    if not phrase:
        return None
    is_exact = num_content <= 1 and len(phrase) < SHORT_PHRASE_WORDS + 1
    gap = (0 if len(phrase) == 2 and num_content < 2 else 1) if len(phrase) <= SHORT_PHRASE_WORDS else 2
    min_content = num_content - (num_content >= 4)
    min_words = len(phrase) if is_exact else max(2, round(MIN_PHRASE_SHARE * len(phrase)))
    if num_content <= 1 and not is_exact:
        min_words = len(phrase) - 1
    known = {one.stem for one in phrase}
    for first in range(begin, len(tokens)):
        if tokens[first].stem not in known:
            continue
        common = _common(tokens[first : first + len(phrase) + gap], phrase)
        if len(common) >= min_words and sum(phrase[at].is_content for _, at in common) >= min_content:
            return first + common[0][0], first + common[-1][0]
    return None


def _common(window: Sequence[_Token], phrase: Sequence[_Token]) -> list[tuple[int, int]]:
    """The longest common subsequence by stems, content words counting more: pairs of places in both."""
    best = [[0] * (len(phrase) + 1) for _ in range(len(window) + 1)]
    for i in range(len(window) - 1, -1, -1):
        for j in range(len(phrase) - 1, -1, -1):
            best[i][j] = max(best[i + 1][j], best[i][j + 1])
            if window[i].stem == phrase[j].stem:
                best[i][j] = max(best[i][j], best[i + 1][j + 1] + (3 if phrase[j].is_content else 2))
    pairs = []
    i = j = 0
    while i < len(window) and j < len(phrase):
        weight = 3 if phrase[j].is_content else 2
        if window[i].stem == phrase[j].stem and best[i][j] == best[i + 1][j + 1] + weight:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif best[i + 1][j] >= best[i][j + 1]:
            i += 1
        else:
            j += 1
    return pairs


def _trait_words(text: str, lexicon: VoiceLexicon) -> tuple[int, int]:
    """How many words are trait, of how many that count."""
    spans = [(one.start, one.end) for one in catchphrases_in(text, lexicon)]
    num_traits = num_words = 0
    for one in _tokens(text):
        is_spoken = any(start <= one.start < end for start, end in spans)
        if one.is_content or is_spoken:
            num_words += 1
            num_traits += is_spoken or one.stem in lexicon.stems
    return num_traits, num_words


def _tokens(text: str) -> list[_Token]:
    return list(_spelled_out(text))


def _spelled_out(text: str) -> Iterator[_Token]:
    """The words with contractions spelled out; both words of a contraction stand where it stands."""
    for found in WORD.finditer(text.replace("\u2019", "'")):
        word = found[0].casefold()
        for pattern, plain in _CONTRACTIONS:
            word = pattern.sub(plain, word)
        for part in word.split():
            yield _Token(stem(part), is_content(part), found.start(), found.end())


def _sentences(text: str) -> list[str]:
    buffer = SentenceBuffer()
    return [*buffer.feed(text), *buffer.flush()]
