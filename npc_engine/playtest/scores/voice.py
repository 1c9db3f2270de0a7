"""Does a character still sound like itself? A distance of writing style to the sheet's own lines, by strings alone."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable

from npc_engine.sheets.schema import CharacterSheet

NGRAM = 3
# Fewer letters of a talk than these say nothing about a style.
MIN_CHARS = 80


def voice_text(sheet: CharacterSheet) -> str:
    """The lines in which the writer shows the voice: examples, greeting, farewell, authored lines."""
    fallbacks = sheet.fallbacks
    lines: list[str] = [example.character for example in sheet.voice.examples]
    lines += [sheet.greeting, sheet.farewell or ""]
    lines += [*fallbacks.unknown, *fallbacks.error, *fallbacks.refusal, *fallbacks.out_of_world, *fallbacks.busy]
    return " ".join(line for line in lines if line)


def voice_likeness(replies: Iterable[str], sheet: CharacterSheet) -> float | None:
    """How like the sheet's own lines some replies are written, 0 to 1; None of fewer than `MIN_CHARS` characters.

    The cosine of the counts of character trigrams, each damped by 1 + ln. Texts of one language share most trigrams, so
    figures lie close together: compare them between runs of one character, not between characters.

    Source: character n-grams as Stamatatos 2009, A Survey of Modern Authorship Attribution Methods, section 3.1.2.
    """
    text = _plain(" ".join(replies))
    if len(text) < MIN_CHARS:
        return None
    return _cosine(_profile(text), _profile(_plain(voice_text(sheet))))


def _plain(text: str) -> str:
    return re.sub(r"\d+", "0", " ".join(text.replace("’", "'").casefold().split()))


def _profile(text: str) -> dict[str, float]:
    counts = Counter(text[i : i + NGRAM] for i in range(len(text) - NGRAM + 1))
    return {gram: 1 + math.log(count) for gram, count in counts.items()}


def _cosine(one: dict[str, float], other: dict[str, float]) -> float:
    dot = sum(value * other.get(gram, 0.0) for gram, value in one.items())
    norm = math.sqrt(sum(v * v for v in one.values()) * sum(v * v for v in other.values()))
    return dot / norm if norm else 0.0
