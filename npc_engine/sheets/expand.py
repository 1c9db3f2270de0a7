"""Facts that follow, by common sense, from those a sheet has: what to ask for, and what may not be taken.

Five dimensions. Source: PeaCoK (Gao et al. 2023, PeaCoK: Persona Commonsense Knowledge for Consistent and Engaging
Narratives). A model proposes; nothing here invents. What contradicts the sheet, repeats it, or brings a number or a
name that the sheet does not know is refused with a reason.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from npc_engine.sheets.adding import Addition, NewFact, fact_id
from npc_engine.sheets.lint.models import Models
from npc_engine.sheets.lint.words import find_phrase, frame, is_negative, numbers, stems, words
from npc_engine.sheets.schema import CharacterSheet, Fact

# Under `extensions`: which facts are derived, and from what.
SECTION = "derived"
# What the model is shown of the sheet; more is not read by a small model.
MAX_SHOWN = 24
MIN_WORDS, MAX_WORDS = 4, 22
# As lint's SL002 (sheets/lint/facts.py), and looser: two derived facts may not be near each other at all.
SAME_SHARE = 0.5
SAME_COSINE = 0.75
# Below this cosine to every statement of the sheet a proposal follows from none. Source: chosen by hand.
ANCHOR_COSINE = 0.3
# The judge's starting value (docs/judge.md), not calibrated here.
PROBABILITY = 0.8
CONTRADICTION = 2
MAX_SOURCES = 2
# Pairs that an NLI model is asked about a proposal.
MAX_JUDGED = 16

# Longer than a sentence may get tokens: what is cut off by them is dropped, what the pattern cut off would look whole.
_REST = r"[a-z][a-z ,'’-]{8,240}\."
_NAME = re.compile(r"(?<=[\w,;] )[A-Z][\w’'-]*")

_KIN = re.compile(
    r"\b(?:(?:grand|step)?(?:father|mother|son|daughter)|brother|sister|husband|wife|uncle|aunt|cousin|nephew|niece|"
    r"child|children|parents|apprentice)\b",
    re.IGNORECASE,
)
_OTHER = re.compile(r"\b(?:he|she|him|her|his|hers|himself|herself)\b", re.IGNORECASE)


class Dimension(StrEnum):
    """What a derived fact is about."""

    CHARACTERISTICS = "characteristics"
    ROUTINES = "routines"
    GOALS = "goals"
    EXPERIENCES = "experiences"
    RELATIONSHIPS = "relationships"


@dataclass(frozen=True, kw_only=True)
class Ask:
    """How a dimension is asked for.

    Attributes:
        title: Its name in PeaCoK.
        request: What the character is asked for.
        pattern: The form of the answer, a regular expression that matches it whole.
    """

    title: str
    request: str
    pattern: str


ASKS = {
    Dimension.CHARACTERISTICS: Ask(
        title="characteristics",
        request="one thing about what you are like or what you are good or bad at",
        pattern=rf"I(?: am|'m| tend to| can| cannot|'m good at| have a) {_REST}",
    ),
    Dimension.ROUTINES: Ask(
        title="routines and habits",
        request="one thing that you do regularly",
        pattern=rf"I (?:usually|often|always|never|rarely|sometimes) {_REST}",
    ),
    Dimension.GOALS: Ask(
        title="goals and plans",
        request="one thing that you want or plan to do",
        pattern=rf"I (?:want to|hope to|plan to|mean to|would like to) {_REST}",
    ),
    Dimension.EXPERIENCES: Ask(
        title="experiences",
        request="one thing that you have done or that has happened to you",
        pattern=rf"I (?:have|once|learned|used to|remember) {_REST}",
    ),
    Dimension.RELATIONSHIPS: Ask(
        title="relationships",
        request="one thing about how you are with other people",
        pattern=rf"(?:I (?:trust|like|get along with|look after|keep away from|rely on|argue with)|"
        rf"My (?:neighbours|customers|friends|family)) {_REST}",
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Derived:
    """A fact that was proposed.

    Attributes:
        text: In the first person, one sentence.
        dimension: What it is about.
        sources: The facts of the sheet that are nearest to it, nearest first.
        refused: Why it may not be taken; empty where nothing speaks against it.
    """

    text: str
    dimension: Dimension
    sources: tuple[str, ...] = ()
    refused: str = ""


def shown_facts(sheet: CharacterSheet) -> list[Fact]:
    """The facts that proposals are made from: no lore, nothing hidden behind a condition, nothing derived before."""
    lore = {reference.lore for reference in sheet.knowledge}
    before = sheet.extensions.get(SECTION, {})
    derived = set(before.get("facts", {})) if isinstance(before, dict) else set()
    return [f for f in sheet.facts if f.when is None and f.source not in lore and f.id not in derived][:MAX_SHOWN]


def request(sheet: CharacterSheet, dimension: Dimension) -> str:
    """What the model is asked, as the character."""
    facts = "\n".join(f"- {fact.text}" for fact in shown_facts(sheet)) or "- nothing yet"
    return (
        f"[What {sheet.identity.name.split()[0]} knows]\n{facts}\n[Task]\n"
        f"Say {ASKS[dimension].request} that follows from this and is not in it yet. "
        "One short, plain sentence in the first person, without names and numbers."
    )


class Filter:
    """Refuses what does not fit a sheet; remembers what it let through.

    Args:
        sheet: The sheet.
        models: What is installed: an encoder for likeness, an NLI model for contradictions; words without them.
    """

    def __init__(self, sheet: CharacterSheet, models: Models) -> None:
        self._sheet = sheet
        self._models = models
        identity = sheet.identity
        notes = [identity.role, identity.social, identity.personal, identity.context, *sheet.goals]
        people = [f"{one.name} is my {one.kind}. {one.attitude}" for one in sheet.relationships]
        # Facts first: the places of the sources.
        self._texts = [*(fact.text for fact in sheet.facts), *notes, *people]
        self._known = frozenset(word for text in (identity.name, *self._texts) for word in words(text))
        self._numbers = frozenset(number for text in self._texts for number in numbers(text))
        self._public = {fact.id for fact in sheet.facts if fact.when is None}
        self._taken: list[str] = []

    def judged(self, text: str, dimension: Dimension) -> Derived:
        """A proposal with its sources, and the first reason against it."""
        nearness = self._nearness(text)
        order = sorted(range(len(self._sheet.facts)), key=lambda row: -nearness[row])
        sources = tuple(
            self._sheet.facts[row].id
            for row in order
            if self._sheet.facts[row].id in self._public and nearness[row] > 0
        )[:MAX_SOURCES]
        refused = self._refused(text, nearness)
        if not refused:
            self._taken.append(text)
        return Derived(text=text, dimension=dimension, sources=sources, refused=refused)

    def _refused(self, text: str, nearness: Sequence[float]) -> str:
        if not MIN_WORDS <= len(text.split()) <= MAX_WORDS:
            return f"{len(text.split())} words, {MIN_WORDS} to {MAX_WORDS} are wanted"
        if new := [f"{number:g}" for number in numbers(text) if number not in self._numbers]:
            return f"the sheet does not know the number {new[0]}"
        if strange := [name for name in _NAME.findall(text) if name != "I" and not set(words(name)) <= self._known]:
            return f"the sheet does not know the name {strange[0]}"
        if kin := [found for found in _KIN.findall(text) if not set(words(found)) <= self._known]:
            return f"the sheet does not know of a {kin[0]}"
        if _OTHER.search(text) and not _NAME.search(text.replace(" I ", " ")) and not _KIN.search(text):
            return "a pronoun stands for nobody"
        if avoided := next((phrase for phrase in self._sheet.voice.avoid if find_phrase(text, phrase)), ""):
            return f"the character never says {avoided!r}"
        for other in [*self._texts, *self._taken]:
            if frame(text) == frame(other) and len(frame(text)) >= 2 and is_negative(text) != is_negative(other):
                return f"contradicts: {other}"
            if _is_same(text, other):
                return f"is said already: {other}"
        likeness = self._nearness(text, [*self._texts, *self._taken])
        if likeness and self._models.encoder is not None and max(likeness) >= SAME_COSINE:
            closest = max(range(len(likeness)), key=likeness.__getitem__)
            return f"is said already: {[*self._texts, *self._taken][closest]}"
        anchor = ANCHOR_COSINE if self._models.encoder is not None else 0.0
        if not nearness or max(nearness) <= anchor:
            return "follows from nothing in the sheet"
        return self._contradicted(text, likeness)

    def _contradicted(self, text: str, likeness: Sequence[float]) -> str:
        if self._models.nli is None:
            return ""
        everything = [*self._texts, *self._taken]
        rows = sorted(range(len(everything)), key=lambda row: -likeness[row])[:MAX_JUDGED]
        near = [everything[row] for row in rows]
        scores = self._models.nli.scores_now([*((one, text) for one in near), *((text, one) for one in near)])
        for at, other in enumerate(near):
            if min(scores[at][CONTRADICTION], scores[len(near) + at][CONTRADICTION]) >= PROBABILITY:
                return f"contradicts: {other}"
        return ""

    def _nearness(self, text: str, others: Sequence[str] | None = None) -> list[float]:
        """To each statement: a cosine, or the share of the proposal's stems without an encoder."""
        others = self._texts if others is None else others
        if not others:
            return []
        if self._models.encoder is not None:
            vectors = self._models.encoder.embed([text, *others])
            return [float(score) for score in vectors[1:] @ vectors[0]]
        mine = stems(text)
        return [len(mine & stems(other)) / max(1, len(mine)) for other in others]


def addition(sheet: CharacterSheet, taken: Sequence[tuple[Derived, str]], *, model: str) -> Addition:
    """What the writer took, ready to be added to the sheet.

    Args:
        sheet: The sheet.
        taken: Proposals with their texts, which the writer may have changed.
        model: Who proposed them.
    """
    ids = {fact.id for fact in sheet.facts}
    facts: list[NewFact] = []
    marks: dict[str, str] = {}
    for proposal, text in taken:
        name = fact_id(text, ids)
        facts.append(NewFact(id=name, text=text))
        origin = f"from {', '.join(proposal.sources)}" if proposal.sources else "from the identity"
        marks[name] = f"{ASKS[proposal.dimension].title}; {origin}; by {model}"
    return Addition(facts=facts, marks={"facts": marks})


def _is_same(one: str, other: str) -> bool:
    left, right = frame(one), frame(other)
    if len(left) < 2:
        return words(one) == words(other)
    return len(left & right) > SAME_SHARE * len(left | right)
