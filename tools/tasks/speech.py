"""Measures of a reply by strings: is it grounded, how long is it, how does it sound, how far is it from gold.

All are pure; what they need to know is given. They say nothing about whether a reply is good: read them beside gold's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sacrebleu.metrics import CHRF

from npc_engine.dialogue.lexical import terms
from npc_engine.guard.disclaimer import says_not_knowing
from npc_engine.playtest.scores.checks import numbers, ungrounded_numbers

# What shop assistants of language models say whatever was asked. Written by hand; gold's own rate stands beside.
STOCK_PHRASES = (
    r"(?:great|excellent|good|wise|fine|wonderful|perfect) (?:choice|question|decision|selection)",
    r"feel free",
    r"(?:i'm|i am|i'd be|i would be|always) (?:more than )?(?:happy|glad|here|pleased) to (?:help|assist|serve)",
    r"(?:how|what) (?:can|may|could) i (?:do|help|assist)",
    r"anything else (?:i can|you(?:'d| would)? (?:need|like))",
    r"let me know if",
    r"don't hesitate",
    r"rest assured",
    r"you won't (?:be disappointed|regret)",
    r"look no further",
    r"safe travels",
    r"may (?:your|the|fortune|luck)\b.{0,40}\b(?:journey|guide|favou?r|be with you|blade|path)",
    r"as (?:an? (?:ai|assistant)|you (?:may|might) know)",
    r"certainly! ",
    r"welcome to (?:my|our)",
)
_STOCK = re.compile("|".join(rf"(?:{phrase})" for phrase in STOCK_PHRASES), re.IGNORECASE)
_ARCHAIC = re.compile(
    r"\b(?:thee|thou|thy|thine|hath|doth|ye|aye|nay|'tis|'twas|verily|forsooth|hark|prithee|mayhap|whence|hither|thither|"
    r"betwixt|ere|oft|alas|lo|behold)\b",
    re.IGNORECASE,
)
_CHRF = CHRF()
# Words of a persona that every talk uses say nothing about role-play.
_MIN_PERSONA_CHARS = 4


def num_words(reply: str) -> int:
    """Words by spaces."""
    return len(reply.split())


def num_exclamations(reply: str) -> int:
    """Exclamation marks."""
    return reply.count("!")


def has_stock_phrase(reply: str) -> bool:
    """Whether it holds one of `STOCK_PHRASES`."""
    return _STOCK.search(reply.replace("\u2019", "'")) is not None


def num_archaic(reply: str) -> int:
    """Words that nobody has said since the seventeenth century."""
    return len(_ARCHAIC.findall(reply.replace("\u2019", "'")))


def has_asterisk(reply: str) -> bool:
    """Whether it has stage directions or emphasis in asterisks."""
    return "*" in reply


def loose_numbers(reply: str, sources: Iterable[str]) -> set[float]:
    """Numbers of a reply that no source holds; as `tools.consistency.checks.ungrounded_numbers`."""
    return ungrounded_numbers(reply, sources)


def contradicts_results(reply: str, results: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a reply contradicts what the game has just answered, as far as strings tell.

    It does where it says that it does not know although data came back, or where results and reply both have numbers
    and share none. What is not covered: every other contradiction.
    """
    texts = [result_text(result) for result in results if result]
    if not texts:
        return False
    if says_not_knowing(reply):
        return True
    held = {value for text in texts for value in numbers(text)}
    said = numbers(reply)
    return bool(held and said) and not held & said


def result_text(result: Any) -> str:
    """All that a result says, as one text."""
    match result:
        case dict():
            return "; ".join(f"{key.replace('_', ' ')}: {result_text(value)}" for key, value in result.items())
        case list() | tuple():
            return "; ".join(result_text(one) for one in result)
        case None:
            return ""
        case _:
            return str(result)


def counts(result: Any) -> list[int]:
    """How many things each list in a result has, the result itself as one of one."""
    if isinstance(result, list | tuple):
        return [len(result), *(number for one in result for number in counts(one))]
    if isinstance(result, dict):
        return [number for one in result.values() for number in counts(one)]
    return []


def chrf(reply: str, gold: str) -> float:
    """Character n-gram F-score, 0 to 1 (Popović 2015, chrF; sacrebleu's settings: n = 1 to 6, beta = 2)."""
    return float(_CHRF.sentence_score(reply, [gold]).score) / 100


def unprompted_persona(reply: str, persona: Iterable[str], context: Iterable[str]) -> set[str]:
    """Stems that a reply has from the persona and from nowhere else in what it was given.

    Args:
        reply: What was said.
        persona: The persona's texts.
        context: Everything else: the talk, the line, results, items, general information, functions, role.
    """
    own = {word for text in persona for word in terms(text) if len(word) >= _MIN_PERSONA_CHARS}
    given = {word for text in context for word in terms(text)}
    return set(terms(reply)) & own - given


def has_phrase(reply: str, phrases: Iterable[str]) -> bool:
    """Whether a reply holds one of the phrases, without case."""
    text = reply.casefold().replace("\u2019", "'")
    return any(phrase.casefold().replace("\u2019", "'") in text for phrase in phrases)
