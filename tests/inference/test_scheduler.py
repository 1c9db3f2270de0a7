from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npc_engine.errors import ContextTooLong, Overloaded, RequestError
from npc_engine.inference.kv_cache import KvPool, SlotState
from npc_engine.inference.kv_memory import HostKvMemory
from npc_engine.inference.placement import Placement
from npc_engine.inference.prefix_store import PrefixStore
from npc_engine.inference.run_costs import RunCosts
from npc_engine.inference.sampler import SamplingParams
from npc_engine.inference.scheduler import PREFILL_AGEING, Prefill, Scheduler
from npc_engine.inference.sequence import AGEING_S, Priority, Sequence, SequenceStatus


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def scheduler_of(
    *,
    num_slots: int = 2,
    max_waiting: int = 8,
    store_bytes: int = 1 << 20,
    chunk: int = 4,
    context: int = 32,
    clock: Clock | None = None,
) -> Scheduler:
    kv = KvPool(HostKvMemory((2, num_slots, 1, context, 4), np.dtype(np.float32)))
    return Scheduler(
        Placement(kv, PrefixStore(store_bytes)),
        RunCosts(),
        max_waiting=max_waiting,
        prefill_chunk_tokens=chunk,
        clock=clock or Clock(),
    )


def sequence(
    *prompt: int,
    talk: str | None = None,
    warm_key: str | None = None,
    max_new_tokens: int = 4,
    priority: Priority = Priority.PLAYER,
    arrived_s: float = 0.0,
    deadline_s: float | None = None,
) -> Sequence:
    return Sequence(
        prompt,
        SamplingParams(max_new_tokens=max_new_tokens),
        vocab_size=100,
        arrived_s=arrived_s,
        conversation_id=talk,
        warm_key=warm_key,
        priority=priority,
        deadline_s=deadline_s,
    )


def admit(scheduler: Scheduler, *sequences: Sequence) -> None:
    for each in sequences:
        scheduler.submit(each)
    scheduler.collect()
    scheduler.admit()


def run_chunk(scheduler: Scheduler) -> Prefill:
    """Run the next chunk as an engine would; after the last one the sequence has the token 90."""
    prefill = scheduler.next_prefill()
    assert prefill is not None
    scheduler.extend(prefill.sequence, prefill.chunk)
    if prefill.sequence.num_pending_tokens == 0:
        prefill.sequence.append(90, now_s=0.0)
    return prefill


def run(scheduler: Scheduler, *sequences: Sequence, tokens: int = 2) -> None:
    """Run to the end as an engine would, generating 90, 91, ... ."""
    admit(scheduler, *sequences)
    while any(each.status is not SequenceStatus.FINISHED for each in sequences):
        scheduler.admit()
        if scheduler.next_prefill() is not None:
            run_chunk(scheduler)
        for each in itertools.chain(*scheduler.next_decodes()):
            scheduler.extend(each, (each.token_ids[len(each.held_slot.token_ids)],))
            each.append(90 + len(each.output_ids), now_s=0.0)
            if len(each.output_ids) == tokens:
                scheduler.finish(each, "length")


def test_prompts_go_in_chunks_beside_a_decode_step() -> None:
    scheduler = scheduler_of()
    first, second = sequence(1, 2), sequence(*range(10))
    admit(scheduler, first, second)
    assert scheduler.next_decodes() == []
    assert run_chunk(scheduler) == Prefill(sequence=first, chunk=(1, 2)), "the shortest goes first"
    for chunk in ((0, 1, 2, 3), (4, 5, 6, 7), (8, 9)):
        assert scheduler.next_decodes() == [(first,)]
        assert run_chunk(scheduler) == Prefill(sequence=second, chunk=chunk)
    assert scheduler.next_decodes() == [(first, second)]
    assert scheduler.next_prefill() is None


