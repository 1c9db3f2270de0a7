"""How evidence is weighed, and that each part can be turned off."""

from dataclasses import replace

import numpy as np
import pytest

from npc_engine.actions.ranking import ChoiceWeights, rank
from npc_engine.actions.shortlist import ActionIndex, Evidence, clauses, texts
from npc_engine.sheets.action_spec import ActionSpec

A, B = (ActionSpec(name=name, description="d") for name in "ab")
WEIGHTS = ChoiceWeights()


def evidence(a, b=0.0):
    return [Evidence(action=A, example=a, description=0.0), Evidence(action=B, example=b, description=0.0)]


def best(weights=WEIGHTS, *, cosines=(0.7, 0.7), model=None, in_play=None):
    ranked = rank(evidence(*cosines), weights, model=model, in_play=in_play)
    assert ranked[0].probability >= ranked[1].probability
    return ranked[0]


def test_the_closest_is_best_without_the_model():
    assert best(cosines=(0.7, 0.8)).action is B


def test_the_model_decides_between_equals():
    assert best(model={"a": -9.0, "b": -2.0, "none": -5.0}).action is B


def test_the_model_can_say_none():
    assert best(model={"a": -9.0, "b": -9.0, "none": -1.0}).probability < WEIGHTS.threshold
    assert best(model={"a": -1.0, "b": -9.0, "none": -9.0}).probability > WEIGHTS.threshold


def test_no_single_figure_of_the_model_outweighs_the_cap():
    far = best(model={"a": 0.0, "b": -999.0, "none": -999.0})
    assert far.probability == best(model={"a": 0.0, "b": -999.0, "none": -WEIGHTS.model_cap}).probability


def test_what_is_in_play_counts_more():
    assert best(in_play="b").action is B
    assert best(in_play="b").is_in_play


@pytest.mark.parametrize("part", ["example", "model", "in_play"])
def test_a_weight_of_zero_turns_a_part_off(part):
    off = replace(WEIGHTS, **{part: 0.0})
    says = {"cosines": (0.9, 0.1)} if part == "example" else {"cosines": (0.5, 0.5)}
    says |= {"model": {"a": -1.0, "b": -9.0, "none": -5.0}} if part == "model" else {}
    says |= {"in_play": "a"} if part == "in_play" else {}
    on = rank(evidence(*says.pop("cosines")), off, model=says.get("model"), in_play=says.get("in_play"))
    assert on[0].probability == pytest.approx(on[1].probability)


def test_a_shortlist_is_eligible_close_and_short():
    actions = [ActionSpec(name=f"a{n}", description=f"d{n}", examples=(f"e{n}",)) for n in range(5)]
    assert texts(actions)[:3] == ["d0", "e0", "d1"]
    rows = np.zeros((10, 5), np.float32)
    rows[1::2] = np.eye(5)
    index = ActionIndex(actions, rows)
    query = np.array([[0.1, 0.9, 0.3, 0.8, 0.6]], np.float32)
    found = index.shortlist(query, eligible=[*actions[:3], actions[4]], floor=0.2, size=2)
    assert [one.action.name for one in found] == ["a1", "a4"]
    assert index.top(query, eligible=actions[:1]) == pytest.approx(0.1)
    assert index.shortlist(query, eligible=[], floor=-1, size=9) == []


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("Sell me a dagger.", []),
        ("Sell me a dagger and ring the bell.", ["Sell me a dagger", "ring the bell."]),
        ("Hello. What does a dagger cost?", ["What does a dagger cost?"]),
        ("bread and butter", []),
    ],
)
def test_the_parts_of_a_line(line, parts):
    assert list(clauses(line)) == parts
