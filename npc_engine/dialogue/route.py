"""Route a line: what does it want?

`attack` and `outside` as `straying.py` tells, `task` where an eligible action's examples are close to the line, and
from the best premise `character`, `world` or `small_talk`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from npc_engine.actions.ranking import ChoiceWeights
from npc_engine.actions.shortlist import ActionIndex, Evidence
from npc_engine.dialogue.grounding import Grounding, Premise
from npc_engine.dialogue.open_questions import OPEN_SCORE
from npc_engine.dialogue.straying import Straying
from npc_engine.inference.encoder import SentenceEncoder
from npc_engine.sheets.controls import Route
from npc_engine.sheets.schema import ActionSpec, CharacterSheet

# Cosine to the closest example line from which an action is considered: see docs/log.md, "When a line is a task".
TASK_COSINE = 0.65


@dataclass(frozen=True, kw_only=True)
class RoutedActions:
    """Actions the line may want, best first, and the best cosine among all that are eligible."""

    evidence: tuple[Evidence, ...]
    score: float

    @property
    def actions(self) -> tuple[ActionSpec, ...]:
        """The actions alone."""
        return tuple(one.action for one in self.evidence)


class Router:
    """Routes lines to one character. Built when its sheet loads.

    Args:
        sheet: The character.
        encoder: The sentence encoder, shared.
    """

    def __init__(self, sheet: CharacterSheet, encoder: SentenceEncoder) -> None:
        self.index = ActionIndex.build(sheet.resolved_actions(), encoder)

    def actions(
        self,
        queries: NDArray[np.float32],
        *,
        eligible: Sequence[ActionSpec],
        index: ActionIndex | None = None,
        weights: ChoiceWeights | None = None,
    ) -> RoutedActions:
        """The eligible actions that the line is close to; none of them: the line is no task.

        Args:
            queries: (hidden_size,) or (n, hidden_size) float32: the line, its parts, the line in its context.
            eligible: Actions whose condition holds now.
            index: What they are found by; None: the sheet's own actions.
            weights: The floor and the number of actions; None: as they are.
        """
        index, weights, queries = index or self.index, weights or ChoiceWeights(), np.atleast_2d(queries)
        found = index.shortlist(queries, eligible=eligible, floor=weights.floor, size=weights.shortlist_size)
        return RoutedActions(evidence=tuple(found), score=index.top(queries, eligible=eligible))


def settled_route(
    grounding: Grounding, evidence: Sequence[Evidence], *, has_offer: bool, straying: Straying | None
) -> Route:
    """The route of a line.

    An attack is one whatever else the line says. What strays outside is not where the sheet speaks of it: a topic it
    declares unknown, a premise that answers, or an action that the line is closer to.

    Args:
        grounding: What was found for the line.
        evidence: The actions it may want.
        has_offer: Whether an action was offered and waits for a yes.
        straying: Where it strays, if it does.
    """
    if straying is not None:
        if straying.kind == "attack":
            return Route.ATTACK
        is_known = grounding.unknown_topic is not None or any(
            premise.score >= OPEN_SCORE for premise in grounding.premises
        )
        if not is_known and all(straying.score > one.example for one in evidence):
            return Route.OUTSIDE
    return Route.TASK if evidence or has_offer else talk_route(grounding.premises)


def talk_route(premises: Sequence[Premise]) -> Route:
    """The route of a line that is no task, by where its best premise comes from."""
    if not premises:
        return Route.SMALL_TALK
    return Route.CHARACTER if premises[0].source in ("sheet", "said") else Route.WORLD
