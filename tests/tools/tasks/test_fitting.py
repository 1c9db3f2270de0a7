"""The fitter's arithmetic is the engine's, and what it finds keeps the constraint."""

import random

import numpy as np
import pytest

from npc_engine.actions.ranking import ChoiceWeights, rank
from npc_engine.actions.shortlist import Evidence
from npc_engine.sheets.schema import NO_ACTION, ActionSpec
from tools.tasks.calls import Call
from tools.tasks.cpdc import Answered, Episode, TaskTurn
from tools.tasks.fitting import MAX_OVER_CALL, _evidence, _fields, _top, fit, recording_weights

NAMES = ("sell", "look", "wave")


def episode(wanted):
    gold = tuple(Answered(call=Call(name=name), result=[]) for name in wanted)
    turns = (TaskTurn(line="Well?", gold=gold, reply="Well."),)
    return Episode(id="e", worldview="", role="", persona={}, functions=(), state={}, items=(), general=(), turns=turns)


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
            "prior": -2.0,
            "in_play": False,
        }
        for name in NAMES
    ]


@pytest.fixture(scope="module")
def recorded():
    rng = random.Random(1)
    wanted = [() if rng.random() < 0.3 else (rng.choice(NAMES),) for _ in range(80)]
    return [episode(some) for some in wanted], [[record(ranked(rng, some))] for some in wanted]


def test_the_arithmetic_is_the_engines(recorded):
    weights = ChoiceWeights(description=0.7, floor=-1.0)
    actions = {name: ActionSpec(name=name, description=name) for name in NAMES}
    for one, some in zip(*recorded, strict=True):
        (turn,) = _evidence(0, one, some)
        rows = some[0]["trace"]["choice"]["ranked"]
        evidence = [
            Evidence(action=actions[row["name"]], example=row["example"], description=row["description"])
            for row in rows
        ]
        model = {row["name"]: row["model"] for row in rows} | {NO_ACTION: 0.0}
        prior = {row["name"]: row["prior"] for row in rows} | {NO_ACTION: 0.0}
        best = rank(evidence, weights, model=model, prior=prior, in_play=None)[0]
        name, chance = _top(turn, _fields(weights))
        assert name == best.action.name
        assert chance == pytest.approx(best.probability)


def test_fitting_finds_what_tells_and_keeps_the_constraint(recorded):
    fitted = fit(*recorded)
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
    with pytest.raises(ValueError, match="no turn holds any evidence"):
        fit([episode(["sell"])], [[turn]])


def test_recording_calls_nothing_and_leaves_nothing_out():
    weights = recording_weights(asks_model=True)
    assert weights.threshold > 1
    assert weights.follow_up_threshold > 1
    assert weights.floor == -1
    assert weights.model
    assert weights.prior
    assert recording_weights(asks_model=False).model == 0


def test_an_arrays_floor_hides_what_is_below(recorded):
    (turn,) = _evidence(0, recorded[0][0], recorded[1][0])
    name, chance = _top(turn, _fields(ChoiceWeights()) | {"floor": 2.0})
    assert (name, chance) == (None, -1.0)
    assert np.all(turn.cosines < 2)
