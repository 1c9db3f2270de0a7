"""Rules between actions as a table, and the record they look at."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from npc_engine.actions.procedures import Procedures
from npc_engine.actions.record import MAX_IDLE_TURNS, MAX_SUCCESSES, MAX_UNANSWERED, Record
from npc_engine.sheets.action_spec import ActionSpec, Procedure

LOOK = Procedure(name="look", before="sell", require="price")
ASK = Procedure(name="ask", before="sell", require="confirm")
THEN = Procedure(name="then", after="sell", offer="wear")
SELL = ActionSpec(name="sell", description="d")
AXE = {"item": "axe", "quantity": 2}


def record_of(*successes):
    record = Record()
    for name, arguments in successes:
        record.succeeded(name, arguments, turn=1)
    return record


def step(rules, record, *, action=SELL, is_agreed=False):
    found = Procedures(rules).before(action, AXE, record, is_agreed=is_agreed)
    return found.kind, found.action


@pytest.mark.parametrize(
    ("rules", "successes", "is_agreed", "expected"),
    [
        ([], [], False, ("call", "sell")),
        ([LOOK], [], False, ("call", "price")),
        ([LOOK], [("price", {"item": "bow"})], False, ("call", "price")),
        ([LOOK], [("price", {"item": "axe"})], False, ("call", "sell")),
        ([LOOK], [("price", {})], False, ("call", "sell")),
        ([ASK], [], False, ("offer", "sell")),
        ([ASK], [], True, ("call", "sell")),
        ([ASK, LOOK], [], True, ("call", "price")),
        ([LOOK, ASK], [("price", {"item": "axe"})], False, ("offer", "sell")),
        ([THEN], [], False, ("call", "sell")),
    ],
)
def test_what_is_next(rules, successes, is_agreed, expected):
    assert step(rules, record_of(*successes), is_agreed=is_agreed) == expected


def test_an_action_that_confirms_is_offered_without_a_rule():
    assert step([], Record(), action=SELL.model_copy(update={"confirm": True})) == ("offer", "sell")


def test_what_was_required_is_used_up_by_the_success_it_led_to():
    record, rules = record_of(("price", {"item": "axe"})), Procedures([LOOK])
    rules.use("sell", AXE, record)
    assert step([LOOK], record) == ("call", "price")


def test_what_follows():
    assert Procedures([LOOK, THEN]).after("sell") == "wear"
    assert Procedures([LOOK, THEN]).after("price") is None


@given(
    st.lists(st.tuples(st.sampled_from(["price", "sell", "wear"]), st.sampled_from(["axe", "bow"])), max_size=8),
    st.booleans(),
)
def test_nothing_that_is_required_is_ever_left_out(successes, is_agreed):
    record = record_of(*((name, {"item": item}) for name, item in successes))
    found = step([LOOK, ASK], record, is_agreed=is_agreed)
    if found == ("call", "sell"):
        assert is_agreed
        assert ("price", "axe") in successes


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"before": "a"},
        {"before": "a", "offer": "b"},
        {"after": "a", "require": "b"},
        {"before": "a", "require": "a"},
        {"before": "a", "require": "b", "after": "c", "offer": "d"},
    ],
)
def test_a_procedure_is_one_rule_between_two_actions(fields):
    with pytest.raises(ValidationError):
        Procedure(name="rule", **fields)


def test_a_key_is_kept_for_a_call_whose_outcome_nobody_knows():
    record = Record()
    first = record.key("talk:1", "sell", AXE)
    assert record.key("talk:1", "sell", dict(reversed(AXE.items()))) == first
    assert record.key("talk:2", "sell", AXE) != first
    record.unanswered("sell", AXE, first)
    assert record.key("talk:2", "sell", AXE) == first
    assert record.key("talk:2", "sell", AXE | {"quantity": 3}) != first
    record.answered("sell", AXE)
    assert record.key("talk:2", "sell", AXE) != first


def test_the_record_is_bounded():
    record = Record()
    for number in range(500):
        record.succeeded("sell", {"n": number}, turn=number)
        record.unanswered("sell", {"n": number}, str(number))
    assert len(record.successes) == MAX_SUCCESSES
    assert record.key("s", "sell", {"n": 499}) == "499"
    assert record.key("s", "sell", {"n": 499 - MAX_UNANSWERED}) != str(499 - MAX_UNANSWERED)


def test_criteria_end_when_they_are_left():
    record = Record()
    record.add_criteria("find", {"kind": "axe"}, turn=1)
    record.begin_turn(1 + MAX_IDLE_TURNS, is_reset=False)
    assert record.in_play == "find"
    record.begin_turn(2 + MAX_IDLE_TURNS, is_reset=False)
    assert (record.in_play, record.criteria) == (None, {})
    record.add_criteria("find", {"kind": "axe"}, turn=9)
    record.begin_turn(9, is_reset=True)
    assert record.in_play is None
