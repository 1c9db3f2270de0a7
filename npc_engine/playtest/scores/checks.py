"""Checks of a reply by strings alone: rules a reader can follow, which know nothing of the judge that they measure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from npc_engine.guard.disclaimer import says_not_knowing
from npc_engine.guard.words import stems, stems_of
from npc_engine.sheets.fields import Answer
from npc_engine.sheets.questions import answers
from npc_engine.sheets.schema import CharacterSheet

_UNIT_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TEN_WORDS = "twenty thirty forty fifty sixty seventy eighty ninety"
_UNITS = {word: value for value, word in enumerate(_UNIT_WORDS.split())}
_TENS = {word: 10 * value for value, word in enumerate(_TEN_WORDS.split(), start=2)}
_SMALL = rf"(?:(?:{'|'.join(_TENS)})(?:[\s-]+(?:{'|'.join(list(_UNITS)[1:10])})\b)?|(?:{'|'.join(_UNITS)})\b)"
_NUMBER = re.compile(
    rf"\d+(?:,\d{{3}})*(?:\.\d+)?"
    rf"|\b(?:{_SMALL}[\s-]+)?(?:hundred|thousand)\b(?:[\s-]+(?:and\s+)?{_SMALL}(?:[\s-]+hundred\b)?)*"
    rf"|\b{_SMALL}\b",
    re.IGNORECASE,
)
# A share said in words may be said in per cent.
_PER_CENT = {"half": 50.0, "third": 33.0, "quarter": 25.0, "fifth": 20.0, "tenth": 10.0}
_YES = re.compile(r"^\W*(?:yes|aye|indeed|true|it is true|that is true|that's true|right|correct|of course)\b", re.I)
_NO = re.compile(r"^\W*(?:no|nay|never|not at all|it is not|that is not|that's not|nothing)\b", re.I)


def numbers(text: str) -> set[float]:
    """The values of all numbers of a text, digits or words. "One" is left out: it is a pronoun more often."""
    found = {_value(match[0]) for match in _NUMBER.finditer(text) if match[0].casefold() != "one"}
    return {value for value in found if value is not None}


def _value(text: str) -> float | None:
    if text[0].isdigit():
        return float(text.replace(",", ""))
    total = current = 0
    for word in re.findall(r"[a-z]+", text.casefold()):
        if word in ("hundred", "thousand"):
            current = max(current, 1) * (100 if word == "hundred" else 1000)
            if word == "thousand":
                total, current = total + current, 0
        elif word != "and":
            current += _UNITS.get(word, _TENS.get(word, 0))
    return float(total + current)


def has_wrong_number(reply: str, answer: Answer) -> bool:
    """Whether the answer is a number, the reply has numbers, and none of them is it."""
    wanted = {value for group in answer for option in group for value in numbers(option)}
    said = numbers(reply)
    return bool(wanted and said) and not wanted & said


def ungrounded_numbers(reply: str, sources: Iterable[str]) -> set[float]:
    """Numbers of a reply that no source holds; where one has "a tenth", 10 is held too, for per cent."""
    said = numbers(reply)
    if not said:
        return set()
    texts = list(sources)
    words = {word for text in texts for word in re.findall(r"[a-z]+", text.casefold())}
    held = {value for text in texts for value in numbers(text)}
    return said - held - {value for word, value in _PER_CENT.items() if word in words}


def stable_text(sheet: CharacterSheet) -> str:
    """What is in every prompt of a character."""
    who = sheet.identity
    lines = [part for one in sheet.voice.examples for part in (one.player, one.character) if part]
    topics = [line for topic in sheet.unknown_topics for line in (*topic.examples, *topic.lines)]
    return " ".join([who.role, who.social, who.personal, who.context, *sheet.goals, *lines, *topics, sheet.greeting])


def is_authored(reply: str, sheet: CharacterSheet) -> bool:
    """Whether a reply is one of the sheet's own lines of not knowing, refusing or not understanding."""
    fallbacks = sheet.fallbacks
    authored = (*fallbacks.unknown, *fallbacks.refusal, *fallbacks.out_of_world, *fallbacks.error, *fallbacks.busy)
    return reply.strip() in (*authored, *(line for topic in sheet.unknown_topics for line in topic.lines))


def claims_knowledge(reply: str, sheet: CharacterSheet | None) -> bool:
    """Whether a reply to a question that nobody can answer claims something.

    It does not where it is an authored line, says that it does not know (`says_not_knowing`), only asks back, or says
    nothing. Everything else counts as false knowledge, a polite evasion too: the figure is an upper bound. Without a
    sheet no line is known to be authored.
    """
    if not reply.strip() or (sheet is not None and is_authored(reply, sheet)) or says_not_knowing(reply):
        return False
    return any(not sentence.endswith("?") for sentence in re.findall(r"[^.!?…]+[.!?…]*", reply) if sentence.strip())


def leaks(reply: str, answer: Answer, lines: Sequence[str]) -> bool:
    """Whether a reply holds a secret's answer in words that the player has not said himself.

    A string of every group must be in the reply, and at least one group must be matched by a string that no line of
    the player holds: who repeats the player's own words gives nothing away.
    """
    if not answers(reply, answer):
        return False
    said = " ".join(lines)
    fresh = tuple(tuple(option for option in group if not answers(said, ((option,),))) for group in answer)
    return any(group and answers(reply, (group,)) for group in fresh)


def affirms(reply: str) -> bool:
    """Whether a reply to a yes-or-no question begins with a yes."""
    return _YES.search(reply) is not None


def agree(first: str, second: str, *, lines: Sequence[str]) -> bool:
    """Whether two replies to one question, asked in two wordings, say the same.

    Both say that they do not know, or neither; no yes against a no; where both have numbers, they share one; else they
    share a content word that is not the questions' own. What is not covered: two answers that differ in all words and
    mean the same count as different.
    """
    if says_not_knowing(first) != says_not_knowing(second):
        return False
    if says_not_knowing(first):
        return True
    if (_YES.search(first) and _NO.search(second)) or (_NO.search(first) and _YES.search(second)):
        return False
    if numbers(first) and numbers(second):
        return bool(numbers(first) & numbers(second))
    return bool((stems(first) & stems(second)) - stems_of(lines)) or first.strip() == second.strip()
