"""The words of a text as lint compares them: stems of content words, numbers, negations.

The judge of replies has its own word lists (guard/words.py): it asks what a reply may say, this asks what two authored
sentences have in common.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from npc_engine.sheets.words import WORD, find_phrase, stem, words

__all__ = ["document_frequency", "find_phrase", "frame", "has_number", "is_negative", "numbers", "stems", "words"]

_STOP = frozenset(
    WORD.findall(
        "a about after again all also am an and any are around as at away be because been before being both but by can "
        "could did do does down each else every few for from get give go going had has have he her here hers him his "
        "how i i'd i'll i'm i've if in into is it it's its just me more most much my now of off on once only or other "
        "our out over own she so some such than that that's the their them then there these they this those to too "
        "under until up us very was way we were what when where which while who whom whose why will with would you "
        "you'd you're you've your yours s"
    )
)
_NEGATIVE = frozenset(
    WORD.findall(
        "no not never none nobody nothing neither nor without cannot can't don't doesn't didn't won't wouldn't isn't "
        "aren't wasn't weren't hasn't haven't hadn't couldn't shouldn't"
    )
)
_ONES = WORD.findall(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = WORD.findall("twenty thirty forty fifty sixty seventy eighty ninety")
_VALUES = {word: value for value, word in enumerate(_ONES)} | {word: 10 * ten for ten, word in enumerate(_TENS, 2)}
_VALUES |= {"hundred": 100, "thousand": 1000, "dozen": 12}
_PARTS = frozenset(
    WORD.findall("half third quarter fifth sixth seventh eighth ninth tenth double twice thrice free nothing penny")
)
# Verbs that name a price: "costs 40 crowns", "I charge 40 crowns" and "sells for 40 crowns" say one thing.
_PRICE = frozenset(WORD.findall("charge charges cost costs price priced ask pay pays sell sells fee"))


@lru_cache(maxsize=16384)
def stems(text: str) -> frozenset[str]:
    """Stems of the content words of a text; numbers and negations are not among them."""
    return frozenset(
        stem(word)
        for word in words(text)
        if word not in _STOP and word not in _NEGATIVE and word not in _VALUES and not word[0].isdigit()
    )


@lru_cache(maxsize=16384)
def frame(text: str) -> frozenset[str]:
    """What a sentence is about when its numbers and negations are left out; verbs of price count as one."""
    plain = frozenset(stem(word) for word in _PRICE)
    found = stems(text)
    return frozenset(found - plain | ({"$price"} if found & plain else frozenset()))


@lru_cache(maxsize=16384)
def numbers(text: str) -> tuple[float, ...]:
    """The numbers of a text, sorted: digits and words. "One" alone is a pronoun more often and is left out."""
    found: list[float] = []
    run = 0.0
    is_open = False
    for word in [*re.findall(r"\d+(?:[.,]\d+)*|[^\W\d_]+", text.casefold()), ""]:
        if word[:1].isdigit():
            found.append(float(word.replace(",", "")) if word.replace(",", "").count(".") < 2 else 0.0)
        elif word in _VALUES:
            value = _VALUES[word]
            run = max(run, 1) * value if value >= 100 or word == "dozen" else run + value
            is_open = True
            continue
        elif word == "and" and is_open:
            continue
        if is_open and run != 1:
            found.append(run)
        run, is_open = 0.0, False
    return tuple(sorted(found))


def has_number(text: str) -> bool:
    """Whether a text says an amount in any form: 40, forty, one penny, half, a tenth, free."""
    return bool(numbers(text)) or any(word in _PARTS or word.isdigit() or word == "one" for word in words(text))


def is_negative(text: str) -> bool:
    """Whether a text denies: an odd number of negative words."""
    return sum(word in _NEGATIVE for word in words(text)) % 2 == 1


def document_frequency(texts: Iterable[str]) -> Counter[str]:
    """In how many of some texts each stem occurs."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(stems(text))
    return counts
