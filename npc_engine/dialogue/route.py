"""Route a line: what does it want?

Built: `task` (an eligible action's examples are close to the line), and from the best premise `character`, `world` or
`small_talk`. Not built yet: telling `outside` and `attack` apart; such lines take the other routes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from npc_engine.dialogue.grounding import Premise
from npc_engine.inference.encoder import SentenceEncoder
from npc_engine.sheets.controls import Route
from npc_engine.sheets.schema import ActionSpec, CharacterSheet

# Cosine to the closest example line from which an action is considered: see docs/log.md, "When a line is a task".
TASK_COSINE = 0.65


@dataclass(frozen=True, kw_only=True)
class RoutedActions:
    """Actions the line may want, and the cosine of the closest example."""

    actions: tuple[ActionSpec, ...]
    score: float


class Router:
    """Routes lines to one character. Built when its sheet loads.

    Args:
        sheet: The character.
        encoder: The sentence encoder, shared.
    """

    def __init__(self, sheet: CharacterSheet, encoder: SentenceEncoder) -> None:
        self._actions = sheet.actions
        examples = [(index, line) for index, action in enumerate(sheet.actions) for line in _wanting(action)]
        self._owner = np.array([index for index, _ in examples], np.int64)
        self._embeddings = encoder.embed([line for _, line in examples])

    def actions(self, embedding: NDArray[np.float32], *, eligible: Sequence[ActionSpec]) -> RoutedActions:
        """The eligible actions with an example close to the line; none of them: the line is no task.

        Args:
            embedding: (hidden_size,) float32, of the line.
            eligible: Actions whose condition holds now.
        """
        cosines = self._embeddings @ embedding
        close = []
        top = 0.0
        for index, action in enumerate(self._actions):
            mine = cosines[self._owner == index]
            if action in eligible and mine.size:
                top = max(top, float(mine.max()))
                if mine.max() >= TASK_COSINE:
                    close.append(action)
        return RoutedActions(actions=tuple(close), score=top)


def talk_route(premises: Sequence[Premise]) -> Route:
    """The route of a line that is no task, by where its best premise comes from."""
    if not premises:
        return Route.SMALL_TALK
    return Route.CHARACTER if premises[0].source in ("sheet", "said") else Route.WORLD


def _wanting(action: ActionSpec) -> tuple[str, ...]:
    return action.examples or (action.description,)
