"""What a reply on a task must carry: the numbers and names of an action's result, or of the fact that answers.

Used to weigh the in-character sentence against a neutral one (`task_priority`). Source: "Jekyll & Hyde", role-play and
neutral prompting side by side; clipping the persona for tasks, "Deflanderization for Game Dialogue" (CPDC 2025).
"""

from __future__ import annotations

from collections.abc import Sequence

from npc_engine.dialogue.grounding import ANSWERS_SCORE, Premise
from npc_engine.guard.quantities import quantities
from npc_engine.guard.repair import names_in
from npc_engine.guard.words import stems

# Stems asked for at most: a result can be a long list, and no sentence carries all of it.
MAX_REQUIRED = 8
_RESULT = "Result: "


def required(premises: Sequence[Premise]) -> frozenset[str]:
    """Stems of the words that the reply must carry; empty where nothing in particular must be said.

    Args:
        premises: What the prompt shows, best first.
    """
    results = [premise.text for premise in premises if premise.kind == "action_result"]
    if results:
        return frozenset(part for text in results for part in _of_result(text))
    best = premises[0] if premises else None
    return frozenset(_facts_of(best.text)) if best is not None and best.score >= ANSWERS_SCORE else frozenset()


def carried(text: str, wanted: frozenset[str]) -> float:
    """Share of the required stems that a text carries; 1 where none is required."""
    return len(stems(text) & wanted) / len(wanted) if wanted else 1.0


def _of_result(text: str) -> list[str]:
    """Of "... Result: price: 40; item: sword." the values; of a result without values, nothing."""
    _, _, result = text.partition(_RESULT)
    values = [part.split(": ", 1)[1] for part in result.split("; ") if ": " in part]
    return sorted({stem for value in values for stem in stems(value)})[:MAX_REQUIRED]


def _facts_of(text: str) -> list[str]:
    names = " ".join(names_in(text))
    return sorted({*stems(names), *(f"#{one.value:g}" for one in quantities(text))})[:MAX_REQUIRED]
