"""The few of many actions that a line may want, by the sentence encoder: cosines to examples and descriptions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from npc_engine.inference.encoder import SentenceEncoder
from npc_engine.sheets.action_spec import ActionSpec

# Where one request of a line ends and another may begin.
_CLAUSE = re.compile(r"[.;!?]+\s+|,?\s+(?:and then|and|then|also|but)\s+", re.IGNORECASE)
# How much the description's cosine counts beside the example's for the order. Source: docs/log.md, "How close a line is
# to an action".
DESCRIPTION_SHARE = 0.5
# What stands for a name of an item, a place or a quest: the encoder would else compare the names, not the wishes.
# With it "I would like to buy a short sword" is at 0.95 to selling and 0.77 to buying, without it at 0.72 and 0.67.
THING = "thing"
# Less than this is no request.
MIN_CLAUSE_WORDS = 3


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """How close a line is to an action.

    Attributes:
        action: The action.
        example: Cosine of the closest example line; of the description where it has no examples.
        description: Cosine of the description.
    """

    action: ActionSpec
    example: float
    description: float


class ActionIndex:
    """The embeddings of some actions' examples and descriptions.

    Args:
        actions: The actions.
        embeddings: (n_texts, hidden_size) float32, unit rows, one for each of `texts(actions)`.
    """

    def __init__(self, actions: Sequence[ActionSpec], embeddings: NDArray[np.float32]) -> None:
        self.actions = tuple(actions)
        self._embeddings = embeddings
        self._rows = {}
        start = 0
        for action in self.actions:
            self._rows[action.name] = slice(start, start + 1 + len(action.examples))
            start += 1 + len(action.examples)

    @classmethod
    def build(cls, actions: Sequence[ActionSpec], encoder: SentenceEncoder) -> Self:
        """Encode now; about 3 ms a text on a CPU."""
        return cls(actions, encoder.embed(texts(actions)))

    @classmethod
    async def abuild(cls, actions: Sequence[ActionSpec], encoder: SentenceEncoder) -> Self:
        """`build` in another thread."""
        return cls(actions, await encoder.aembed(texts(actions)))

    def shortlist(
        self, queries: NDArray[np.float32], *, eligible: Sequence[ActionSpec], floor: float, size: int
    ) -> list[Evidence]:
        """The eligible actions with an example close to any of the queries, best first.

        Args:
            queries: (n, hidden_size) float32, unit rows: the line, its parts, the line in its context.
            eligible: Actions whose condition holds now.
            floor: Cosine below which an action is left out.
            size: How many at most.
        """
        if not self.actions:
            return []
        cosines = (self._embeddings @ queries.T).max(axis=1)
        names = {action.name for action in eligible}
        found = [self._evidence(action, cosines) for action in self.actions if action.name in names]
        close = [one for one in found if one.example >= floor]
        return sorted(close, key=lambda one: -(one.example + DESCRIPTION_SHARE * one.description))[:size]

    def top(self, queries: NDArray[np.float32], *, eligible: Sequence[ActionSpec]) -> float:
        """The cosine of the closest example among the eligible actions; 0 without any."""
        found = self.shortlist(queries, eligible=eligible, floor=-1.0, size=len(self.actions))
        return max((one.example for one in found), default=0.0)

    def _evidence(self, action: ActionSpec, cosines: NDArray[np.float32]) -> Evidence:
        description, *examples = (float(cosine) for cosine in cosines[self._rows[action.name]])
        return Evidence(action=action, example=max(examples, default=description), description=description)


def names_of(actions: Sequence[ActionSpec]) -> list[str]:
    """Every name that a text argument of some actions can be."""
    texts = (one for action in actions for one in action.parameters if one.type == "string")
    return list(dict.fromkeys(str(choice) for one in texts for choice in one.choices))


def without_names(text: str, names: Sequence[str]) -> str:
    """The text with `THING` for each of the names, in the singular or plural, whole or its last word alone."""
    pattern = _any_name(tuple(names))
    return text if pattern is None else pattern.sub(THING, text)


@lru_cache(maxsize=64)
def _any_name(names: tuple[str, ...]) -> re.Pattern[str] | None:
    words = {word for name in names for word in (name, *name.split()[-1:]) if len(word) > 2}
    if not words:
        return None
    any_word = "|".join(map(re.escape, sorted(words, key=len, reverse=True)))
    return re.compile(rf"\b(?:{any_word})s?\b", re.IGNORECASE)


def texts(actions: Sequence[ActionSpec]) -> list[str]:
    """What an index encodes: of each action its description, then its examples, without the names of things."""
    names = names_of(actions)
    return [without_names(text, names) for action in actions for text in (action.description, *action.examples)]


def clauses(line: str) -> Iterator[str]:
    """The parts of a line that may each be a request; none where it has only one."""
    parts = [part.strip(" ,") for part in _CLAUSE.split(line)]
    if len(parts) > 1:
        yield from (part for part in parts if len(part.split()) >= MIN_CLAUSE_WORDS)
