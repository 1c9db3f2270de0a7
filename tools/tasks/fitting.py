"""Fit the weights of the choice among actions to recorded evidence, offline.

Each turn of a part is had once with every function on the shortlist and the model asked about all of them; what the
trace then holds (cosines, the model's evidence, whether criteria add up) is all that `ranking.rank` looks
at, so any weights can be tried without the model. Only a turn's first call is decided here, as in the engine.

Weights by logistic regression over (turn, function) pairs, whether gold calls the function, with the evidence
clipped at each of a grid of `model_cap`; then `floor` and `threshold` by a grid: the best name F1
of first calls among those whose over-call rate is at most `MAX_OVER_CALL`. Source: Platt 1999, Probabilistic Outputs,
for the form; the constraint is a product decision, since a call that nobody wanted costs more than a missed one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from npc_engine.actions.ranking import ChoiceWeights

MAX_OVER_CALL = 0.15
CAPS = (3.0, 6.0, 10.0, 16.0)
FLOORS = (-1.0, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55)
THRESHOLDS = tuple(round(0.02 * step, 2) for step in range(1, 50))
# A little pull to zero, so that a feature that never varies gets no weight; in units of one pair.
RIDGE = 1.0
MAX_STEPS = 50
MIN_WEIGHT = 1e-3
FOLDS = 5
# Nothing is left out of the shortlist, and nothing is called: the trace then holds the evidence of every function.
NO_CALL = 1.01


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What to put in `ChoiceWeights`.

    Attributes:
        fields: By field name.
        figures: Name F1 of first calls, over-call and under-call: of the given weights, of the fitted ones on what
            they were fitted to, and of weights fitted to the other dialogues (cross-validated).
        num_turns: Turns with evidence.
    """

    fields: dict[str, float]
    figures: dict[str, dict[str, float]]
    num_turns: int


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One turn's evidence: a row a function."""

    dialogue: int
    wanted: frozenset[str]
    names: tuple[str, ...]
    cosines: NDArray[np.float64]  # (n, 2): example, description
    model: NDArray[np.float64]  # (n,): evidence; zeros where the model was not asked
    in_play: NDArray[np.float64]  # (n,)


def recording_weights(*, asks_model: bool) -> ChoiceWeights:
    """Weights under which a turn's trace holds the evidence of every function, and nothing is called.

    Args:
        asks_model: Whether the model is asked: without it a turn costs one sentence's encoding, and the weights that
            are fitted leave the name to the encoder.
    """
    return ChoiceWeights(
        shortlist_size=256,
        floor=-1.0,
        model=float(asks_model),
        threshold=NO_CALL,
        follow_up_threshold=NO_CALL,
    )


def fit(turns: Sequence[Turn], *, given: ChoiceWeights | None = None) -> Fitted:
    """Fit to recorded turns, as `evidence` makes them.

    Args:
        turns: What was recorded under `recording_weights`.
        given: Weights to compare with; None: the engine's.

    Raises:
        ValueError: There are none.
    """
    if not turns:
        raise ValueError("no turn holds any evidence: were they had under recording_weights?")
    fields = _best(turns)
    held_out = [
        (turn, fields_without)
        for fold in range(FOLDS)
        if (rest := [turn for turn in turns if turn.dialogue % FOLDS != fold])
        for fields_without in (_best(rest),)
        for turn in turns
        if turn.dialogue % FOLDS == fold
    ]
    before = _fields(given or ChoiceWeights())
    return Fitted(
        fields={name: round(value, 3) for name, value in fields.items()},
        figures={
            "given": figures([(turn, before) for turn in turns]),
            "fitted": figures([(turn, fields) for turn in turns]),
            f"fitted, {FOLDS}-fold over dialogues": figures(held_out),
        },
        num_turns=len(turns),
    )


def figures(decided: Sequence[tuple[Turn, Mapping[str, float]]]) -> dict[str, float]:
    """Name F1 of first calls, over-call and under-call, each turn under its weights."""
    calls = [(turn, _called(turn, fields)) for turn, fields in decided]
    right = sum(call in turn.wanted for turn, call in calls if call is not None)
    made = sum(call is not None for _, call in calls)
    with_call = [call for turn, call in calls if turn.wanted]
    without = [call for turn, call in calls if not turn.wanted]
    return {
        "first-call name F1": 2 * right / (made + len(with_call)) if made + len(with_call) else 0.0,
        "over-call": sum(call is not None for call in without) / len(without) if without else 0.0,
        "under-call": sum(call is None for call in with_call) / len(with_call) if with_call else 0.0,
    }


# --- evidence -------------------------------------------------------------------------------------