@pytest.mark.parametrize(
    ("token_s", "length"), [(0.0001, 128), (0.001, 80), (0.0025, 32), (0.0033, 24), (0.01, 8), (1.0, 8)]
)
def test_a_shared_chunk_is_as_long_as_those_who_decode_can_wait(token_s: float, length: int) -> None:
    scheduler = scheduler_of(chunk=128, context=512)
    scheduler.costs.saw_prefill(64, 64 * token_s)
    first, second = sequence(1, 2), sequence(*range(300))
    admit(scheduler, first, second)
    run_chunk(scheduler)
    prefill = scheduler.next_prefill()
    assert prefill is not None
    assert len(prefill.chunk) == length
    scheduler.finish(first, "stop")
    prefill = scheduler.next_prefill()
    assert prefill is not None
    assert len(prefill.chunk) == 128


def test_a_short_prompt_overtakes_a_long_one_that_came_a_little_before() -> None:
    clock = Clock()
    scheduler = scheduler_of(num_slots=3, context=512, clock=clock)
    scheduler.costs.saw_prefill(64, 64 * 0.01)
    long = sequence(*range(300))  # three seconds' work
    admit(scheduler, long)
    run_chunk(scheduler)
    soon, late = sequence(7, 8, arrived_s=2.0), sequence(7, 9, arrived_s=PREFILL_AGEING * 3.1)
    admit(scheduler, soon, late)
    order = [run_chunk(scheduler).sequence for _ in range(3)]
    assert order == [soon, long, long]
    while long in [each for each in scheduler.running if not each.output_ids]:
        assert run_chunk(scheduler).sequence is long
    assert run_chunk(scheduler).sequence is late


def test_a_player_goes_before_the_warming_of_a_prefix() -> None:
    scheduler = scheduler_of()
    warming = sequence(*range(12), warm_key="mara", priority=Priority.WARM)
    player = sequence(*range(20, 26))
    admit(scheduler, warming)
    assert run_chunk(scheduler).sequence is warming
    admit(scheduler, player)
    assert run_chunk(scheduler).sequence is player


def test_decode_runs_are_neighbouring_slots() -> None:
    scheduler = scheduler_of(num_slots=5)
    sequences = [sequence(1, index) for index in range(5)]
    for each in sequences:
        admit(scheduler, each)
        run_chunk(scheduler)
    scheduler.finish(sequences[2], "stop")
    assert scheduler.next_decodes() == [tuple(sequences[:2]), tuple(sequences[3:])]


def test_many_forced_tokens_are_a_chunk_and_few_are_decoded() -> None:
    scheduler = scheduler_of()
    few, many = sequence(1, 2, max_new_tokens=9), sequence(3, 4, max_new_tokens=9)
    for each, forced in ((few, (5,)), (many, (5, 6, 7))):
        admit(scheduler, each)
        run_chunk(scheduler)
        for token_id in forced:
            each.append(token_id, now_s=0.0, is_forced=True)
    assert scheduler.next_decodes() == [(few,)]
    assert scheduler.next_prefill() == Prefill(sequence=many, chunk=(90, 5, 6, 7))


# --- who gets a slot -----------------------------------------------------------------------------


def test_slots_go_by_priority_and_among_equals_by_arrival() -> None:
    scheduler = scheduler_of(num_slots=1)
    ranks = [Priority.WARM, Priority.NPC, Priority.PLAYER, Priority.PLAYER]
    waiting = [sequence(n, priority=rank, arrived_s=n / 8) for n, rank in enumerate(ranks)]
    order = []
    admit(scheduler, sequence(99), *waiting)
    while scheduler.running:
        order += scheduler.running
        scheduler.finish(scheduler.running[0], "stop")
        scheduler.admit()
    assert order[1:] == [waiting[2], waiting[3], waiting[1], waiting[0]]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(Priority), st.floats(0, 60)), min_size=1, max_size=8),
    st.sampled_from(Priority),
    st.floats(0, 60),
)
def test_nobody_is_overtaken_by_who_comes_later_than_the_ageing_bound(
    others: list[tuple[Priority, float]], rank: Priority, arrived_s: float
) -> None:
    scheduler = scheduler_of(num_slots=1, max_waiting=99)
    mine = sequence(1, priority=rank, arrived_s=arrived_s)
    admit(scheduler, sequence(0, arrived_s=-100))
    for each in (mine, *(sequence(2, priority=other, arrived_s=other_s) for other, other_s in others)):
        scheduler.submit(each)
    scheduler.collect()
    overtook = []
    while True:
        scheduler.finish(scheduler.running[0], "stop")
        scheduler.admit()
        if scheduler.running[0] is mine:
            break
        overtook.append(scheduler.running[0])
    assert all(each.arrived_s <= arrived_s + AGEING_S * (rank - each.priority) for each in overtook)


