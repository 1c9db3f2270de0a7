from __future__ import annotations

import pytest

from npc_engine.inference.run_costs import RunCosts


def test_the_first_whole_chunk_replaces_the_guess_and_later_ones_are_averaged_in() -> None:
    costs = RunCosts()
    costs.saw_prefill(32, 0.032)
    assert costs.prefill_s(10) == pytest.approx(0.010)
    costs.saw_prefill(32, 0.064)
    assert costs.prefill_s(10) == pytest.approx(0.011)


def test_a_chunk_of_one_token_weighs_little() -> None:
    costs = RunCosts()
    costs.saw_prefill(64, 0.064)
    costs.saw_prefill(1, 0.008)
    assert costs.prefill_token_s == pytest.approx(0.001, rel=0.05)


def test_decode_steps_are_kept_by_their_rows() -> None:
    costs = RunCosts()
    for seconds in (0.010, 0.020):
        costs.saw_decode(4, seconds)
    assert costs.decode_s(4) == pytest.approx(0.011)
    assert costs.decode_s(1) == 0


def test_a_clock_that_shows_no_time_breaks_nothing() -> None:
    costs = RunCosts()
    costs.saw_prefill(32, 0.0)
    assert costs.prefill_token_s > 0


def test_the_time_a_request_holds_its_slot() -> None:
    costs = RunCosts()
    assert costs.request_s is None
    for seconds in (2.0, 4.0):
        costs.saw_request(seconds)
    assert costs.request_s == pytest.approx(2.2)
