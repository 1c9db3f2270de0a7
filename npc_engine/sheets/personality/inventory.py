"""The inventory: 44 statements that a character agrees with more or less, and the five scores that come of it."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

TRAITS = ("openness", "conscientiousness", "extraversion", "agreeableness", "neuroticism")
LOWEST, HIGHEST = 1, 5
# What may be answered, yes first.
ANSWERS = ("Yes", "No")
# Asked about instead of a statement, it shows what the model would say whatever the statement is.
BLANK = "..."


@dataclass(frozen=True, kw_only=True)
class Item:
    """A statement about oneself.

    Attributes:
        text: In the first person.
        trait: The factor that it is about.
        is_reversed: Whether agreeing means a low score.
    """

    text: str
    trait: str
    is_reversed: bool


@lru_cache(maxsize=1)
def inventory() -> tuple[Item, ...]:
    """The items, in the order to ask them: the factors take turns, and so do the keys."""
    table = tomllib.loads(
        resources.files("npc_engine.sheets.personality").joinpath("inventory.toml").read_text(encoding="utf-8")
    )
    return tuple(Item(**row) for row in table["items"])


def question(statement: str) -> str:
    """What the character is asked about a statement, or about BLANK."""
    return f'Is this true of you: "{statement}" Answer yes or no.'


def answer(logs: Sequence[float], blank: Sequence[float]) -> float:
    """An answer from 1, no, to 5, yes: the probability of a yes after the model's leaning is taken out.

    Each answer's probability is divided by that which it has for BLANK. Source: Zhao et al. 2021, Calibrate Before Use.

    Args:
        logs: Natural-log probabilities of ANSWERS to the item.
        blank: The same to BLANK.
    """
    odds = (logs[0] - blank[0]) - (logs[1] - blank[1])
    return LOWEST + (HIGHEST - LOWEST) / (1 + math.exp(-odds))


def scores(answers: Sequence[float]) -> dict[str, float]:
    """The five scores, 0 to 1, of one answer from 1 to 5 an item: the mean, reversed items turned round."""
    items = inventory()
    keyed = [
        LOWEST + HIGHEST - answer if item.is_reversed else answer for item, answer in zip(items, answers, strict=True)
    ]
    return {
        trait: (_mean([value for item, value in zip(items, keyed, strict=True) if item.trait == trait]) - LOWEST)
        / (HIGHEST - LOWEST)
        for trait in TRAITS
    }


def mean_absolute_error(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """Mean over the traits that both have, 0 to 1."""
    return _mean([abs(one[trait] - other[trait]) for trait in one if trait in other])


def spearman(one: Mapping[str, float], other: Mapping[str, float]) -> float | None:
    """Spearman's rank correlation over the traits that both have, ties by mean rank; None where one is all alike."""
    traits = [trait for trait in one if trait in other]
    left, right = _ranks([one[trait] for trait in traits]), _ranks([other[trait] for trait in traits])
    a, b = _mean(left), _mean(right)
    spread = sum((x - a) ** 2 for x in left) * sum((y - b) ** 2 for y in right)
    return sum((x - a) * (y - b) for x, y in zip(left, right, strict=True)) / spread**0.5 if spread else None


def _ranks(values: Sequence[float]) -> list[float]:
    """Each value's rank from 1 on; alike values share the mean of theirs."""
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2 for value in values
    ]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
