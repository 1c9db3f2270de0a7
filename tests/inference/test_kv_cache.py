from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from npc_engine.inference.kv_cache import MOVES, KvPool, Slot, SlotState, common_prefix, exchange_tokens
from npc_engine.inference.kv_memory import BlockedKvMemory, HostKvMemory
from npc_engine.inference.prefix_store import PrefixStore

TOKENS = st.lists(st.integers(0, 3), max_size=8)


def pool(*classes: tuple[int, int]) -> KvPool:
    """Slots of (tokens, how many); three of eight where nothing is said."""
    dtype = np.dtype(np.float32)
    return KvPool(
        BlockedKvMemory([HostKvMemory((2, slots, 2, tokens, 4), dtype) for tokens, slots in classes or [(8, 3)]])
    )


def fill(kv: KvPool, index: int, token_ids: list[int]) -> None:
    """Write rows that say which token they belong to, as a decoder would."""
    slot = kv.slots[index]
    rows = np.broadcast_to(np.array(token_ids, np.float32)[:, None] + 1, (2, 2, len(token_ids), 4))
    kv.memory.write(index, rows, start=len(slot.token_ids))
    slot.token_ids.extend(token_ids)


def holds_what_it_says(kv: KvPool, index: int) -> bool:
    slot = kv.slots[index]
    rows = kv.memory.read(index, len(slot.token_ids))
    return bool((rows == np.array(slot.token_ids, np.float32)[:, None] + 1).all())


def test_tokens_of_another_adapter_are_forgotten_shared_with_nobody_and_not_forked() -> None:
    kv = pool()
    fill(kv, 0, [1, 2, 3])
    kv.allocate(kv.slots[0], "a")
    assert kv.slots[0].num_shared(np.array([1, 2, 4]), 0) == 2
    assert kv.slots[0].num_shared(np.array([1, 2, 4]), 1) == 0
    kv.allocate(kv.slots[1], "b", adapter=1)
    with pytest.raises(ValueError, match="slots 0 and 1 are of adapters 0, 1"):
        kv.fork(kv.slots[0], kv.slots[1], 2)
    kv.park(kv.slots[0])
    kv.allocate(kv.slots[0], "a", adapter=1)
    assert (kv.slots[0].token_ids, kv.slots[0].adapter) == ([], 1)


@given(TOKENS, TOKENS)
def test_common_prefix_is_what_a_loop_finds(left: list[int], right: list[int]) -> None:
    shared = 0
    while shared < min(len(left), len(right)) and left[shared] == right[shared]:
        shared += 1
    assert common_prefix(left, right) == shared
    assert common_prefix(np.array(left, np.int64), right) == shared


@pytest.mark.parametrize("start", SlotState)
@pytest.mark.parametrize("end", SlotState)
def test_only_the_moves_of_the_table_are_possible(start: SlotState, end: SlotState) -> None:
    kv = pool()
    slot = kv.slots[0]
    if start is not SlotState.FREE:
        kv.allocate(slot, "talk")
    if start is SlotState.PARKED:
        kv.park(slot)
    moves = {
        SlotState.ACTIVE: lambda: kv.allocate(slot, "talk"),
        SlotState.PARKED: lambda: kv.park(slot),
        SlotState.FREE: lambda: kv.free(slot),
    }
    if end in MOVES[start]:
        moves[end]()
        assert slot.state is end
    else:
        with pytest.raises(ValueError, match=r"cannot go|no conversation"):
            moves[end]()
        assert slot.state is start


def test_a_slot_without_a_conversation_cannot_be_parked() -> None:
    kv = pool()
    kv.allocate(kv.slots[0], None)
    with pytest.raises(ValueError, match="no conversation"):
        kv.park(kv.slots[0])


def occupy(kv: KvPool, *indexes: int) -> list[Slot]:
    for index in indexes:
        kv.allocate(kv.slots[index], f"talk{index}")
    return [kv.slots[index] for index in indexes]


def test_a_free_slot_beside_an_active_one_goes_first_then_the_longest_parked() -> None:
    kv = pool((8, 4))
    assert kv.candidate() is kv.slots[0]
    occupy(kv, 2)
    assert kv.candidate() is kv.slots[1]
    for slot in occupy(kv, 3, 1):
        kv.park(slot)
    assert kv.candidate() is kv.slots[0]
    occupy(kv, 0)
    assert kv.candidate() is kv.slots[3]
    occupy(kv, 1, 3)
    assert not kv.can_allocate()
    with pytest.raises(LookupError):
        kv.candidate()


