"""Rules about facts: that contradict or repeat each other, that miss their number, that speak in the wrong person."""

from __future__ import annotations

import re
from collections.abc import Iterator

from npc_engine.sheets.lint.context import CONTRADICTION, ENTAILMENT, PROBABILITY, Context
from npc_engine.sheets.lint.finding import Edit, Finding
from npc_engine.sheets.lint.satisfiable import can_hold
from npc_engine.sheets.lint.subject import PlacedFact
from npc_engine.sheets.lint.words import find_phrase, frame, has_number, is_negative, numbers, stems, words

# Two facts with so many stems in common and the same numbers say the same. Source: chosen by hand; no two facts of the
# shipped sheets come near it.
SAME_SHARE = 0.8
# A pair of sentences this close in an encoder's eyes, with the same numbers, says the same. Source: as above.
SAME_COSINE = 0.92
_PRICE_TAGS = frozenset({"how much", "cost", "costs", "fee", "fare", "toll", "price", "prices", "charge"})
# A fact about bargaining is about prices and has none.
_NO_PRICE = re.compile(
    r"\b(?:haggl\w*|bargain\w*|discount\w*|credit|deposit|advance|barter\w*|cheap\w*|dear|expensive)\b", re.IGNORECASE
)
_THIRD = re.compile(r"^(?:she|he|they)\b", re.IGNORECASE)
_FIRST = re.compile(r"\b(?:i|i'm|i've|i'd|i'll|me|my|mine|myself|we|us|our|ours)\b", re.IGNORECASE)
_QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”")


def contradicting(lint: Context) -> Iterator[Finding]:
    """SL001: two facts that can hold at once and cannot both be true."""
    seen: set[tuple[int, int]] = set()
    for a, b in _same_frame(lint):
        one, other = lint.subject.facts[a].fact.text, lint.subject.facts[b].fact.text
        if numbers(one) != numbers(other) or is_negative(one) != is_negative(other):
            seen.add((a, b))
            yield _pair(lint, "SL001", a, b, "contradicts", "keep one, or give both a `when` that excludes the other")
    pairs = [pair for pair in lint.near_pairs if pair not in seen and _can_meet(lint, *pair)]
    texts = [(lint.subject.facts[a].fact.text, lint.subject.facts[b].fact.text) for a, b in pairs]
    scores = lint.judged([*texts, *((b, a) for a, b in texts)])[:, CONTRADICTION]
    for (a, b), there, back in zip(pairs, scores[: len(pairs)], scores[len(pairs) :], strict=True):
        # A contradiction is one both ways; the judge's model errs more often in one way alone.
        if min(there, back) >= PROBABILITY:
            hint = "keep one, or give both a `when` that excludes the other"
            yield _pair(lint, "SL001", a, b, "contradicts", hint, score=float(min(there, back)))


def repeating(lint: Context) -> Iterator[Finding]:
    """SL002: two facts that say the same; they take two of the four places in the prompt."""
    facts = lint.subject.facts
    seen: set[tuple[int, int]] = set()
    for a, b in [*_same_frame(lint), *lint.near_pairs]:
        one, other = facts[a].fact.text, facts[b].fact.text
        if (a, b) in seen or numbers(one) != numbers(other) or is_negative(one) != is_negative(other):
            continue
        cosine = float(lint.similarity[a, b]) if lint.similarity is not None else 0.0
        if (_overlap(one, other) >= SAME_SHARE or cosine >= SAME_COSINE) and _can_meet(lint, a, b):
            seen.add((a, b))
            yield _pair(lint, "SL002", a, b, "says the same as", "keep the one with the better tags", is_same=True)
    pairs = [pair for pair in lint.near_pairs if pair not in seen and _can_meet(lint, *pair)]
    texts = [(facts[a].fact.text, facts[b].fact.text) for a, b in pairs]
    scores = lint.judged([*texts, *((b, a) for a, b in texts)])[:, ENTAILMENT]
    for (a, b), there, back in zip(pairs, scores[: len(pairs)], scores[len(pairs) :], strict=True):
        if min(there, back) >= PROBABILITY:
            hint = "keep the one with the better tags"
            yield _pair(lint, "SL002", a, b, "says the same as", hint, score=float(min(there, back)))


def price_without_number(lint: Context) -> Iterator[Finding]:
    """SL015: players who ask for the price get this fact, and it names none."""
    for placed in lint.subject.facts:
        tags = [tag for tag in placed.fact.tags if tag.casefold() in _PRICE_TAGS]
        about = " ".join((placed.fact.text, *placed.fact.tags))
        if tags and not has_number(placed.fact.text) and not _NO_PRICE.search(about):
            yield lint.subject.found(
                "SL015",
                placed.text,
                f"the tag `{tags[0]}` says that there is a price, and the text names none",
                hint="write the number, or take the tag away",
            )


