"""What is new, what was said before, and what has changed: a later chapter has the last word.

Older facts come from the sheet that is added to, or from an earlier chapter. Where two cannot both be so, the newer
one stands, and the older becomes history ("I used to live in Harrow.") or goes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from npc_engine.sheets.extract.verbs import is_past
from npc_engine.sheets.lint.models import Models
from npc_engine.sheets.lint.words import frame, is_negative, numbers, words
from npc_engine.sheets.words import WORD, stem

if TYPE_CHECKING:
    from npc_engine.sheets.extract.claims import Claim

# Two facts that say the same: as lint's SL002 has it (sheets/lint/facts.py).
SAME_SHARE = 0.8
SAME_COSINE = 0.92
# Below this cosine two sentences are taken to be about different things. Source: as lint's (sheets/lint/context.py).
NEAR_COSINE = 0.45
# The judge's starting value (docs/judge.md), not calibrated here.
PROBABILITY = 0.8
# From here on a claim follows from its sentence; below, it is dropped. Source: as the judge's `support`.
SUPPORTED = 0.5
ENTAILMENT, CONTRADICTION = 0, 2

_SLOTS = {
    "age": re.compile(r"I (?:am|was) (?P<value>[\w-]+)(?: years old)?\.$"),
    "home": re.compile(
        r"I (?:now |currently )?(?:live|reside|dwell) (?:in|at|on|above|near|beside|with) (?P<value>.+)"
    ),
    "work": re.compile(r"I (?:now |currently )?(?:work|serve) (?:as|at|for|in|on) (?P<value>.+)"),
    "marriage": re.compile(r"I am (?P<value>single|married|engaged|widowed|divorced)\b.*"),
}
_COUNTED = re.compile(
    r"I (?:now |currently )?(?P<verb>own|have|keep|employ|earn|charge|pay|lead|command) (?P<value>[\w-]+) (?P<noun>\w+)"
)
_MOVED = re.compile(r"I (?:have |had |recently |then |later )*(?:moved|settled) (?:to|in|into) (?P<value>.+)")
_ATTRIBUTE = re.compile(r"My (?P<slot>[a-z][a-z ]{1,24}?) (?:is|are|was) (?P<value>.+)")
_PRESENT = re.compile(r"I (?:now |currently |still |always )?(?P<verb>[a-z-]+)(?P<rest> .+)?$", re.DOTALL)
_NO_HISTORY = frozenset(WORD.findall("do must can will should could would might may am have"))


@dataclass(frozen=True, kw_only=True)
class Known:
    """A fact that is there already.

    Attributes:
        id: Its id in the sheet.
        text: Its text.
        is_open: Whether a later text may change it: the sheet's own, and without a condition.
    """

    id: str
    text: str
    is_open: bool = True


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A fact for the writer to take, change or leave.

    Attributes:
        claim: What is proposed.
        by: What found the change: `text`, `encoder` or `nli`; empty where nothing changes.
        replaces: The fact of the sheet that it takes the place of.
        was: The older text, of the sheet or of an earlier chapter, that no longer holds.
        history: What is left of the older text, as a fact of its own; empty where nothing is.
    """

    claim: Claim
    by: Literal["", "text", "encoder", "nli"] = ""
    replaces: Known | None = None
    was: str = ""
    history: str = ""


def entailed(claims: Sequence[Claim], models: Models) -> list[Claim]:
    """The claims that follow from their sentences; all of them where there is no NLI model to ask."""
    if models.nli is None or not claims:
        return list(claims)
    scores = models.nli.scores_now([(claim.evidence, claim.plain) for claim in claims])
    return [claim for claim, row in zip(claims, scores, strict=True) if row[ENTAILMENT] >= SUPPORTED]


def proposals(claims: Sequence[Claim], known: Sequence[Known], models: Models) -> list[Proposal]:
    """The claims that are not said already, in order, each with what it changes.

    Args:
        claims: In the order of the texts.
        known: The facts of the sheet that they are added to.
        models: What is installed.
    """
    comparer = _Comparer([*(fact.text for fact in known), *(claim.text for claim in claims)], models)
    kept: list[Proposal] = []
    open_facts = list(known)
    for claim in claims:
        is_kept = True
        earlier = [one for one in kept if one.claim.chapter < claim.chapter]
        older = [*(fact.text for fact in open_facts), *(one.claim.text for one in kept)]
        if any(comparer.is_same(claim.text, text) for text in older):
            continue
        proposal = Proposal(claim=claim)
        for fact in open_facts:
            if by := comparer.conflict(fact.text, claim.text):
                if not fact.is_open:
                    is_kept = False
                else:
                    proposal = Proposal(
                        claim=claim, by=by, replaces=fact, was=fact.text, history=history(fact.text, claim.text)
                    )
                    open_facts.remove(fact)
                break
        if not is_kept:
            continue
        for one in [] if proposal.replaces else earlier:
            if by := comparer.conflict(one.claim.text, claim.text):
                kept.remove(one)
                past = history(one.claim.text, claim.text) or one.history
                proposal = replace(proposal, by=by, replaces=one.replaces, was=one.was or one.claim.text, history=past)
                break
        kept.append(proposal)
    return kept