def test_a_sequence_gets_the_shortest_slot_that_holds_it() -> None:
    kv = pool((8, 2), (4, 2))
    assert (kv.num_slots, kv.max_context_tokens) == (4, 8)
    assert kv.candidate(4) is kv.slots[2]
    assert kv.candidate(5) is kv.slots[0]
    assert kv.can_allocate(8)
    assert not kv.can_allocate(9)
    occupy(kv, 2, 3)
    assert kv.candidate(4) is kv.slots[0]
    occupy(kv, 0, 1)
    assert not kv.can_allocate(4)


def test_a_short_sequence_joins_the_class_that_runs_unless_it_takes_its_last_slot() -> None:
    kv = pool((8, 3), (4, 2))
    occupy(kv, 0)
    assert kv.candidate(4) is kv.slots[1]
    occupy(kv, 1)
    assert kv.candidate(4) is kv.slots[3]  # slot 2 is left for a long one
    occupy(kv, 3)
    assert kv.candidate(4) is kv.slots[4]


def test_runs_are_neighbours_of_one_block() -> None:
    kv = pool((8, 3), (4, 3))
    slots = [kv.slots[index] for index in (5, 0, 2, 3, 1)]
    assert [[slot.index for slot in run] for run in kv.runs(slots)] == [[0, 1, 2], [3], [5]]


@pytest.mark.parametrize("length", [-1, 4])
def test_lengths_outside_the_tokens_are_refused(length: int) -> None:
    kv = pool()
    fill(kv, 0, [1, 2, 3])
    with pytest.raises(ValueError, match="rewind"):
        kv.rewind(kv.slots[0], length)
    with pytest.raises(ValueError, match="cannot fork"):
        kv.fork(kv.slots[0], kv.slots[1], length)
    assert kv.slots[0].token_ids == [1, 2, 3]
    assert kv.slots[1].token_ids == []


def test_what_is_not_stored_or_does_not_fit_is_refused() -> None:
    kv = pool((8, 1), (2, 1))
    store = PrefixStore(1 << 20)
    fill(kv, 0, [1, 2, 3])
    store.insert("talk", [1, 2, 3], kv.source(kv.slots[0]))
    with pytest.raises(ValueError, match="cannot restore"):
        kv.restore(store.match([1, 2, 3, 4]), kv.slots[0], [1, 2, 3, 4])
    with pytest.raises(ValueError, match="cannot restore"):
        kv.restore(store.match([1, 2, 3]), kv.slots[1], [1, 2, 3])
    with pytest.raises(ValueError, match="cannot fork"):
        kv.fork(kv.slots[0], kv.slots[1], 3)
    with pytest.raises(ValueError, match="different lengths"):
        kv.exchange(kv.slots[0], kv.slots[1])
    assert (kv.slots[0].token_ids, kv.slots[1].token_ids) == ([1, 2, 3], [])


def test_a_snapshot_does_not_change_with_its_slot() -> None:
    kv = pool()
    store = PrefixStore(1 << 20)
    fill(kv, 0, [1, 2, 3])
    store.insert("talk", [1, 2, 3], kv.source(kv.slots[0]))
    kv.rewind(kv.slots[0], 0)
    fill(kv, 0, [0, 0, 0])
    kv.restore(store.match([1, 2, 3]), kv.slots[0], [1, 2, 3])
    assert kv.slots[0].token_ids == [1, 2, 3]
    assert holds_what_it_says(kv, 0)


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(0, 8), min_size=2, max_size=7),
    data=st.data(),
)
def test_exchanges_bring_slots_together_with_the_fewest_tokens(lengths: list[int], data: st.DataObject) -> None:
    kv = pool((8, len(lengths)))
    for index, length in enumerate(lengths):
        fill(kv, index, [10 * index + each for each in range(length)])
    indexes = data.draw(st.sets(st.integers(0, len(lengths) - 1), min_size=1))
    wanted = [kv.slots[index] for index in sorted(indexes)]
    before = {id(slot): list(slot.token_ids) for slot in kv.slots}
    pairs = kv.exchanges(wanted)
    cheapest = min(
        sum(lengths[index] for index in indexes - set(window)) + sum(lengths[index] for index in set(window) - indexes)
        for first in range(len(lengths) - len(indexes) + 1)
        for window in [range(first, first + len(indexes))]
    )
    assert exchange_tokens(pairs) == (cheapest if len(kv.runs(wanted)) > 1 else 0)
    for left, right in pairs:
        kv.exchange(left, right)
    assert len(kv.runs(wanted)) == 1
    assert {id(slot): slot.token_ids for slot in kv.slots} == before
    assert [slot.index for slot in kv.slots] == list(range(len(lengths)))
    assert all(holds_what_it_says(kv, index) for index in range(len(lengths)))


