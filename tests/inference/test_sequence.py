from __future__ import annotations

import pytest

from npc_engine.inference.kv_cache import Slot, SlotState
from npc_engine.inference.sampler import SamplingParams
from npc_engine.inference.sequence import MOVES, Sequence, SequenceStatus


def sequence(params: SamplingParams | None = None) -> Sequence:
    return Sequence((1, 2, 3, 4), params or SamplingParams(), vocab_size=10, arrived_s=100.0)


def slot(*token_ids: int) -> Slot:
    return Slot(0, SlotState.ACTIVE, list(token_ids))


def in_status(status: SequenceStatus) -> Sequence:
    made = sequence()
    if status is SequenceStatus.RUNNING:
        made.admit(slot(), now_s=101.0)
    elif status is SequenceStatus.FINISHED:
        made.finish("cancelled", now_s=101.0)
    return made


@pytest.mark.parametrize("start", SequenceStatus)
@pytest.mark.parametrize("end", SequenceStatus)
def test_only_the_moves_of_the_table_are_possible(start: SequenceStatus, end: SequenceStatus) -> None:
    made = in_status(start)

    def move() -> None:
        if end is SequenceStatus.RUNNING:
            made.admit(slot(), now_s=102.0)
        elif end is SequenceStatus.WAITING:
            made.preempt()
        else:
            made.finish("stop", now_s=102.0)

    if end in MOVES[start]:
        move()
        assert made.status is end
    else:
        with pytest.raises(ValueError, match="cannot go from"):
            move()
        assert made.status is start


def test_times_start_and_end_where_their_docstrings_say() -> None:
    made = sequence()
    made.admit(slot(1, 2), now_s=101.0)
    for token_id, now_s in ((5, 103.0), (6, 103.5), (7, 104.0)):
        made.append(token_id, now_s=now_s)
    made.finish("length", now_s=104.1)
    stats = made.stats()
    assert (stats.prompt_tokens, stats.cached_tokens, stats.output_tokens) == (4, 2, 3)
    assert (stats.queue_time_s, stats.prefill_time_s, stats.time_to_first_token_s) == (1.0, 2.0, 3.0)
    assert stats.time_per_output_token_s == 0.5
    assert stats.finish_reason == "length"


def test_a_sequence_that_never_ran_has_waited_only() -> None:
    made = sequence()
    made.finish("cancelled", now_s=107.0)
    stats = made.stats()
    assert (stats.queue_time_s, stats.prefill_time_s, stats.time_to_first_token_s) == (7.0, 0.0, 0.0)


def test_generated_tokens_are_tracked_only_for_penalties() -> None:
    plain, penalised = sequence(), sequence(SamplingParams(presence_penalty=1.0))
    for made in (plain, penalised):
        made.admit(slot(), now_s=101.0)
        made.append(7, now_s=102.0)
    assert plain.sampler_row().generated is None
    generated = penalised.sampler_row().generated
    assert generated is not None
    assert generated.nonzero()[0].tolist() == [7]


def test_a_pause_keeps_tokens_and_first_times() -> None:
    made = sequence()
    made.admit(slot(1, 2), now_s=101.0)
    made.append(5, now_s=102.0)
    key = made.preempt()
    assert (made.place_key, made.slot) == (key, None)
    made.admit(slot(1), now_s=110.0)
    assert made.num_pending_tokens == 4
    made.append(6, now_s=112.0)
    made.finish("stop", now_s=113.0)
    stats = made.stats()
    assert (stats.queue_time_s, stats.prefill_time_s, stats.cached_tokens, stats.num_preemptions) == (1.0, 1.0, 2, 1)
    assert made.token_ids == [1, 2, 3, 4, 5, 6]


def test_a_follower_is_held_until_its_leader_has_a_token_or_is_gone() -> None:
    leader = sequence()
    followers = [Sequence((1, 2), SamplingParams(), vocab_size=10, arrived_s=100.0, leader=leader) for _ in range(2)]
    assert [each.is_held for each in (leader, *followers)] == [False, True, True]
    leader.append(5, now_s=101.0)
    assert not followers[0].is_held
    gone = sequence()
    orphan = Sequence((1, 2), SamplingParams(), vocab_size=10, arrived_s=100.0, leader=gone)
    gone.finish("cancelled", now_s=101.0)
    assert not orphan.is_held


def test_only_the_first_cancellation_counts() -> None:
    made = sequence()
    made.cancel(now_s=101.0)
    made.cancel(now_s=105.0)
    assert made.cancelled_s == 101.0
