"""Whom a line is meant for: those it calls by name, all of them, or whoever was last spoken with.

Rules over English wordings. A name that is only mentioned ("Hesta, is Corin honest?") is not called.

What is not covered: apposition ("my friend, Corin, told me" calls Corin), nicknames, pronouns, other languages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

How = Literal["named", "everyone", "last", "first"]

_TITLE = (
    r"(?:(?:sister|brother|captain|master|mistress|mister|mr|mrs|miss|sir|lady|lord|dame|father|mother|my\s+dear|dear"
    r"|good|old|young)\.?\s+)?"
)
# What may stand right before a name that is called.
_OPENER = (
    r"(?:hey|hello|hi|hail|ho|oh|ah|well|welcome|greetings|good\s+(?:day|morning|afternoon|evening|night)|goodbye|bye"
    r"|farewell|thank\s+you|thanks|please|sorry|forgive\s+me|excuse\s+me|listen|look|say|tell\s+me|yes|no"
    r"|and\s+you|you|what\s+about\s+you|how\s+about\s+you)"
)
# These open a call only where a comma follows the name: "And Corin, what do you think?", not "And Corin?".
_CONNECTIVE = r"(?:and|but|so|now|then)"
_CLAUSE_BEGINS = r"(?:^|[.!?…;:—–][\"”')]*\s*|\s-\s*)"
_CALLED_BEFORE = re.compile(rf"(?:{_CLAUSE_BEGINS}|,\s*|(?:{_CLAUSE_BEGINS}|,\s*){_OPENER}[\s,]+){_TITLE}$", re.I)
_CONNECTIVE_BEFORE = re.compile(rf"{_CLAUSE_BEGINS}{_CONNECTIVE}\s+{_TITLE}$", re.I)
_SENTENCE_BEFORE = re.compile(rf"[.!?…][\"”')]*\s+{_TITLE}$", re.I)
_CALLED_AFTER = re.compile(r"\s*(?:$|[,.!?;:…—–\"”]|-\s)")
_SENTENCE_AFTER = re.compile(r"\s*(?:$|[.!?…])")
# What follows a name that is called without a comma: a question to "you", a request, the speaker himself.
_CUE_AFTER = re.compile(
    r"\s+(?:(?:what|how|why)\b"
    r"|(?:who|whose|which|where|when)\b(?=.*(?:\byour?s?\b|\?))"
    r"|(?:do|did|can|could|will|would|are|were|have|had|may|must|should|don't|won't|can't|aren't)\s+you\b"
    r"|(?:you|your|please|tell|give|show|sell|say|listen|look|come|wait|stop|help|take|let|answer|explain)\b"
    r"|(?:I|I'm|I'd|I'll|I've|we)\b)",
    re.I,
)
_AND = re.compile(r"(?P<comma>,?)\s*(?:\band\b|&)\s*", re.I)
_COMMA = re.compile(r"\s*,\s*")
_COUNT = r"(?:\s+(?:two|three|four|five))?"
_ALL_OF_YOU = re.compile(
    rf"\b(?:both|all|each|any|either|neither|which){_COUNT}\s+of\s+you\b"
    r"|\byou\s+(?:both|two|three|four|lot)\b|\byou\s+all\b(?!\s+(?:about|of|that|the|I)\b)",
    re.I,
)
_GROUP = re.compile(
    r"(?<![\w'])(?:everyone|everybody|anyone|anybody|all|folks|friends|ladies\s+and\s+gentlemen)\b", re.I
)
_ASKED_OF_ANYONE = re.compile(r"\b(?:anyone|anybody|everyone|everybody)\b(?!'|\s+else\b)[^.!?]*\?", re.I)


@dataclass(frozen=True)
class Addressed:
    """Whom a line is meant for.

    Attributes:
        members: Their ids, in the order in which they are to answer.
        how: By name, all together, or because nobody is called: whoever was last spoken with, or the first.
    """

    members: tuple[str, ...]
    how: How


@dataclass(frozen=True)
class _Found:
    start: int
    end: int
    member: str


def address(line: str, names: Mapping[str, str], *, last: str | None = None) -> Addressed:
    """Whom a line is meant for.

    Args:
        line: What was said.
        names: Names by id of those who are there, in their order; at least one.
        last: The id of whoever was last spoken with.

    Returns:
        At least one of them. Names go before "all of you"; without either it is `last`, where that one is there.
    """
    text = " ".join(line.replace("’", "'").split())
    if named := called(text, names):
        return Addressed(named, "named")
    if _calls_everyone(text):
        return Addressed(tuple(names), "everyone")
    if last is not None and last in names:
        return Addressed((last,), "last")
    return Addressed((next(iter(names)),), "first")


def called(line: str, names: Mapping[str, str]) -> tuple[str, ...]:
    """Ids of those whom a line calls by name, in the order in which it does."""
    text = " ".join(line.replace("’", "'").split())
    found = [one.member for run in _runs(text, names) for one in _called_of(run, text)]
    return tuple(dict.fromkeys(found))


def call_names(names: Mapping[str, str]) -> dict[str, str]:
    """What each is called by, in lower case, with the id: the whole name, its first and its last word.

    A word that several share calls nobody; a whole name always calls its own.
    """
    owners: dict[str, set[str]] = {}
    for member, name in names.items():
        words = name.casefold().split()
        for word in {*words[:1], *words[-1:], member.casefold()}:
            owners.setdefault(word, set()).add(member)
    by_word = {word: next(iter(members)) for word, members in owners.items() if len(members) == 1}
    return by_word | {" ".join(name.casefold().split()): member for member, name in names.items()}


def _runs(text: str, names: Mapping[str, str]) -> Iterator[list[_Found]]:
    """Names that stand side by side, such as "Hesta, Corin and Nell"."""
    by_name = call_names(names)
    longest_first = sorted(by_name, key=len, reverse=True)
    pattern = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, longest_first))})(?![\w-]|'\w)", re.I)
    run: list[_Found] = []
    for match in pattern.finditer(text):
        one = _Found(match.start(), match.end(), by_name[match[0].casefold()])
        if run and not _joins(text[run[-1].end : one.start]):
            yield run
            run = []
        run.append(one)
    if run:
        yield run


def _joins(between: str) -> bool:
    return bool(_AND.fullmatch(between.strip()) or _COMMA.fullmatch(between))


def _called_of(run: Sequence[_Found], text: str) -> Sequence[_Found]:
    """The names of a run that are called: it is cut at either end until it stands where a call can stand."""
    if not _ends_a_call(run[-1], text, begins=_begins_a_call(run[0], text)):
        run = _without_subject(run, text)
    while run and not _begins_a_call(run[0], text):
        # "I met Hesta, Nell and Corin" is a list; "Do you like Hesta, Corin?" calls Corin.
        if any(_and_between(text, *pair) for pair in pairwise(run)):
            return ()
        run = run[1:]
    if len(run) == 1 and _is_an_answer(run[0], text):
        return ()
    return run


def _without_subject(run: Sequence[_Found], text: str) -> Sequence[_Found]:
    """Without the names at its end that the sentence goes on with: "Hesta, Corin and Nell are thieves" calls Hesta."""
    keep = len(run) - 1
    while keep and (joined := _and_between(text, run[keep - 1], run[keep])):
        if joined["comma"]:
            return ()  # "Hesta, Corin, and Nell are thieves"
        keep -= 1
    return run[:keep]


def _and_between(text: str, one: _Found, other: _Found) -> re.Match[str] | None:
    return _AND.fullmatch(text[one.end : other.start].strip())


def _begins_a_call(one: _Found, text: str) -> bool:
    before = text[: one.start]
    if _CALLED_BEFORE.search(before):
        return True
    return bool(_CONNECTIVE_BEFORE.search(before) and text[one.end :].startswith(","))


def _ends_a_call(one: _Found, text: str, *, begins: bool) -> bool:
    after = text[one.end :]
    return bool(_CALLED_AFTER.match(after) or (begins and _CUE_AFTER.match(after)))


def _is_an_answer(one: _Found, text: str) -> bool:
    """Whether a name is a whole sentence after another, such as "Who told you? Corin."."""
    return bool(_SENTENCE_BEFORE.search(text[: one.start]) and _SENTENCE_AFTER.match(text[one.end :]))


def _calls_everyone(text: str) -> bool:
    if _ALL_OF_YOU.search(text) or _ASKED_OF_ANYONE.search(text):
        return True
    groups = [_Found(match.start(), match.end(), "") for match in _GROUP.finditer(text)]
    return any(_begins_a_call(one, text) and _CALLED_AFTER.match(text[one.end :]) for one in groups)