class KvPoolMachine(RuleBasedStateMachine):
    """Whatever is done to slots, each holds the rows of the tokens it names, and nobody else's."""

    def __init__(self) -> None:
        super().__init__()
        self.kv = pool((8, 3), (5, 2))
        self.store = PrefixStore(20 * self.kv.memory.layout.nbytes)

    @rule(data=st.data(), talk=st.sampled_from(["a", "b", "c", None]), capacity=st.integers(0, 8))
    def allocate(self, data: st.DataObject, talk: str | None, capacity: int) -> None:
        if self.kv.can_allocate(capacity):
            slot = self.kv.candidate(capacity)
            assert slot.state is not SlotState.ACTIVE
            assert slot.max_tokens >= capacity
            self.kv.allocate(slot, talk)
            self.kv.rewind(slot, data.draw(st.integers(0, len(slot.token_ids))))

    @rule(data=st.data(), index=st.integers(0, 4))
    def generate(self, data: st.DataObject, index: int) -> None:
        room = self.kv.slots[index].max_tokens - len(self.kv.slots[index].token_ids)
        if self.kv.slots[index].state is SlotState.ACTIVE:
            fill(self.kv, index, data.draw(st.lists(st.integers(0, 3), max_size=room)))

    @rule(index=st.integers(0, 4), is_parked=st.booleans())
    def leave(self, index: int, is_parked: bool) -> None:
        slot = self.kv.slots[index]
        if slot.state is SlotState.ACTIVE:
            if is_parked and slot.conversation_id is not None:
                self.kv.park(slot)
            else:
                self.kv.free(slot)

    @rule(data=st.data(), source=st.integers(0, 4), index=st.integers(0, 4))
    def fork(self, data: st.DataObject, source: int, index: int) -> None:
        target = self.kv.slots[index]
        if target.state is SlotState.ACTIVE:
            most = min(len(self.kv.slots[source].token_ids), target.max_tokens)
            self.kv.fork(self.kv.slots[source], target, data.draw(st.integers(0, most)))

    @rule(left=st.integers(0, 4), right=st.integers(0, 4))
    def exchange(self, left: int, right: int) -> None:
        slots = (self.kv.slots[left], self.kv.slots[right])
        if slots[0].block == slots[1].block:
            self.kv.exchange(*slots)

    @rule(index=st.integers(0, 4), key=st.sampled_from("xyz"), pinned=st.booleans())
    def save(self, index: int, key: str, pinned: bool) -> None:
        slot = self.kv.slots[index]
        if slot.token_ids:
            self.store.insert(key, slot.token_ids, self.kv.source(slot), pinned=pinned)

    @rule(data=st.data(), index=st.integers(0, 4), prompt=st.lists(st.integers(0, 3), max_size=8))
    def restore(self, data: st.DataObject, index: int, prompt: list[int]) -> None:
        slot, match = self.kv.slots[index], self.store.match(prompt)
        if slot.state is SlotState.ACTIVE:
            length = data.draw(st.integers(0, min(match.num_tokens, slot.max_tokens)))
            self.kv.restore(match, slot, prompt[:length])
            assert slot.token_ids == prompt[:length]

    @invariant()
    def every_slot_holds_what_it_says(self) -> None:
        assert all(holds_what_it_says(self.kv, slot.index) for slot in self.kv.slots)

    @invariant()
    def every_slot_is_where_it_says(self) -> None:
        assert [slot.index for slot in self.kv.slots] == [0, 1, 2, 3, 4]
        assert [slot.max_tokens for slot in self.kv.slots] == [8, 8, 8, 5, 5]
        assert self.store.nbytes <= self.store.max_bytes

    @invariant()
    def free_slots_hold_nothing(self) -> None:
        assert all(not slot.token_ids for slot in self.kv.in_state(SlotState.FREE))


TestKvPool = KvPoolMachine.TestCase
TestKvPool.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
