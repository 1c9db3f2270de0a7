import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_engine.playtest.scores.statistics import percentile, position_weighted, rate


def test_a_rate_is_of_all_cases_and_its_interval_holds_it():
    one = rate([(1, 2), (0, 2), (0, 0)])
    assert (one.hits, one.cases, one.value) == (1, 4, 0.25)
    assert one.low <= 0.25 <= one.high


def test_nothing_measured_is_no_rate():
    for counts in ([], [(0, 0)]):
        one = rate(counts)
        assert (one.value, one.low, one.high, one.cases) == (None, None, None, 0)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)).map(lambda p: (min(p), max(p))), max_size=12))
def test_intervals_are_shares_in_order_and_the_same_each_time(counts):
    one = rate(counts)
    assert one == rate(counts)
    if one.value is not None:
        assert 0 <= one.low <= one.high <= 1


def test_more_conversations_make_the_interval_narrower():
    few, many = rate([(1, 1), (0, 1)] * 5), rate([(1, 1), (0, 1)] * 200)
    assert many.high - many.low < few.high - few.low


@pytest.mark.parametrize(
    ("turns", "weighted"),
    [([True, True, False], (3, 6)), ([False, True, True], (5, 6)), ([], (0, 0)), ([True], (1, 1))],
)
def test_late_turns_weigh_more(turns, weighted):
    assert position_weighted(turns) == weighted


def test_percentiles():
    assert (percentile([3, 1, 2], 50), percentile([3, 1, 2], 95), percentile([], 50)) == (2, 3, None)
