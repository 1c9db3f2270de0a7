"""What is a difference and what is not: power where there is one, few false alarms where there is none."""

import numpy as np
import pytest

from npc_engine.playtest.compare import compare, holm, paired
from npc_engine.playtest.scores.scored import Scored
from npc_engine.playtest.talks import TalkRecord

SHARES = ("fact recall", "in character", "knowledge boundary", "grounded numbers", "action success", "secrets kept")


def run(rng, *, talks=60, repeats=2, shares=None):
    """A run whose talks have habits of their own, with `shares` of hits by score."""
    shares = shares or {}
    made = []
    for number in range(talks):
        for repeat in range(repeats):
            record = TalkRecord(talk=f"t{number}", repeat=repeat, seed=repeat, digest="", character="m", name="t")
            scored = Scored(record)
            for score in SHARES:
                # Half of the talks are easy and half are hard, in every run the same ones.
                share = shares.get(score, 0.7) + (0.2 if number % 2 else -0.2)
                scored.add(score, float(rng.random() < share))
            scored.add("first sentence", float(rng.exponential(1.0)))
            made.append(scored)
    return made


def test_a_real_difference_is_found_and_named():
    first = run(np.random.default_rng(1), shares={"fact recall": 0.45})
    second = run(np.random.default_rng(2), shares={"fact recall": 0.8})
    found = {one.score.name: one for one in compare(first, second)}
    assert found["fact recall"].finding == "better"
    assert found["fact recall"].low > 0
    assert {found[name].finding for name in SHARES if name != "fact recall"} == {"no difference found"}
    back = {one.score.name: one for one in compare(second, first)}
    assert back["fact recall"].finding == "worse"


def test_at_most_two_false_alarms_in_twenty_repeats_of_the_same():
    alarms = 0
    for number in range(20):
        first, second = (run(np.random.default_rng(seed)) for seed in (2 * number, 2 * number + 1))
        alarms += any(one.finding in ("better", "worse", "different") for one in compare(first, second))
    assert alarms <= 2


def test_the_same_results_do_not_differ():
    same = run(np.random.default_rng(3))
    for one in compare(same, same):
        assert one.finding in ("no difference found", "not tested")
        assert (one.first, one.low, one.high) == (one.second, 0, 0)


def test_a_few_talks_are_no_evidence():
    first = run(np.random.default_rng(1), talks=2, shares=dict.fromkeys(SHARES, -1.0))
    second = run(np.random.default_rng(1), talks=2, shares=dict.fromkeys(SHARES, 2.0))
    assert {one.finding for one in compare(first, second) if one.score.is_compared} == {"no difference found"}


def test_times_are_shown_and_never_judged():
    first, second = run(np.random.default_rng(1)), run(np.random.default_rng(2))
    for one in second:
        one.counts["first sentence"][0] += 100
    (times,) = [one for one in compare(first, second) if one.score.name == "first sentence"]
    assert times.finding == "not tested"
    assert times.low > 90


def test_talks_are_paired_by_name_and_repeat():
    first, second = run(np.random.default_rng(1), talks=3), run(np.random.default_rng(2), talks=5)
    pairs = paired(first, second[::-1])
    assert len(pairs) == 6
    assert all(one.record.key == other.record.key for one, other in pairs)
    assert compare(first, []) == []


@pytest.mark.parametrize(
    ("ps", "corrected"),
    [
        ({}, {}),
        ({"a": 0.01}, {"a": 0.01}),
        ({"a": 0.04, "b": 0.01, "c": 0.03}, {"b": 0.03, "c": 0.06, "a": 0.06}),
        ({"a": 0.5, "b": 0.9}, {"a": 1.0, "b": 1.0}),
    ],
)
def test_holms_correction(ps, corrected):
    assert holm(ps) == pytest.approx(corrected)
