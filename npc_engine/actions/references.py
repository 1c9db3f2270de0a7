"""What a line's words refer to: names, "the second one", "it", "that sword", and the number in it.

By string rules over what was said, so that what the player has plainly named is not left to a small model. What they
cannot settle is left open. Not covered: names in another wording ("the blade" for a sword), sums, "the other one".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from npc_engine.sheets.words import WORD, stem, words

_ORDINALS = {"first": 0, "former": 0, "second": 1, "third": 2, "fourth": 3, "fifth": 4, "last": -1, "latter": -1}
_ORDINAL = re.compile(
    rf"\b(?:the|that|this)\s+({'|'.join(_ORDINALS)})\b(?:\s+one)?(?!\s+(?:time|thing|night|day|week))", re.IGNORECASE
)
_PRONOUN = re.compile(
    r"\b(?:it|that one|this one|the same|another(?: one)?|them|those|these|that|this|one more|one)\b", re.IGNORECASE
)
_DENIED = re.compile(r"\b(?:not|instead of|rather than|no)\s+(?:the|a|an|your|that|any)?\s*$", re.IGNORECASE)
_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
)
_NUMBERS = {word: number for number, word in enumerate(f"{_UNITS} eighteen nineteen twenty".split())}
_NUMBERS |= {"thirty": 30, "forty": 40, "fifty": 50, "hundred": 100, "dozen": 12, "couple": 2, "pair": 2}
_NUMBER = re.compile(
    rf"(?<![\w.,-])(?:\d+(?:,\d{{3}})*(?:\.\d+)?|{'|'.join(_NUMBERS)})(?![\w-])(?!\.\d)", re.IGNORECASE
)
# "one" that counts nothing: "that one", "the second one", "one of them", "no one".
_PRONOUN_ONE = re.compile(
    r"\b(?:this|that|the|which|another|other|no|any|every|each|first|second|third|last|cheapest|\w+er)\s+$",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Talk:
    """What there is to refer to.

    Attributes:
        line: What the player says now.
        before: What was said before by both, oldest first.
    """

    line: str
    before: Sequence[str] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Everything, the newest first."""
        return (self.line, *reversed(self.before))


@dataclass(frozen=True)
class _Mention:
    start: int
    value: str


def named(text: str, values: Sequence[str]) -> tuple[str, ...]:
    """The values that a text names in full, in its order, each once; what it denies ("not the dagger") is left out."""
    return tuple(dict.fromkeys(one.value for one in _mentions(text, values) if not _DENIED.search(text[: one.start])))


def referred(talk: Talk, values: Sequence[str]) -> tuple[str, ...]:
    """The values that the line means: one where it is settled, several where it may be any of them, none where open."""
    if found := named(talk.line, values):
        return found
    if ordinal := _ORDINAL.search(talk.line):
        listed = next((found for text in reversed(talk.before) if len(found := named(text, values)) > 1), ())
        index = _ORDINALS[ordinal[1].lower()]
        if -len(listed) <= index < len(listed):
            return (listed[index],)
    if alike := _alike(talk.line, values):
        return alike if len(alike) == 1 else (_latest(talk, alike) or alike)
    if _PRONOUN.search(talk.line):
        return _latest(talk, values)
    return ()


def spelled_out(talk: Talk, values: Sequence[str]) -> str | None:
    """The line with the name that it refers to in the place of "it" or "the second one"; None where that is open."""
    if named(talk.line, values) or _alike(talk.line, values):
        return None
    pattern = _ORDINAL if _ORDINAL.search(talk.line) else _PRONOUN
    found = referred(talk, values) if pattern.search(talk.line) else ()
    return pattern.sub(lambda _: f"the {found[0]}", talk.line, count=1) if len(found) == 1 else None


def number_in(text: str) -> float | None:
    """The one number of a text, whole numbers as int; None where there is none or more than one."""
    found = [_value_of(one[0]) for one in _NUMBER.finditer(text) if not _is_pronoun(text, one)]
    return found[0] if len(found) == 1 else None


def has_number(text: str) -> bool:
    """Whether a text has any number."""
    return any(not _is_pronoun(text, one) for one in _NUMBER.finditer(text))


def clause_with(line: str, value: str) -> str:
    """The part of a line that names a value; the whole line where no part does."""
    parts = re.split(r"[,.;!?]|\band\b|\bthen\b|\bbut\b", line, flags=re.IGNORECASE)
    return next((part for part in parts if named(part, [value])), line)


def is_said(text: str, talk: Talk) -> bool:
    """Whether the talk has every word of a free text."""
    said = {stem(word) for part in talk.all for word in words(part)}
    return all(stem(word) in said for word in words(text))


def _mentions(text: str, values: Sequence[str]) -> Iterator[_Mention]:
    """Where the values stand in a text, in its order, whatever their number; "short sword" hides "sword" within it."""
    said = [(one.start(), stem(one[0].casefold().removesuffix("'s"))) for one in WORD.finditer(text)]
    places: dict[str, list[int]] = {}
    for at, (_, word) in enumerate(said):
        places.setdefault(word, []).append(at)
    found: list[tuple[int, int, str]] = []
    for value in values:
        wanted = _stems(value)
        found += [
            (at, at + len(wanted), value)
            for at in (places.get(wanted[0], ()) if wanted else ())
            if tuple(word for _, word in said[at : at + len(wanted)]) == wanted
        ]
    for start, end, value in sorted(found):
        if not any(other[0] <= start and end <= other[1] and other[1] - other[0] > end - start for other in found):
            yield _Mention(said[start][0], value)


@lru_cache(maxsize=16384)
def _stems(value: str) -> tuple[str, ...]:
    return tuple(stem(word) for word in words(value))


def _alike(line: str, values: Sequence[str]) -> tuple[str, ...]:
    """The values that share a word with the line: "that sword" for every sword."""
    said = {stem(word) for word in words(line)}
    return tuple(value for value in values if any(word in said for word in _stems(value) if len(word) > 2))


def _latest(talk: Talk, values: Sequence[str]) -> tuple[str, ...]:
    """What was named last: one value where the latest text that names any names one, else all that it names."""
    for text in reversed(talk.before):
        if found := named(text, values):
            return found
    return ()


def _is_pronoun(text: str, number: re.Match[str]) -> bool:
    if number[0].lower() != "one":
        return False
    return bool(_PRONOUN_ONE.search(text[: number.start()])) or text[number.end() :].lstrip().lower().startswith("of ")


def _value_of(number: str) -> float:
    word = number.lower()
    if word in _NUMBERS:
        return _NUMBERS[word]
    value = float(word.replace(",", ""))
    return int(value) if value.is_integer() else value
