"""The fitter's arithmetic is the engine's, and what it finds keeps the constraint."""

import random

import numpy as np
import pytest

from npc_engine.actions.ranking import ChoiceWeights, rank
from npc_engine.actions.shortlist import Evidence
from npc_engine.sheets.schema import NO_ACTION, ActionSpec
from tools.tasks.fitting import MAX_OVER_CALL, _fields, _top, evidence, fit, recording_weights

NAMES = ("sell", "look", "wave")


def record(ranked):
    return {"calls": [], "trace": {"choice": {"ranked": ranked}}}


def ranked(rng, wanted):
    """Evidence that tells, with noise: the cosine and the model's evidence of what is wanted are higher."""
    return [
        {
            "name": name,
            "example": (cosine := rng.uniform(0.1, 0.4) + 0.2 * (name in wanted)),
            "description": cosine,
            "model": rng.uniform(-6, 0) + 5 * (name in wanted),
            "in_play": False,
        }
        for name in NAMES
    ]


@pytest.fixture(scope="module")
def recorded():
    """Rows of evidence, and the turns that they make."""
    rng = random.Random(1)
    wanted = [() if rng.random() < 0.3 else (rng.choice(NAMES),) for _ in range(80)]
    rows = [ranked(rng, some) for some in wanted]
    turns = [
        turn
        for number, (some, names) in enumerate(zip(rows, wanted, strict=True))
        for turn in evidence(number, [frozenset(names)], [record(some)])
    ]
    return rows, turns


def test_the_arithmetic_is_the_engines(recorded):
    weights = ChoiceWeights(description=0.7, floor=-1.0)
    actions = {name: ActionSpec(name=name, description=name) for name in NAMES}
    for rows, turn in zip(*recorded, strict=True):
        found = [
            Evidence(action=actions[row["name"]], example=row["example"], description=row["description"])
            for row in rows
        ]
        model = {row["name"]: row["model"] for row in rows} | {NO_ACTION: 0.0}
        best = rank(found, weights, model=model, in_play=None)[0]
        name, chance = _top(turn, _fields(weights))
        assert name == best.action.name
        assert chance == pytest.approx(best.probability)


def test_fitting_finds_what_tells_and_keeps_the_constraint(recorded):
    fitted = fit(recorded[1])
    assert fitted.num_turns == 80
    assert fitted.figures["fitted"]["over-call"] <= MAX_OVER_CALL
    assert fitted.figures["fitted"]["first-call name F1"] > 0.9
    held_out = next(value for name, value in fitted.figures.items() if "fold" in name)
    assert held_out["first-call name F1"] > 0.8
    assert fitted.fields["example"] > 0
    assert fitted.fields["model"] > 0
    # What it prints can be put in.
    assert ChoiceWeights(**fitted.fields).threshold == fitted.fields["threshold"]


def test_turns_without_evidence_are_left_out():
    turn = {"calls": [{"name": "sell", "arguments": {}}], "trace": {"choice": {"ranked": []}}}
    turns = list(evidence(0, [frozenset(["sell"])], [turn]))
    assert turns == []
    with pytest.raises(ValueError, match="no turn holds any evidence"):
        fit(turns)


def test_recording_calls_nothing_and_leaves_nothing_out():
    weights = recording_weights(asks_model=True)
    assert weights.threshold > 1
    assert weights.follow_up_threshold > 1
    assert weights.floor == -1
    assert weights.model
    assert recording_weights(asks_model=False).model == 0


def test_an_arrays_floor_hides_what_is_below(recorded):
    turn = recorded[1][0]
    name, chance = _top(turn, _fields(ChoiceWeights()) | {"floor": 2.0})
    assert (name, chance) == (None, -1.0)
    assert np.all(turn.cosines < 2)
