"""Read the numbers, prices, times and measures of an English text: digits and words, with their units.

What is not covered: "one" without a unit (it is a pronoun more often than a number), "a crown" for one crown, ordinals,
roman numerals, sums spelled with "and" ("two crowns and four pennies" are two quantities).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

UnitKind = Literal["money", "time", "length", "weight", "volume"]

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_ONES = {word: value for value, word in enumerate(_SMALL.split())}
_DECADES = "twenty thirty forty fifty sixty seventy eighty ninety"
_TENS = {word: 10 * value for value, word in enumerate(_DECADES.split(), start=2)}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
_DOZENS = {"dozen": 12, "dozens": 12, "score": 20}
_FACTORS = {"twice": 2.0, "double": 2.0, "thrice": 3.0, "triple": 3.0}
_ORDINALS = "third fourth fifth sixth seventh eighth ninth tenth"
_PARTS = {word: 1 / value for value, word in enumerate(_ORDINALS.split(), start=3)} | {"quarter": 0.25}

_UNITS: dict[UnitKind, str] = {
    "money": "crown crowns|penny pennies pence|coin coins|gold|silver silvers|copper coppers|shilling shillings|"
    "mark marks|ducat ducats|florin florins|guinea guineas|sovereign sovereigns|groat groats|farthing farthings|"
    "dollar dollars|credit credits|cap caps|septim septims|gil|rupee rupees|piece pieces",
    "time": "second seconds|minute minutes|hour hours|o'clock oclock|day days|night nights|week weeks|month months|"
    "season seasons|winter winters|summer summers|year years|decade decades|century centuries",
    "length": "inch inches|foot feet|yard yards|pace paces|furlong furlongs|mile miles|league leagues|metre metres "
    "meter meters|kilometre kilometres kilometer kilometers",
    "weight": "ounce ounces|pound pounds|stone stones|ton tons|gram grams|kilo kilos",
    "volume": "pint pints|quart quarts|gallon gallons|barrel barrels|cask casks|bushel bushels|litre litres",
}
_UNIT: dict[str, tuple[str, UnitKind]] = {
    form: (forms.split()[0], kind)
    for kind, group in _UNITS.items()
    for forms in group.split("|")
    for form in forms.split()
}
# "gold crowns": the metal is no unit of its own where one follows.
_METALS = frozenset({"gold", "golden", "silver", "copper", "good", "full", "whole"})
_TOKEN = re.compile(r"[0-9]+(?:[.,][0-9]+)*|o'clock|[^\W\d_]+", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A number in a text.

    Attributes:
        value: Its value.
        unit: Its unit's singular, where one follows.
        kind: What that unit measures.
        start: Where it begins in the text.
        number_end: Where the number itself ends.
        end: Where it ends with its unit.
    """

    value: float
    unit: str | None
    kind: UnitKind | None
    start: int
    number_end: int
    end: int

    def agrees(self, other: Quantity) -> bool:
        """Whether both say the same; a missing unit agrees with every unit."""
        return abs(self.value - other.value) < 1e-6 and (self.unit == other.unit or None in (self.unit, other.unit))


def quantities(text: str) -> list[Quantity]:
    """Every number of a text, in order."""
    flat = text.replace("’", "'")
    return list(_quantities(flat, list(_TOKEN.finditer(flat))))


def _quantities(text: str, tokens: list[re.Match[str]]) -> Iterator[Quantity]:
    index = 0
    while index < len(tokens):
        read = _number(text, tokens, index)
        if read is None:
            index += 1
            continue
        value, after = read
        unit, unit_after = _unit(text, tokens, after)
        is_pronoun = after == index + 1 and _word(tokens, index) == "one" and unit is None
        if not is_pronoun:
            number_end = tokens[after - 1].end()
            yield Quantity(
                value=value,
                unit=unit[0] if unit else None,
                kind=unit[1] if unit else None,
                start=tokens[index].start(),
                number_end=number_end,
                end=tokens[unit_after - 1].end() if unit else number_end,
            )
        index = max(after, index + 1)


def _word(tokens: list[re.Match[str]], index: int) -> str:
    return tokens[index][0].casefold() if index < len(tokens) else ""