def evidence(dialogue: int, wanted: Sequence[frozenset[str]], records: Sequence[Mapping[str, Any]]) -> Iterator[Turn]:
    """The turns of one dialogue that hold any evidence.

    Args:
        dialogue: Its number; folds go by it.
        wanted: The functions that each turn wants.
        records: The turns, as `running.called` records them.
    """
    for names, record in zip(wanted, records, strict=True):
        ranked = record["trace"].get("choice", {}).get("ranked", ())
        # An agreed offer is called without a choice: nothing to fit there.
        if record["calls"] or not ranked:
            continue
        yield Turn(
            dialogue=dialogue,
            wanted=names,
            names=tuple(one["name"] for one in ranked),
            cosines=np.array([[one["example"], one["description"]] for one in ranked], np.float64),
            model=np.array([one["model"] or 0.0 for one in ranked], np.float64),
            in_play=np.array([one["in_play"] for one in ranked], np.float64),
        )


def print_fit(fitted: Fitted) -> None:
    """The weights and what they come to."""
    out = Console()
    out.print(f"{fitted.num_turns} turns; over-call at most {MAX_OVER_CALL:.0%}; first calls only", highlight=False)
    for label, each in fitted.figures.items():
        out.print(f"{label}: {', '.join(f'{name} {value:.3f}' for name, value in each.items())}", highlight=False)
    out.print("ChoiceWeights fields to set:", highlight=False)
    for name, value in fitted.fields.items():
        out.print(f"    {name}: float = {value}", highlight=False)


# --- fitting --------------------------------------------------------------------------------------


def _best(turns: Sequence[Turn]) -> dict[str, float]:
    labels = np.concatenate([[name in turn.wanted for name in turn.names] for turn in turns]).astype(np.float64)
    is_task = np.array([bool(turn.wanted) for turn in turns])
    best: dict[str, float] = {}
    best_value = (-np.inf, -np.inf)
    asks_model = any(turn.model.any() for turn in turns)
    for cap in CAPS if asks_model else CAPS[:1]:
        rows = np.concatenate([_features(turn, cap) for turn in turns])
        example, description, model, behind, in_play, bias = map(float, _logistic(rows, labels))
        # The engine has `order` as a share of `model`: where the one is nothing, so is the other.
        order = behind / model if abs(model) > MIN_WEIGHT else 0.0
        fields = {"example": example, "description": description, "model": model, "order": order}
        fields |= {"model_cap": cap, "in_play": in_play, "bias": bias}
        for floor in FLOORS:
            tops = [_top(turn, fields | {"floor": floor}) for turn in turns]
            chance = np.array([top for _, top in tops])
            is_right = np.array([name in turn.wanted for (name, _), turn in zip(tops, turns, strict=True)])
            for threshold in THRESHOLDS:
                is_called = chance >= threshold
                over = float(is_called[~is_task].mean()) if (~is_task).any() else 0.0
                f1 = 2 * float((is_called & is_right).sum()) / max(1, int(is_called.sum() + is_task.sum()))
                value = (-max(0.0, over - MAX_OVER_CALL), f1)
                if value > best_value:
                    best, best_value = fields | {"floor": floor, "threshold": threshold}, value
    return best


def _top(turn: Turn, fields: Mapping[str, float]) -> tuple[str | None, float]:
    """The most probable function above the floor, and its probability; None and -1 where there is none.

    The arithmetic of `ranking.rank`, on arrays; tests/tools/tasks/test_fitting.py holds both to each other.
    """
    model = [fields["model"], fields["model"] * fields["order"]]
    weights = np.array([fields["example"], fields["description"], *model, fields["in_play"], fields["bias"]])
    logits = _features(turn, fields["model_cap"]) @ weights
    logits = np.where(turn.cosines.max(axis=1) >= fields["floor"], logits, -np.inf)
    place = int(logits.argmax())
    if not np.isfinite(logits[place]):
        return None, -1.0
    return turn.names[place], float(1 / (1 + np.exp(-logits[place])))


def _called(turn: Turn, fields: Mapping[str, float]) -> str | None:
    name, chance = _top(turn, fields)
    return name if chance >= fields["threshold"] else None


def _fields(weights: ChoiceWeights) -> dict[str, float]:
    names = ("example", "description", "model", "order", "model_cap", "in_play", "bias", "floor", "threshold")
    return {name: float(getattr(weights, name)) for name in names}


def _features(turn: Turn, cap: float) -> NDArray[np.float64]:
    """(n, 6): cosines to example and description, the model's likeliest and how far behind it, in_play, one."""
    likeliest = np.full(len(turn.names), np.clip(turn.model.max() / cap, -1, 1))
    behind = np.clip((turn.model - turn.model.max()) / cap, -1, 1)
    return np.column_stack([turn.cosines, likeliest, behind, turn.in_play, np.ones(len(turn.names))])


def _logistic(rows: NDArray[np.float64], labels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of a logistic regression by Newton's method, with a ridge on all but the last column."""
    weights = np.zeros(rows.shape[1])
    ridge = np.diag([RIDGE] * (rows.shape[1] - 1) + [1e-6])
    for _ in range(MAX_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(rows @ weights, -30, 30)))
        slope = rows.T @ (labels - chance) - ridge @ weights
        curve = rows.T @ (rows * (chance * (1 - chance))[:, None]) + ridge
        step = np.linalg.solve(curve, slope)
        weights += step
        if np.abs(step).max() < 1e-6:
            break
    return weights
