from __future__ import annotations

import itertools

import numpy as np
import pytest

from npc_engine.errors import ContextTooLong, Overloaded, RequestError
from npc_engine.inference.kv_cache import KvPool, SlotState
from npc_engine.inference.kv_memory import HostKvMemory
from npc_engine.inference.prefix_store import PrefixStore
from npc_engine.inference.sampler import SamplingParams
from npc_engine.inference.scheduler import Scheduler
from npc_engine.inference.sequence import Sequence, SequenceStatus


def scheduler_of(
    *, num_slots: int = 2, max_waiting: int = 8, store_bytes: int = 1 << 20, chunk: int = 4, context: int = 32
) -> Scheduler:
    return Scheduler(
        KvPool(HostKvMemory((2, num_slots, 1, context, 4), np.dtype(np.float32))),
        PrefixStore(store_bytes),
        max_waiting=max_waiting,
        prefill_chunk_tokens=chunk,
        clock=itertools.count(0, 5).__next__,
    )


def sequence(*prompt: int, talk: str | None = None, warm_key: str | None = None, max_new_tokens: int = 4) -> Sequence:
    return Sequence(
        prompt,
        SamplingParams(max_new_tokens=max_new_tokens),
        vocab_size=100,
        arrived_s=0.0,
        conversation_id=talk,
        warm_key=warm_key,
    )


def run(scheduler: Scheduler, *sequences: Sequence, tokens: int = 2) -> None:
    """Run to the end as an engine would, generating 90, 91, ... ."""
    for each in sequences:
        scheduler.submit(each)
    while any(each.status is not SequenceStatus.FINISHED for each in sequences):
        batch = scheduler.schedule()
        if batch.prefill is not None:
            scheduler.extend(batch.prefill, batch.chunk)
            if batch.prefill.num_remaining_prompt_tokens == 0:
                batch.prefill.append(90, now_s=0.0)
        for each in itertools.chain(*batch.decode):
            scheduler.extend(each, (each.output_ids[-1],))
            each.append(90 + len(each.output_ids), now_s=0.0)
            if len(each.output_ids) == tokens:
                scheduler.finish(each, "length")


def test_prompts_go_in_chunks_beside_a_decode_step() -> None:
    scheduler = scheduler_of()
    first, second = sequence(1, 2), sequence(*range(10))
    scheduler.submit(first)
    scheduler.submit(second)
    batch = scheduler.schedule()
    assert (batch.prefill, batch.chunk, batch.decode) == (first, (1, 2), ())
    scheduler.extend(first, batch.chunk)
    first.append(9, now_s=0.0)
    for chunk in ((0, 1, 2, 3), (4, 5, 6, 7), (8, 9)):
        batch = scheduler.schedule()
        assert (batch.prefill, batch.chunk, batch.decode) == (second, chunk, ((first,),))
        scheduler.extend(second, chunk)


def test_a_long_prompt_takes_short_chunks_while_others_decode() -> None:
    scheduler = scheduler_of(chunk=128, context=512)
    first, second = sequence(1, 2), sequence(*range(300))
    for each in (first, second):
        scheduler.submit(each)
    scheduler.extend(first, scheduler.schedule().chunk)
    first.append(9, now_s=0.0)
    assert len(scheduler.schedule().chunk) == 32
    scheduler.finish(first, "stop")
    assert len(scheduler.schedule().chunk) == 128


def test_a_player_goes_before_the_warming_of_a_prefix() -> None:
    scheduler = scheduler_of()
    warming, player = sequence(*range(12), warm_key="mara"), sequence(*range(20, 26))
    scheduler.submit(warming)
    first = scheduler.schedule()
    assert first.prefill is warming
    scheduler.extend(warming, first.chunk)
    scheduler.submit(player)
    assert scheduler.schedule().prefill is player


def test_decode_runs_are_neighbouring_slots() -> None:
    scheduler = scheduler_of(num_slots=5)
    sequences = [sequence(1, index) for index in range(5)]
    for each in sequences:
        scheduler.submit(each)
        scheduler.schedule()
        scheduler.extend(each, each.prompt_ids[len(each.slot.token_ids) :])  # type: ignore[union-attr]
        each.append(9, now_s=0.0)
    scheduler.finish(sequences[2], "stop")
    assert scheduler.schedule().decode == (tuple(sequences[:2]), tuple(sequences[3:]))


def test_a_conversation_continues_in_its_slot() -> None:
    scheduler = scheduler_of()
    run(scheduler, sequence(1, 2, 3, talk="a"))
    again = sequence(1, 2, 3, 90, 5, talk="a")
    run(scheduler, again)
    assert again.num_cached_tokens == 4
    assert [slot.conversation_id for slot in scheduler.kv.in_state(SlotState.PARKED)] == ["a"]


def test_an_edited_history_is_computed_from_where_it_differs() -> None:
    scheduler = scheduler_of()
    run(scheduler, sequence(1, 2, 3, talk="a"))
    edited = sequence(1, 7, 3, 4, talk="a")
    run(scheduler, edited)
    assert edited.num_cached_tokens == 1