def _joined(text: str, tokens: list[re.Match[str]], index: int) -> bool:
    """Whether only a space or a hyphen stands before the token."""
    return index < len(tokens) and text[tokens[index - 1].end() : tokens[index].start()] in (" ", "-", " - ")


def _number(text: str, tokens: list[re.Match[str]], index: int) -> tuple[float, int] | None:
    """The value of the number that begins at a token, and the index after it."""
    word = _word(tokens, index)
    if word[0] in "0123456789":
        digits = word if re.fullmatch(r"[0-9]+[.,][0-9]{1,2}", word) else word.replace(",", "")
        digits = digits.replace(",", ".")
        if digits.count(".") > 1:
            return None
        after = tokens[index].end()
        if re.match(r"(?:st|nd|rd|th)\b", text[after:]):
            return None
        return _scaled(text, tokens, float(digits), index + 1)
    if word == "half":
        after = index + 1 + (_word(tokens, index + 1) in ("a", "an"))
        if _word(tokens, after) == "dozen":
            return 6.0, after + 1
        return 0.5, index + 1
    if word in _FACTORS:
        return _FACTORS[word], index + 1
    if word in ("a", "an") and _word(tokens, index + 1) in (*_DOZENS, *_SCALES):
        return _scaled(text, tokens, 1.0, index + 1)
    if word in ("a", "one", "two", "three") and _part(text, tokens, index + 1):
        part = _PARTS[_word(tokens, index + 1).removesuffix("s")]
        return part * _ONES.get(word, 1), index + 2
    if word in _DOZENS and word != "score":
        return 12.0, index + 1
    return _spelled(text, tokens, index)


def _spelled(text: str, tokens: list[re.Match[str]], index: int) -> tuple[float, int] | None:
    word = _word(tokens, index)
    if word in _ONES:
        return _scaled(text, tokens, float(_ONES[word]), index + 1)
    if word not in _TENS:
        return None
    value, after = float(_TENS[word]), index + 1
    if _joined(text, tokens, after) and 0 < _ONES.get(_word(tokens, after), 0) < 10:
        value, after = value + _ONES[_word(tokens, after)], after + 1
    return _scaled(text, tokens, value, after)


def _scaled(text: str, tokens: list[re.Match[str]], value: float, after: int) -> tuple[float, int]:
    """Go on with "hundred", "dozen", and what "and" adds to them."""
    while _joined(text, tokens, after) and (scale := (_SCALES | _DOZENS).get(_word(tokens, after))):
        value, after = value * scale, after + 1
        rest = after + (_word(tokens, after) == "and")
        if scale >= 100 and rest < len(tokens) and _joined(text, tokens, after):
            more = _spelled(text, tokens, rest)
            if more is not None and more[0] < scale:
                value, after = value + more[0], more[1]
    return value, after


def _part(text: str, tokens: list[re.Match[str]], index: int) -> bool:
    """Whether the token is a fraction's denominator: "a third of it", not "a third sword"."""
    if _word(tokens, index).removesuffix("s") not in _PARTS:
        return False
    rest = text[tokens[index].end() :]
    return not rest.strip() or bool(re.match(r"\s+(?:of|off|more|less)\b|\s*[.,;:!?…]", rest))


def _unit(text: str, tokens: list[re.Match[str]], index: int) -> tuple[tuple[str, UnitKind] | None, int]:
    if not _joined(text, tokens, index):
        return None, index
    word = _word(tokens, index)
    if (word in _METALS or word == "a") and _joined(text, tokens, index + 1):
        following = _UNIT.get(_word(tokens, index + 1))
        if following is not None:
            return following, index + 2
    return (_UNIT[word], index + 1) if word in _UNIT else (None, index)


def unexplained(text: str, allowed: Iterable[Quantity], *, counts: Iterable[Quantity] = ()) -> list[Quantity]:
    """The numbers of a text that nothing allowed says.

    Args:
        text: What is checked.
        allowed: Numbers that may be said.
        counts: Numbers that the player asked with: a price times such a count may be said too.
    """
    known = list(allowed)
    factors = [count.value for count in counts if count.unit is None and count.value >= 2]
    return [
        one
        for one in quantities(text)
        if not any(one.agrees(other) for other in known)
        and not any(
            other.kind == "money" and one.unit in (other.unit, None) and abs(one.value - factor * other.value) < 1e-6
            for other in known
            for factor in factors
        )
    ]