def wrong_person(lint: Context) -> Iterator[Finding]:
    """SL016: own facts in the third person, lore or identity in the first."""
    name = lint.subject.sheet.identity.name
    names = sorted({name, name.split()[0]}, key=len, reverse=True)
    for placed in lint.subject.facts:
        text = placed.fact.text
        if placed.is_own:
            yield from _third_person(lint, placed, names)
        elif first := _FIRST.search(_QUOTED.sub("", text)):
            yield lint.subject.found(
                "SL016",
                placed.text,
                f"lore in the first person: `{first[0]}`; several characters say it",
                words=first[0],
                hint="name who is meant",
            )
    for key in ("social", "personal", "context"):
        where = lint.subject.text_at("identity", key)
        if first := _FIRST.search(_QUOTED.sub("", where.text)):
            yield lint.subject.found(
                "SL016",
                where,
                f"identity in the first person: `{first[0]}`; the prompt says it about the character",
                words=first[0],
                hint="write it in the third person, without a name: 'Widow, master smith.'",
            )


def _third_person(lint: Context, placed: PlacedFact, names: list[str]) -> Iterator[Finding]:
    text = placed.fact.text
    found = next((name for name in names if re.search(rf"\b{re.escape(name)}(?:'s)?\b", text)), "")
    # "My name is Hesta", "They call me Hesta": the name is what is told.
    if not found and (start := _THIRD.match(text)):
        found = start[0]
    if found and not (_FIRST.search(text) and found in names):
        yield lint.subject.found(
            "SL016",
            placed.text,
            f"a fact of the character's own in the third person: `{found}`",
            words=found,
            hint="write it as the character would say it: 'I charge 40 crowns.'",
        )


def _same_frame(lint: Context) -> Iterator[tuple[int, int]]:
    """Pairs that are about the same and can hold at once, numbers and negations aside."""
    groups: dict[frozenset[str], list[int]] = {}
    for row, placed in enumerate(lint.subject.facts):
        about = frame(placed.fact.text)
        if len(about) >= 2:
            groups.setdefault(about, []).append(row)
    for rows in groups.values():
        for position, a in enumerate(rows):
            for b in rows[position + 1 :]:
                if _can_meet(lint, a, b):
                    yield a, b


def _can_meet(lint: Context, a: int, b: int) -> bool:
    return can_hold(lint.subject.facts[a].fact.when, lint.subject.facts[b].fact.when)


def _overlap(one: str, other: str) -> float:
    """Jaccard index of what two sentences are about."""
    left, right = frame(one), frame(other)
    if len(left) < 2 or len(right) < 2:
        return float(words(one) == words(other))
    return len(left & right) / len(left | right)


def _pair(
    lint: Context, code: str, a: int, b: int, verb: str, hint: str, *, score: float | None = None, is_same: bool = False
) -> Finding:
    """A finding at the later of two facts, or at the sheet's own one where the other is lore."""
    first, second = lint.subject.facts[a], lint.subject.facts[b]
    if not second.is_own and first.is_own:
        first, second = second, first
    place = f"line {first.line}" if first.document is second.document else f"{first.document.path.name}:{first.line}"
    message = f"`{second.fact.id}` {verb} `{first.fact.id}` ({place}): {first.fact.text!r}"
    fix = _removal(lint, first, second) if is_same else None
    return lint.subject.found(code, second.text, message, hint=hint, score=score, fix=fix)


def _removal(lint: Context, first: PlacedFact, second: PlacedFact) -> Edit | None:
    """Take the second away where nothing is lost: same words, condition and secrecy, no tag of its own, in no test."""
    one, other = first.fact, second.fact
    is_named = any(other.id in test.facts for test in lint.subject.sheet.tests)
    is_same = words(one.text) == words(other.text) and (one.when, one.secret) == (other.when, other.secret)
    if is_named or not is_same or not second.is_own or not set(other.tags) <= set(one.tags):
        return None
    where = second.text
    lines = lint.subject.entry_lines(type(where)(where.document, second.path, ""))
    return lines and Edit(path=where.document.path, line=lines[0], end_line=lines[1])


def rare_shared(one: str, other: str, frequency: dict[str, int], limit: int) -> frozenset[str]:
    """Stems that two texts share and at most `limit` texts of the sheet hold."""
    return frozenset(stem for stem in stems(one) & stems(other) if frequency.get(stem, 0) <= limit)


def named_phrase(text: str, phrases: tuple[str, ...]) -> str:
    """The first of some phrases that stands in a text; empty where none does."""
    return next((phrase for phrase in phrases if find_phrase(text, phrase)), "")
