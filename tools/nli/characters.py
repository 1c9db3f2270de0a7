"""Pairs from lists of facts about made-up characters (characters.tsv): all of a list is true at once.

What such a list says in two places is neutral, however close the two are: prices of two goods, ages at two events, the
trades of two neighbours. That is what a judge meets most, since it compares one sentence with all that a sheet says.

Lines: `#`, tab, who it is; `f`, tab, a fact; `=`, tab, the fact before it in other words; `!`, tab, what that fact
rules out. Written by a large language model for this purpose; none of the characters is in the pairs that measure.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from npc_engine.guard.words import stems
from tools.nli.pairs import Label, Pair
from tools.nli.personas import denied, rephrased
from tools.nli.surface import flavoured, third_person

FILE = Path(__file__).parent / "characters.tsv"
LICENCE = "own text"
SOURCE = "characters"
PREMISES_OF_A_FACT = 8
"""Other facts of its character that each fact is set against, the nearer the likelier."""
PREMISES_OF_A_SAME = 3
"""The same for a fact in other words."""
TOLD = 0.12
"""Share of the pairs that are told of somebody."""


@dataclass
class Fact:
    """A fact, and what was written about it; empty where nothing was."""

    text: str
    same: str = ""
    against: str = ""


@dataclass
class Character:
    """One made-up character: who it is, and what is true of it."""

    name: str
    facts: list[Fact] = field(default_factory=list)


def read_characters(path: Path = FILE) -> list[Character]:
    """The characters of a file.

    Raises:
        ValueError: A line is none of the four kinds, or stands before what it belongs to.
    """
    found: list[Character] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        kind, _, text = line.partition("\t")
        text = text.strip()
        if kind == "#" and text:
            found.append(Character(text))
        elif kind == "f" and text and found:
            found[-1].facts.append(Fact(text))
        elif kind == "=" and text and found and found[-1].facts:
            found[-1].facts[-1].same = text
        elif kind == "!" and text and found and found[-1].facts:
            found[-1].facts[-1].against = text
        else:
            raise ValueError(f"{path}:{number}: {line!r} is no character, no fact, and says nothing of one")
    return found


def character_pairs(characters: list[Character], *, seed: int) -> Iterator[Pair]:
    """Their pairs; a hypothesis of every label is also one of the others, so that it gives nothing away."""
    rng = random.Random(f"{SOURCE}:{seed}")
    for character in characters:
        words = [stems(fact.text) for fact in character.facts]
        for row, fact in enumerate(character.facts):
            others = [other for other in range(len(character.facts)) if other != row]
            near = [1.0 + 4.0 * len(words[row] & words[other]) for other in others]
            for hypothesis, number in ((fact.text, PREMISES_OF_A_FACT), (fact.same, PREMISES_OF_A_SAME)):
                for other in _drawn(rng, others, near, number) if hypothesis else ():
                    yield _pair(character.facts[other].text, hypothesis, "neutral", rng)
            for premise, hypothesis, label in _own(fact, rng):
                yield _pair(premise, hypothesis, label, rng)


def _own(fact: Fact, rng: random.Random) -> Iterator[tuple[str, str, Label]]:
    """What a fact bears out and rules out, both ways where it holds both ways."""
    yield rephrased(fact.text, rng), fact.text, "entailment"
    if fact.same:
        yield fact.text, fact.same, "entailment"
        yield fact.text, rephrased(fact.same, rng), "entailment"
    if (no := denied(fact.text, rng)) is not None:
        yield no, fact.text, "contradiction"
        yield fact.text, no, "contradiction"
    if fact.against:
        yield fact.text, fact.against, "contradiction"
        yield fact.against, fact.text, "contradiction"
        if fact.same:
            yield fact.against, fact.same, "contradiction"


def _pair(premise: str, hypothesis: str, label: Label, rng: random.Random) -> Pair:
    spoken = rephrased(hypothesis, rng) if rng.random() < 0.4 else hypothesis
    if rng.random() < 0.3:
        spoken = flavoured(spoken, rng)
    if rng.random() < TOLD:
        told = rng.choice(("he", "she"))
        premise, spoken = third_person(premise, told) or premise, third_person(spoken, told) or spoken
    return Pair(premise, spoken, label, SOURCE, LICENCE)


def _drawn(rng: random.Random, rows: list[int], weights: list[float], number: int) -> list[int]:
    """At most `number` different rows, the heavier the likelier. Source: Efraimidis and Spirakis 2006."""
    keys = {row: rng.random() ** (1 / weight) for row, weight in zip(rows, weights, strict=True)}
    return sorted(rows, key=lambda row: -keys[row])[:number]