def test_the_last_prompt_token_is_always_computed() -> None:
    scheduler = scheduler_of()
    run(scheduler, sequence(1, 2, 3, talk="a"))
    same = sequence(1, 2, 3, talk="a")
    run(scheduler, same)
    assert same.num_cached_tokens == 2


def test_an_evicted_conversation_comes_back_by_copy() -> None:
    scheduler = scheduler_of(num_slots=1)
    run(scheduler, sequence(1, 2, 3, talk="a"))
    run(scheduler, sequence(4, 5, 6, talk="b"))
    back = sequence(1, 2, 3, 90, 8, talk="a")
    run(scheduler, back)
    assert back.num_cached_tokens == 4


def test_without_a_store_an_evicted_conversation_starts_cold() -> None:
    scheduler = scheduler_of(num_slots=1, store_bytes=0)
    run(scheduler, sequence(1, 2, 3, talk="a"))
    run(scheduler, sequence(4, 5, 6, talk="b"))
    back = sequence(1, 2, 3, 90, 8, talk="a")
    run(scheduler, back)
    assert back.num_cached_tokens == 0


def test_a_prompt_forks_a_running_neighbour() -> None:
    scheduler = scheduler_of()
    first, second = sequence(1, 2, 3, 4, 5), sequence(1, 2, 3, 9)
    scheduler.submit(first)
    scheduler.extend(first, scheduler.schedule().chunk)
    scheduler.submit(second)
    scheduler.schedule()
    assert second.num_cached_tokens == 3


def test_a_kept_prefix_serves_prompts_until_it_is_dropped() -> None:
    scheduler = scheduler_of()
    warm = sequence(1, 2, 3, warm_key="ada")
    scheduler.submit(warm)
    scheduler.extend(warm, scheduler.schedule().chunk)
    assert scheduler.keep_prefix(warm, "ada")
    scheduler.finish(warm, "stop")
    assert all(slot.state is SlotState.FREE for slot in scheduler.kv.slots)
    served = sequence(1, 2, 3, 4)
    run(scheduler, served)
    assert served.num_cached_tokens == 3
    scheduler.drop_prefix("ada")
    scheduler.drop_prefix("ada")
    cold = sequence(1, 2, 3, 4)
    run(scheduler, cold)
    assert cold.num_cached_tokens == 0


def test_release_forgets_slot_snapshot_and_running_turn() -> None:
    scheduler = scheduler_of(num_slots=1)
    run(scheduler, sequence(1, 2, 3, talk="a"))
    run(scheduler, sequence(4, 5, 6, talk="b"))
    scheduler.release("a")
    assert len(scheduler.store) == 0
    running = sequence(4, 5, 6, 7, talk="b")
    scheduler.submit(running)
    scheduler.schedule()
    scheduler.release("b")
    scheduler.finish(running, "stop")
    assert scheduler.kv.slots[0].state is SlotState.FREE
    scheduler.release("never heard of")


def test_a_full_queue_says_when_to_come_back() -> None:
    scheduler = scheduler_of(num_slots=1, max_waiting=1)
    scheduler.submit(sequence(1))
    scheduler.schedule()
    scheduler.submit(sequence(2))
    with pytest.raises(Overloaded) as caught:
        scheduler.submit(sequence(3))
    assert caught.value.retry_after_s > 0
    assert len(scheduler.waiting) == 1


def test_retry_after_follows_the_measured_run_time() -> None:
    scheduler = scheduler_of()
    before = scheduler.retry_after_s
    for _ in range(20):
        run(scheduler, sequence(1, 2, 3))  # the clock goes on five seconds a look
    assert scheduler.retry_after_s > before


@pytest.mark.parametrize(
    ("refused", "error"),
    [
        (sequence(), RequestError),
        (sequence(*range(30), max_new_tokens=3), ContextTooLong),
        (sequence(*range(33), warm_key="ada"), ContextTooLong),
    ],
    ids=["empty", "too long", "prefix too long"],
)
def test_what_cannot_run_is_refused_and_not_queued(refused: Sequence, error: type[RequestError]) -> None:
    scheduler = scheduler_of()
    with pytest.raises(error):
        scheduler.submit(refused)
    assert not scheduler.has_work


def test_a_prompt_may_fill_the_slot_exactly() -> None:
    scheduler = scheduler_of()
    run(scheduler, sequence(*range(28), max_new_tokens=4), tokens=4)
    scheduler.submit(sequence(*range(32), warm_key="ada"))


def test_an_aborted_sequence_leaves_nothing_behind() -> None:
    scheduler = scheduler_of()
    broken = sequence(1, 2, talk="a")
    scheduler.submit(broken)
    scheduler.extend(broken, scheduler.schedule().chunk)
    scheduler.abort(broken)
    assert not scheduler.has_work
    assert scheduler.kv.parked("a") is None