def test_a_player_takes_the_slot_of_the_last_in_line_of_a_lower_rank() -> None:
    scheduler = scheduler_of(num_slots=3)
    elder, younger = (sequence(1, n, priority=Priority.NPC, arrived_s=n / 8) for n in range(2))
    other = sequence(5, 6)
    admit(scheduler, elder, younger, other)
    for _ in range(3):
        run_chunk(scheduler)
    player = sequence(7, 8, arrived_s=1.0)
    admit(scheduler, player)
    assert (younger.status, younger.num_preemptions) == (SequenceStatus.WAITING, 1)
    assert set(scheduler.running) == {elder, other, player}
    scheduler.finish(player, "stop")
    scheduler.admit()
    assert younger.num_pending_tokens == 1, "it goes on with its last token; what it had came back by copy"
    assert scheduler.next_decodes()
    scheduler.finish(younger, "stop")
    assert len(scheduler.placement.store) == 0, "what was kept for the pause is dropped"


def test_players_take_no_slot_from_each_other_nor_from_who_waited_long() -> None:
    scheduler = scheduler_of(num_slots=2)
    aged, equal = sequence(1, priority=Priority.NPC), sequence(2)
    admit(scheduler, aged, equal)
    player = sequence(3, arrived_s=AGEING_S + 1)
    admit(scheduler, player)
    assert player.status is SequenceStatus.WAITING
    assert scheduler.num_preemptions == 0


def test_a_cancelled_pause_leaves_nothing() -> None:
    scheduler = scheduler_of(num_slots=1)
    npc = sequence(1, 2, priority=Priority.NPC, talk="a")
    admit(scheduler, npc)
    run_chunk(scheduler)
    player = sequence(3, arrived_s=1.0)
    admit(scheduler, player)
    scheduler.finish(npc, "cancelled")
    scheduler.finish(player, "stop")
    assert not scheduler.has_work
    assert len(scheduler.placement.store) == 0
    assert [slot.state for slot in scheduler.placement.kv.slots] == [SlotState.FREE]


# --- deadlines -----------------------------------------------------------------------------------


def test_what_is_due_are_the_cancelled_and_the_late() -> None:
    clock = Clock()
    scheduler = scheduler_of(num_slots=1, clock=clock)
    running, waiting, patient = (sequence(n, deadline_s=s) for n, s in ((1, 3.0), (2, 2.0), (3, None)))
    admit(scheduler, running, waiting, patient)
    assert scheduler.due() == []
    clock.now_s = 2.0
    assert scheduler.due() == [waiting]
    clock.now_s = 3.0
    patient.cancel(now_s=3.0)
    assert scheduler.due() == [waiting, patient, running]


def test_who_would_wait_beyond_its_deadline_is_refused_at_once() -> None:
    clock = Clock()
    scheduler = scheduler_of(num_slots=1, clock=clock)
    hasty = {"deadline_s": 3.0}
    admit(scheduler, sequence(1))
    scheduler.submit(sequence(2, **hasty))  # nothing is known yet of how long a request takes
    clock.now_s = 4.0
    scheduler.finish(scheduler.running[0], "stop")
    scheduler.collect()
    assert scheduler.estimated_wait_s(sequence(3, arrived_s=4.0)) == 8.0
    with pytest.raises(Overloaded) as caught:
        scheduler.submit(sequence(3, arrived_s=4.0, **hasty))
    assert caught.value.retry_after_s == 4.0
    scheduler.submit(sequence(3, arrived_s=4.0, deadline_s=9.0))


