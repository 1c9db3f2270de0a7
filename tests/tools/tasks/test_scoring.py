"""Turns to counts, by hand."""

import numpy as np
import pytest

from tests.tools.tasks.recorded import write_data
from tools.tasks.calls import Call
from tools.tasks.cpdc import load_part
from tools.tasks.procedures import functions_key, learn
from tools.tasks.scoring import Outcome, gold_outcomes, tally

BOW = {"item_name": "Long Bow"}


@pytest.fixture
def episode(tmp_path):
    return load_part(write_data(tmp_path), "dev-task1")[0]


async def scored(episode, outcomes):
    return await tally(episode, outcomes, needs=learn([episode])[functions_key(episode)])


async def test_gold_is_right_throughout(episode):
    found = await scored(episode, gold_outcomes(episode))
    counts = {name: tuple(pair) for name, pair in found.counts.items()}
    assert counts["call name F1"] == counts["exact-call F1"] == counts["soft F1"] == (8, 8)
    assert counts["whole turn exact"] == (5, 5)
    assert counts["over-call"] == (0, 1)
    assert counts["under-call"] == (0, 4)
    assert counts["valid"] == (4, 4)
    assert counts["procedure violations"] == (0, 4)
    assert counts["grounded numbers"] == (1, 1)
    assert counts["claims without an action"] == (0, 2)  # the greeting, and the price that was only looked up
    assert counts["word-F1 to gold"] == pytest.approx((5, 5))
    assert not found.causes
    assert not found.faults


async def test_a_turn_with_every_fault(episode):
    outcomes = gold_outcomes(episode)
    outcomes[0] = Outcome(calls=(Call(name="sell", arguments={"item_name": "Long Bow"}),), results=({},), reply="Hm.")
    outcomes[1] = Outcome(
        calls=(Call(name="check_price", arguments=BOW),), results=({"price": "300 Gold"},), reply="It is 250G."
    )
    outcomes[2] = Outcome(calls=(), reply="Here's your Long Bow.")
    found = await scored(episode, outcomes)
    counts = {name: tuple(pair) for name, pair in found.counts.items()}
    assert counts["over-call"] == (1, 1)
    assert counts["under-call"] == (1, 4)
    assert counts["valid"] == (3, 4)  # `sell` takes a list
    assert counts["procedure violations"] == (1, 4)
    assert counts["grounded numbers"] == (0, 1)
    assert counts["contradicts results"] == (1, 1)
    assert counts["claims without an action"] == (1, 2)
    assert found.causes == {"called for nothing": 1, "not called": 1}
    assert {fault["measure"] for fault in found.faults} == {
        "called for nothing",
        "not called",
        "procedure violation",
        "number from nowhere",
        "contradicts results",
        "claim without an action",
    }


async def test_without_replies_only_calls_are_counted(episode):
    outcomes = [Outcome(calls=one.calls, results=one.results) for one in gold_outcomes(episode)]
    found = await scored(episode, outcomes)
    assert found.lengths == []
    assert set(found.counts) == {
        "call name F1",
        "exact-call F1",
        "soft F1",
        "whole turn exact",
        "over-call",
        "under-call",
        "valid",
        "procedure violations",
    }


async def test_a_phrase_that_comes_again(episode):
    outcomes = [Outcome(calls=one.calls, reply="May fortune guide your blade.") for one in gold_outcomes(episode)]
    found = await scored(episode, outcomes)
    assert tuple(found.counts["phrase comes again"]) == (5, 5)
    assert tuple(found.counts["stock phrases"]) == (5, 5)


class Nli:
    """Says that whatever holds "blunt" contradicts everything."""

    async def scores(self, pairs):
        rows = [[0.0, 0.1, 0.9] if "blunt" in claim else [0.8, 0.1, 0.1] for _, claim in pairs]
        return np.array(rows, np.float32)


async def test_claims_are_judged_against_results_and_named_items(episode):
    outcomes = [Outcome(calls=(), reply="Good day.") for _ in episode.turns]
    outcomes[1] = Outcome(
        calls=(Call(name="check_price", arguments=BOW),),
        results=({"price": "300 Gold"},),
        reply="The Long Bow is rather blunt. It costs 300 Gold. Would you like it blunt?",
    )
    found = await tally(episode, outcomes, needs={}, nli=Nli())
    # Two claims; the question is none, and a turn without premises has none to contradict.
    assert tuple(found.counts["contradiction (NLI)"]) == (1, 2)
