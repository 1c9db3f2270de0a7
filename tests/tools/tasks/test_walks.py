"""Calls that should not have been made are found from the walk alone."""

import pytest

from npc_engine.config import EngineConfig
from npc_engine.sheets.schema import ActionSpec, Procedure
from tests.talk import CALL_RING, CALL_SELL, CALL_VAULT, SETTINGS, mara, talking
from tools.tasks.walks import NUM_TURNS, Violation, have_walk, violations, with_procedures

SELL = {"name": "sell_sword", "arguments": {"quantity": 2}}
RING = {"name": "ring_bell", "arguments": {}}
VAULT = {"name": "open_vault", "arguments": {}}


def turn(line, *calls, offered=(), state=None):
    return {
        "line": line,
        "state": state or {},
        "calls": [call | {"is_run": call.get("is_run", True)} for call in calls],
        "offered": list(offered),
    }


def why(tmp_path, *turns, rules=()):
    sheet = mara(tmp_path).model_copy(update={"procedures": tuple(rules)})
    return [one.why for one in violations(sheet, turns)]


def test_a_yes_to_the_offer_of_exactly_this(tmp_path):
    assert why(tmp_path, turn("Sell me two.", offered=[SELL]), turn("Yes.", SELL)) == []


def test_no_offer_no_yes_or_another_offer(tmp_path):
    reason = ["no yes to an offer of exactly this"]
    assert why(tmp_path, turn("Sell me two.", SELL)) == reason
    assert why(tmp_path, turn("Sell me two.", offered=[SELL]), turn("Maybe later.", SELL)) == reason
    other = {"name": "sell_sword", "arguments": {"quantity": 9}}
    assert why(tmp_path, turn("Sell me nine.", offered=[other]), turn("Yes.", SELL)) == reason
    late = (turn("Sell me two.", offered=[SELL]), turn("Hm."), turn("Yes.", SELL))
    assert why(tmp_path, *late) == reason


def test_a_condition(tmp_path):
    assert why(tmp_path, turn("Open it.", VAULT, state={"trust": 60})) == []
    assert why(tmp_path, turn("Open it.", VAULT, state={"trust": 40})) == ["not while trust >= 50 is false"]


def test_a_required_step(tmp_path):
    rule = Procedure(name="ring first", before="open_vault", require="ring_bell")
    rich = {"trust": 60}
    missed = ["ring_bell was not done before"]
    assert why(tmp_path, turn("Open.", RING, VAULT, state=rich), rules=[rule]) == []
    assert why(tmp_path, turn("Open.", VAULT, state=rich), rules=[rule]) == missed
    refused = RING | {"is_run": False}
    assert why(tmp_path, turn("Open.", refused, VAULT, state=rich), rules=[rule]) == missed
    twice = (turn("Open.", RING, VAULT, state=rich), turn("Again.", VAULT, state=rich))
    assert why(tmp_path, *twice, rules=[rule]) == missed


def test_an_action_that_is_not_there(tmp_path):
    found = violations(mara(tmp_path), [turn("Dance.", {"name": "dance", "arguments": {}})])
    assert found == [Violation(turn=0, call="dance", why="no such action")]


def test_a_sheet_without_procedures_gets_one(tmp_path):
    sheet = mara(tmp_path)
    (rule,) = with_procedures(sheet).procedures
    assert (rule.before, rule.require) == ("sell_sword", "ring_bell")
    only = sheet.model_copy(update={"actions": (ActionSpec(name="wave", description="waves"),)})
    assert with_procedures(only) == only


@pytest.mark.parametrize("call", [CALL_SELL, CALL_RING, CALL_VAULT])
async def test_no_walk_gets_past_the_engine(call, tmp_path, reciter, word_encoder):
    """Whatever the model would rather call: her sale needs a yes and the bell first, her vault needs trust."""
    sheet = with_procedures(mara(tmp_path))
    config = EngineConfig(**SETTINGS)
    num_calls = 0
    async with talking(sheet, model=reciter("Hm.", call=call), encoder=word_encoder) as dialogue:
        for seed in range(8):
            walk = await have_walk(dialogue, sheet, seed=seed, config=config)
            assert len(walk["turns"]) == NUM_TURNS
            assert violations(sheet, walk["turns"]) == []
            num_calls += sum(len(one["calls"]) for one in walk["turns"])
        assert dialogue.health()["conversations"] == 0
    assert num_calls