def test_who_needs_not_wait_is_never_refused_for_a_deadline() -> None:
    clock = Clock()
    scheduler = scheduler_of(num_slots=1, clock=clock)
    admit(scheduler, sequence(1))
    clock.now_s = 50.0
    scheduler.finish(scheduler.running[0], "stop")
    admit(scheduler, sequence(2, priority=Priority.NPC, arrived_s=50.0, deadline_s=0.1))
    scheduler.submit(sequence(3, arrived_s=50.0, deadline_s=0.1))  # takes the slot of the other


# --- what of a prompt is there already -----------------------------------------------------------


def test_a_conversation_continues_in_its_slot() -> None:
    scheduler = scheduler_of()
    run(scheduler, sequence(1, 2, 3, talk="a"))
    again = sequence(1, 2, 3, 90, 5, talk="a")
    run(scheduler, again)
    assert again.num_cached_tokens == 4
    assert [slot.conversation_id for slot in scheduler.placement.kv.in_state(SlotState.PARKED)] == ["a"]


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
    admit(scheduler, first)
    run_chunk(scheduler)
    admit(scheduler, second)
    assert second.num_cached_tokens == 3


def test_a_kept_prefix_serves_prompts_until_it_is_dropped() -> None:
    scheduler = scheduler_of()
    warm = sequence(1, 2, 3, warm_key="ada")
    admit(scheduler, warm)
    run_chunk(scheduler)
    assert scheduler.placement.keep_prefix(warm.held_slot, 3, "ada")
    scheduler.finish(warm, "stop")
    assert all(slot.state is SlotState.FREE for slot in scheduler.placement.kv.slots)
    served = sequence(1, 2, 3, 4)
    run(scheduler, served)
    assert served.num_cached_tokens == 3
    scheduler.placement.drop_prefix("ada")
    scheduler.placement.drop_prefix("ada")
    cold = sequence(1, 2, 3, 4)
    run(scheduler, cold)
    assert cold.num_cached_tokens == 0


def test_release_forgets_slot_snapshot_and_running_turn() -> None:
    scheduler = scheduler_of(num_slots=1)
    run(scheduler, sequence(1, 2, 3, talk="a"))
    run(scheduler, sequence(4, 5, 6, talk="b"))
    scheduler.release("a")
    assert len(scheduler.placement.store) == 0
    running = sequence(4, 5, 6, 7, talk="b")
    admit(scheduler, running)
    scheduler.release("b")
    scheduler.finish(running, "stop")
    assert scheduler.placement.kv.slots[0].state is SlotState.FREE
    scheduler.release("never heard of")


def test_a_full_queue_says_when_to_come_back() -> None:
    scheduler = scheduler_of(num_slots=1, max_waiting=1)
    admit(scheduler, sequence(1))
    scheduler.submit(sequence(2))
    with pytest.raises(Overloaded) as caught:
        scheduler.submit(sequence(3))
    assert caught.value.retry_after_s > 0
    assert scheduler.num_waiting == 1


def test_retry_after_follows_the_measured_run_time() -> None:
    clock = Clock()
    scheduler = scheduler_of(clock=clock)
    before = scheduler.retry_after_s
    for _ in range(20):
        slow = sequence(1, 2, 3)
        admit(scheduler, slow)
        clock.now_s += 5
        scheduler.finish(slow, "stop")
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
    admit(scheduler, broken)
    run_chunk(scheduler)
    scheduler.abort(broken)
    assert not scheduler.has_work
    assert not scheduler.placement.kv.in_state(SlotState.PARKED)