def history(old: str, new: str = "") -> str:
    """A fact that holds no longer, as the past: "I used to live in Harrow."; empty where only the new one matters."""
    if (
        _counted(old)
        or _slot(old)[:1] == ("age",)
        or (numbers(old) != numbers(new) and frame(old) == frame(new))
        or is_negative(old)
    ):
        return ""
    if found := re.fullmatch(r"My (.+?) (?:is|are) (.+)", old):
        return f"My {found[1]} used to be {found[2]}"
    found = _PRESENT.fullmatch(old)
    if found is None or is_past(found["verb"]):
        return ""
    if found["verb"] in ("am", "have"):
        return f"I used to {'be' if found['verb'] == 'am' else 'have'}{found['rest'] or ''}"
    return "" if found["verb"] in _NO_HISTORY else f"I used to {found['verb']}{found['rest'] or ''}"


class _Comparer:
    """Compares texts by words, and by the models that are there."""

    def __init__(self, texts: Sequence[str], models: Models) -> None:
        self._models = models
        self._rows = {text: row for row, text in enumerate(dict.fromkeys(texts))}
        self._vectors = models.encoder.embed(list(self._rows)) if models.encoder is not None and texts else None
        self._scores: dict[tuple[str, str], float] = {}

    def is_same(self, one: str, other: str) -> bool:
        """Whether two texts say the same."""
        if words(one) == words(other):
            return True
        if numbers(one) != numbers(other) or is_negative(one) != is_negative(other):
            return False
        left, right = frame(one), frame(other)
        if len(left) >= 2 and len(left & right) >= SAME_SHARE * len(left | right):
            return True
        return self._cosine(one, other) >= SAME_COSINE

    def conflict(self, old: str, new: str) -> Literal["", "text", "nli"]:
        """What tells that the older text cannot hold beside the newer one; empty where nothing does."""
        before, now = _slot(old), _slot(new)
        if before and now and before[0] == now[0]:
            return "text" if before[1].casefold() != now[1].casefold() else ""
        if is_past(old.split()[1]) if len(old.split()) > 1 else False:
            about_same = frame(old) == frame(new) and numbers(old) and numbers(new)
            return "text" if about_same and numbers(old) != numbers(new) and len(frame(old)) >= 2 else ""
        if len(frame(old)) >= 2 and frame(old) == frame(new):
            is_other = numbers(old) != numbers(new) or is_negative(old) != is_negative(new)
            return "text" if is_other else ""
        if self._models.nli is None or self._cosine(old, new) < NEAR_COSINE:
            return ""
        return "nli" if min(self._against(old, new), self._against(new, old)) >= PROBABILITY else ""

    def _cosine(self, one: str, other: str) -> float:
        if self._vectors is None:
            return 0.0
        return float(self._vectors[self._rows[one]] @ self._vectors[self._rows[other]])

    def _against(self, premise: str, hypothesis: str) -> float:
        assert self._models.nli is not None
        pair = (premise, hypothesis)
        if pair not in self._scores:
            self._scores[pair] = float(self._models.nli.scores_now([pair])[0][CONTRADICTION])
        return self._scores[pair]


def _counted(text: str) -> tuple[str, str] | tuple[()]:
    """How many of what the character has, earns or charges: "I own two boats."."""
    found = _COUNTED.match(text)
    # "One" alone is a pronoun more often and is left out by `numbers`.
    if found is None or not (numbers(found["value"]) or found["value"] == "one"):
        return ()
    return f"{found['verb']} {stem(found['noun'].lower())}", found["value"]


def _slot(text: str) -> tuple[str, str] | tuple[()]:
    """What of the character a text sets, of which there is one, and its value."""
    for slot, pattern in _SLOTS.items():
        found = pattern.match(text)
        if found and (slot != "age" or numbers(found["value"])):
            return slot, found["value"].rstrip(". ")
    if counted := _counted(text):
        return counted
    if found := _MOVED.match(text):
        return "home", found["value"].rstrip(". ")
    if found := _ATTRIBUTE.fullmatch(text):
        return f"my {found['slot']}", found["value"].rstrip(". ")
    return ()
