from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from npc_engine.inference.kv_cache import MOVES, KvPool, SlotState, common_prefix
from npc_engine.inference.kv_memory import HostKvMemory

TOKENS = st.lists(st.integers(0, 3), max_size=8)


def pool(num_slots: int = 3, tokens: int = 8) -> KvPool:
    return KvPool(HostKvMemory((2, num_slots, 2, tokens, 4), np.dtype(np.float32)))


def fill(kv: KvPool, index: int, token_ids: list[int]) -> None:
    """Write rows that say which token they belong to, as a decoder would."""
    slot = kv.slots[index]
    start = len(slot.token_ids)
    rows = kv.memory.read(index, start + len(token_ids))
    rows[:, :, start:] = np.array(token_ids, np.float32)[:, None] + 1
    kv.memory.write(index, rows)
    slot.token_ids.extend(token_ids)


def holds_what_it_says(kv: KvPool, index: int) -> bool:
    slot = kv.slots[index]
    rows = kv.memory.read(index, len(slot.token_ids))
    return bool((rows == np.array(slot.token_ids, np.float32)[:, None] + 1).all())


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


def test_the_candidate_is_own_then_free_then_the_longest_parked() -> None:
    kv = pool()
    for index, talk in enumerate("ab"):
        kv.allocate(kv.slots[index], talk)
        kv.park(kv.slots[index])
    assert kv.candidate("b") is kv.slots[1]
    assert kv.candidate("c") is kv.slots[2]
    kv.allocate(kv.slots[2], "c")
    assert kv.candidate("d") is kv.slots[0]
    assert kv.candidate(None) is kv.slots[0]
    for slot in kv.slots[:2]:
        kv.allocate(slot, slot.conversation_id)
    assert not kv.can_allocate()
    with pytest.raises(LookupError):
        kv.candidate("a")


@pytest.mark.parametrize("length", [-1, 4])
def test_lengths_outside_the_tokens_are_refused(length: int) -> None:
    kv = pool()
    fill(kv, 0, [1, 2, 3])
    snapshot = kv.snapshot(kv.slots[0], 3)
    with pytest.raises(ValueError, match="rewind"):
        kv.rewind(kv.slots[0], length)
    with pytest.raises(ValueError, match="no snapshot"):
        kv.snapshot(kv.slots[0], length)
    with pytest.raises(ValueError, match="cannot restore"):
        kv.restore(snapshot, kv.slots[1], length)
    assert kv.slots[0].token_ids == [1, 2, 3]
    assert kv.slots[1].token_ids == []


def test_a_snapshot_does_not_change_with_its_slot() -> None:
    kv = pool()
    fill(kv, 0, [1, 2, 3])
    snapshot = kv.snapshot(kv.slots[0], 3)
    kv.rewind(kv.slots[0], 0)
    fill(kv, 0, [0, 0, 0])
    kv.restore(snapshot, kv.slots[0], 3)
    assert kv.slots[0].token_ids == [1, 2, 3]
    assert holds_what_it_says(kv, 0)


class KvPoolMachine(RuleBasedStateMachine):
    """Whatever is done to slots, each holds the rows of the tokens it names, and nobody else's."""

    def __init__(self) -> None:
        super().__init__()
        self.kv = pool()
        self.snapshots = []

    @rule(data=st.data(), talk=st.sampled_from(["a", "b", "c", None]))
    @precondition(lambda self: self.kv.can_allocate())
    def allocate(self, data: st.DataObject, talk: str | None) -> None:
        slot = self.kv.candidate(talk)
        assert slot.state is not SlotState.ACTIVE
        self.kv.allocate(slot, talk)
        self.kv.rewind(slot, data.draw(st.integers(0, len(slot.token_ids))))

    @rule(data=st.data(), index=st.integers(0, 2))
    def generate(self, data: st.DataObject, index: int) -> None:
        room = self.kv.max_context_tokens - len(self.kv.slots[index].token_ids)
        if self.kv.slots[index].state is SlotState.ACTIVE:
            fill(self.kv, index, data.draw(st.lists(st.integers(0, 9), max_size=room)))

    @rule(index=st.integers(0, 2), is_parked=st.booleans())
    def leave(self, index: int, is_parked: bool) -> None:
        slot = self.kv.slots[index]
        if slot.state is SlotState.ACTIVE:
            if is_parked and slot.conversation_id is not None:
                self.kv.park(slot)
            else:
                self.kv.free(slot)

    @rule(data=st.data(), source=st.integers(0, 2), index=st.integers(0, 2))
    def fork(self, data: st.DataObject, source: int, index: int) -> None:
        if self.kv.slots[index].state is SlotState.ACTIVE:
            length = data.draw(st.integers(0, len(self.kv.slots[source].token_ids)))
            self.kv.fork(self.kv.slots[source], self.kv.slots[index], length)

    @rule(index=st.integers(0, 2))
    def snapshot(self, index: int) -> None:
        slot = self.kv.slots[index]
        if slot.token_ids:
            self.snapshots.append(self.kv.snapshot(slot, len(slot.token_ids)))

    @rule(data=st.data(), index=st.integers(0, 2))
    @precondition(lambda self: self.snapshots)
    def restore(self, data: st.DataObject, index: int) -> None:
        snapshot = data.draw(st.sampled_from(self.snapshots))
        if self.kv.slots[index].state is SlotState.ACTIVE:
            length = data.draw(st.integers(0, len(snapshot.token_ids)))
            self.kv.restore(snapshot, self.kv.slots[index], length)

    @invariant()
    def every_slot_holds_what_it_says(self) -> None:
        assert all(holds_what_it_says(self.kv, slot.index) for slot in self.kv.slots)

    @invariant()
    def free_slots_hold_nothing(self) -> None:
        assert all(not slot.token_ids for slot in self.kv.in_state(SlotState.FREE))


TestKvPool = KvPoolMachine.TestCase
TestKvPool.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
