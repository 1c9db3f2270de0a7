"""The solver against every state of a small game."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_engine.sheets.conditions import AllOf, AnyOf, Compare, Condition, GameState, Has, Not, parse_condition
from npc_engine.sheets.lint.satisfiable import can_fail, can_hold, dead_parts, implies

SIGNS = ("==", "!=", ">=", "<=", ">", "<")
# Every value that a leaf below can tell from another, and the unknown ones.
STATES = [
    GameState(trust=trust, hour=hour, quests={"q": stage}, place=place, flags=flags)
    for trust, hour, stage, place, flags in product(
        (0, 1, 49, 50, 51, 99, 100),
        (None, 0, 7, 8, 9, 22, 23),
        (0, 1, 2, 3),
        (None, "inn", "smithy", "elsewhere"),
        (frozenset(), frozenset({"rain"})),
    )
]
LEAVES = st.one_of(
    st.builds(Compare, st.just("trust"), st.sampled_from(SIGNS), st.sampled_from((0, 50, 100))),
    st.builds(Compare, st.just("hour"), st.sampled_from(SIGNS), st.sampled_from((0, 8, 23))),
    st.builds(Compare, st.just("quest"), st.sampled_from(SIGNS), st.sampled_from((0, 1, 2)), st.just("q")),
    st.builds(Compare, st.just("place"), st.sampled_from(("==", "!=")), st.sampled_from(("inn", "smithy"))),
    st.builds(Has, st.just("flag"), st.just("rain")),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(AllOf, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(AnyOf, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


@given(TREES)
def test_a_condition_can_hold_if_and_only_if_some_state_makes_it(tree):
    condition = Condition(tree)
    assert can_hold(condition) == any(condition.holds(state) for state in STATES)


@given(TREES)
def test_a_condition_can_fail_if_and_only_if_some_state_makes_it(tree):
    condition = Condition(tree)
    assert can_fail(condition) == any(not condition.holds(state) for state in STATES)


@given(TREES, TREES)
def test_what_is_implied_holds_wherever_the_other_does(one, other):
    if implies(Condition(one), Condition(other)):
        known = [state for state in STATES if state.place is not None and state.hour is not None]
        assert all(Condition(other).holds(state) for state in known if Condition(one).holds(state))


@pytest.mark.parametrize(
    ("text", "dead"),
    [
        ("trust >= 60 or trust > 100", ["trust > 100"]),
        ("flag('a') and not flag('a') or trust >= 1", ["flag('a') and not flag('a')"]),
        ("trust > 100 or hour > 23", []),
        ("trust >= 60", []),
    ],
)
def test_alternatives_that_never_hold_are_named(text, dead):
    assert [str(part) for part in dead_parts(parse_condition(text))] == dead


def test_two_conditions_are_asked_together():
    assert not can_hold(parse_condition("trust >= 40"), None, parse_condition("trust < 40"))


def test_an_endless_condition_counts_as_possible_and_takes_no_time():
    # Each pair doubles the branches, and all of them fail at the last demand: 2 ** 40 of them.
    pairs = tuple(AnyOf((Has("flag", f"a{number}"), Has("flag", f"b{number}"))) for number in range(40))
    last = parse_condition("trust > 100").root
    assert can_hold(Condition(AllOf((*pairs, last))))
