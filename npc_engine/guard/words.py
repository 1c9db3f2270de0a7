"""The words of a text as the judge compares them: stems of content words, and phrases."""

from __future__ import annotations

from collections.abc import Iterable

from npc_engine.guard.quantities import quantities
from npc_engine.sheets.words import WORD, find_phrase, stem, words

__all__ = ["find_phrase", "is_content", "stems", "stems_of", "words"]

# Words that say little about what a sentence is about.
_STOP = frozenset(
    WORD.findall(
        "a about above after again all also am an and any are around as at away back be been before behind being "
        "below beside between both but by came can can't cannot come could did didn't do does doesn't done don't down "
        "each else even ever every few for from get give go going good got had has have haven't he her here hers him "
        "his how i i'd i'll i'm i've if in into is isn't it it's its just keep know let like little long look made "
        "make man many may me might more most much must my near never new no nor not nothing now of off old on once "
        "one only or other our out over own people put right said same say see she should so some something still "
        "such take tell than that that's the their them then there these they thing things think this those though "
        "time to too under until up upon us very want was wasn't way we well were what when where which while who "
        "whom whose why will with woman won't would yes yet you you'd you'll you're you've your"
    )
)


def is_content(word: str) -> bool:
    """Whether a word, in lower case, says something about what a text is about; a number does not."""
    return word not in _STOP and not word[0].isdigit()


def stems(text: str) -> frozenset[str]:
    """Stems of the content words of a text, and its numbers as "#40", however they are written."""
    plain = {stem(word) for word in words(text) if is_content(word)}
    return frozenset(plain | {f"#{one.value:g}" for one in quantities(text)})


def stems_of(texts: Iterable[str]) -> frozenset[str]:
    """All stems of several texts."""
    return frozenset().union(*map(stems, texts))
