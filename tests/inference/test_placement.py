from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from numpy.typing import NDArray

from npc_engine.inference.kv_cache import KvPool, Slot, SlotState
from npc_engine.inference.kv_memory import BlockedKvMemory, HostKvMemory
from npc_engine.inference.placement import Placement
from npc_engine.inference.prefix_store import PrefixStore
from npc_engine.inference.run_costs import RunCosts
from npc_engine.inference.snapshot_codec import FloatCodec
from npc_engine.inference.snapshot_files import SnapshotFiles

PREFIXES = {"ada": [1, 2, 3, 4], "bob": [1, 2, 7], "eve": [9]}


def placement_of(
    *classes: tuple[int, int],
    store_tokens: int = 1000,
    folder: Path | None = None,
    costs: RunCosts | None = None,
) -> Placement:
    dtype = np.dtype(np.float32)
    memory = BlockedKvMemory([HostKvMemory((2, slots, 1, tokens, 2), dtype) for tokens, slots in classes])
    store = PrefixStore(store_tokens * (memory.layout.nbytes + 8))
    files = SnapshotFiles(folder, max_bytes=1 << 20, fingerprint="m", codec=FloatCodec()) if folder else None
    return Placement(KvPool(memory), store, files=files, costs=costs, clock=itertools.count().__next__)


def rows(token_ids: list[int], adapter: int = 0) -> NDArray[np.float32]:
    """Rows that depend on every token before them and on the adapter, as a model's do: (2, 1, tokens, 2)."""
    told = [hash((adapter, *token_ids[: end + 1])) % 1_000_003 for end in range(len(token_ids))]
    return np.broadcast_to(np.array(told, np.float32)[None, None, :, None], (2, 1, len(told), 2))


def compute(placement: Placement, slot: Slot, token_ids: list[int]) -> int:
    """Append these tokens as a decoder would; returns how many there were."""
    start = len(slot.token_ids)
    slot.token_ids.extend(token_ids)
    placement.kv.memory.write(slot.index, rows(slot.token_ids, slot.adapter)[:, :, start:], start=start)
    return len(token_ids)


def holds_what_it_says(placement: Placement, slot: Slot) -> bool:
    held = placement.kv.memory.read(slot.index, len(slot.token_ids))
    return bool((held == rows(slot.token_ids, slot.adapter)).all())


def turn(placement: Placement, talk: str, prompt: list[int], *, capacity: int = 0, adapter: int = 0) -> int:
    """A whole turn; returns how many tokens were computed."""
    slot = placement.place(prompt, capacity_tokens=capacity or len(prompt), conversation_id=talk, adapter=adapter)
    computed = compute(placement, slot, prompt[len(slot.token_ids) :])
    assert holds_what_it_says(placement, slot)
    placement.park(slot, talk)
    return computed


def test_a_conversation_that_outgrows_its_slot_moves_by_copy() -> None:
    placement = placement_of((16, 1), (4, 2))
    assert turn(placement, "a", [1, 2, 3]) == 3
    assert placement.kv.slots[1].state is SlotState.PARKED
    assert turn(placement, "a", [1, 2, 3, 4, 5]) == 2
    assert [slot.state for slot in placement.kv.slots] == [SlotState.PARKED, SlotState.FREE, SlotState.FREE]


def test_a_turn_that_needs_a_long_slot_waits_for_one() -> None:
    placement = placement_of((16, 1), (4, 2))
    placement.place([1] * 9, capacity_tokens=16, conversation_id="a")
    assert not placement.can_place(5)
    assert placement.can_place(4)
    with pytest.raises(LookupError):
        placement.place([1] * 9, capacity_tokens=9, conversation_id="b")


def test_an_evicted_conversation_stores_its_tail_and_comes_back_whole() -> None:
    placement = placement_of((16, 1))
    slot = placement.place([1, 2, 3, 4], capacity_tokens=4, conversation_id=None)
    compute(placement, slot, [1, 2, 3, 4])
    assert placement.keep_prefix(slot, 4, "ada")
    placement.free(slot)
    row = placement.store.nbytes // 4
    assert turn(placement, "a", [1, 2, 3, 4, 5, 6]) == 2
    assert turn(placement, "b", [1, 2, 3, 4, 7]) == 1
    assert placement.store.nbytes == 6 * row
    assert turn(placement, "a", [1, 2, 3, 4, 5, 6, 8]) == 1
    placement.drop_prefix("ada")
    assert turn(placement, "b", [1, 2, 3, 4, 7, 9]) == 1


def test_a_conversation_that_changes_its_adapter_starts_cold_and_finds_nothing_of_others() -> None:
    placement = placement_of((16, 2))
    assert turn(placement, "a", [1, 2, 3]) == 3
    assert turn(placement, "a", [1, 2, 3, 4], adapter=1) == 4
    assert turn(placement, "b", [1, 2, 3, 4]) == 4  # the other slot's are another adapter's
    assert turn(placement, "c", [1, 2, 3, 5], adapter=1) == 1
    assert turn(placement, "a", [1, 2, 3, 4, 6], adapter=1) == 1


def test_a_prefix_is_warm_under_its_adapter_alone_in_the_store_and_in_files(tmp_path: Path) -> None:
    placement = placement_of((16, 2), folder=tmp_path)
    slot = placement.place(PREFIXES["ada"], capacity_tokens=4, conversation_id=None, adapter=1)
    compute(placement, slot, PREFIXES["ada"])
    assert placement.keep_prefix(slot, 4, "ada")
    placement.close()
    again = placement_of((16, 2), folder=tmp_path)
    assert not again.warm(PREFIXES["ada"], "ada")
    assert not again.warm(PREFIXES["ada"], "ada", adapter=2)
    assert again.warm(PREFIXES["ada"], "ada", adapter=1)
    assert turn(again, "a", [*PREFIXES["ada"], 5]) == 5
    assert turn(again, "b", [*PREFIXES["ada"], 5], adapter=1) == 1
    again.close()


def test_slots_are_moved_together_when_a_run_costs_more_than_the_copy() -> None:
    costs = RunCosts()
    placement = placement_of((4096, 6), costs=costs)
    slots = [placement.place([10 + talk], capacity_tokens=9, conversation_id=str(talk)) for talk in range(5)]
    for talk, slot in enumerate(slots):
        compute(placement, slot, [10 + talk] * 50)
    placement.free(slots[1])
    placement.park(slots[3], "3")
    running = [slots[0], slots[2], slots[4]]
    assert len(placement.gather(running)) == 3  # nothing is known of runs yet
    costs.saw_decode(1, 0.050)
    costs.saw_decode(2, 0.100)
    assert len(placement.gather(running)) == 3  # two runs of one cost what one run of two costs
    for _ in range(200):
        costs.saw_decode(2, 0.055)
    assert [slot.index for run in placement.gather(running) for slot in run] == [0, 1, 2]
    assert placement.num_moves == 1
    assert len(placement.gather(running)) == 1
    assert all(holds_what_it_says(placement, slot) for slot in placement.kv.slots)
    assert turn(placement, "3", [13] * 50 + [1]) == 1


def test_a_prefix_is_warm_from_the_store_or_from_a_file_but_not_from_nothing(tmp_path: Path) -> None:
    placement = placement_of((16, 2), folder=tmp_path)
    assert not placement.warm(PREFIXES["ada"], "ada")
    slot = placement.place(PREFIXES["ada"], capacity_tokens=4, conversation_id=None)
    compute(placement, slot, PREFIXES["ada"])
    assert placement.keep_prefix(slot, 4, "ada")
    assert placement.warm(PREFIXES["ada"][:2], "shorter")
    placement.close()
    again = placement_of((16, 2), folder=tmp_path)
    assert again.warm(PREFIXES["ada"], "ada")
    assert again.warm(PREFIXES["ada"][:2], "shorter")
    assert turn(again, "a", [*PREFIXES["ada"], 5]) == 1
    assert again.file_stats()["prefix_files_loaded"] == 1
    again.close()
    small = placement_of((16, 2), folder=tmp_path, store_tokens=3)
    assert not small.warm(PREFIXES["ada"], "ada")
    small.close()


class PlacementMachine(RuleBasedStateMachine):
    """Turns, cancellations, evictions, moves and prefixes in any order: whoever runs finds his own tokens' rows."""

    def __init__(self) -> None:
        super().__init__()
        costs = RunCosts()
        costs.saw_decode(1, 1.0)
        self.placement = placement_of((12, 3), (8, 2), store_tokens=24, costs=costs)
        self.running: dict[Slot, tuple[str | None, int]] = {}  # eq and hash by identity

    @rule(
        talk=st.sampled_from(["a", "b", "c", None]),
        prefix=st.sampled_from(sorted(PREFIXES)),
        tail=st.lists(st.integers(0, 2), min_size=1, max_size=4),
        growth=st.integers(0, 4),
        adapter=st.integers(0, 1),
    )
    def begin(self, talk: str | None, prefix: str, tail: list[int], growth: int, adapter: int) -> None:
        prompt = PREFIXES[prefix] + tail
        capacity = len(prompt) + growth
        if not self.placement.can_place(capacity):
            return
        slot = self.placement.place(prompt, capacity_tokens=capacity, conversation_id=talk, adapter=adapter)
        assert slot.state is SlotState.ACTIVE
        assert slot.adapter == adapter
        assert slot not in self.running
        assert len(slot.token_ids) < len(prompt)
        assert slot.token_ids == prompt[: len(slot.token_ids)]
        compute(self.placement, slot, prompt[len(slot.token_ids) :])
        self.running[slot] = (talk, capacity)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), token_id=st.integers(0, 2))
    def decode(self, data: st.DataObject, token_id: int) -> None:
        slots = data.draw(st.sets(st.sampled_from(sorted(self.running, key=lambda each: each.index)), min_size=1))
        runs = self.placement.gather(slots)
        assert {slot for run in runs for slot in run} == slots
        for run in runs:
            assert [slot.index for slot in run] == list(range(run[0].index, run[0].index + len(run)))
            assert len({slot.block for slot in run}) == 1
            for slot in run:
                if len(slot.token_ids) < self.running[slot][1]:
                    compute(self.placement, slot, [token_id])

    @precondition(lambda self: self.running)
    @rule(data=st.data(), is_aborted=st.booleans())
    def end(self, data: st.DataObject, is_aborted: bool) -> None:
        slot = data.draw(st.sampled_from(sorted(self.running, key=lambda each: each.index)))
        talk, _ = self.running.pop(slot)
        if talk is None or is_aborted:
            self.placement.free(slot)
        else:
            self.placement.park(slot, talk)

    @rule(talk=st.sampled_from(["a", "b", "c"]))
    def release(self, talk: str) -> None:
        self.placement.release(talk)

    @rule(key=st.sampled_from(sorted(PREFIXES)), adapter=st.integers(0, 1))
    def keep(self, key: str, adapter: int) -> None:
        prefix = PREFIXES[key]
        if not self.placement.warm(prefix, key, adapter=adapter) and self.placement.can_place(len(prefix)):
            slot = self.placement.place(prefix, capacity_tokens=len(prefix), conversation_id=None, adapter=adapter)
            compute(self.placement, slot, prefix[len(slot.token_ids) :])
            self.placement.keep_prefix(slot, len(prefix), key)
            self.placement.free(slot)

    @rule(key=st.sampled_from(sorted(PREFIXES)))
    def drop(self, key: str) -> None:
        self.placement.drop_prefix(key)

    @invariant()
    def every_slot_holds_the_rows_of_its_tokens(self) -> None:
        assert all(holds_what_it_says(self.placement, slot) for slot in self.placement.kv.slots)
        assert {slot for slot in self.placement.kv.slots if slot.state is SlotState.ACTIVE} == set(self.running)

    @invariant()
    def everyone_has_room_to_grow(self) -> None:
        assert all(slot.max_tokens >= capacity for slot, (_, capacity) in self.running.items())

    @invariant()
    def the_store_keeps_its_budget_and_its_rows(self) -> None:
        store = self.placement.store
        assert 0 <= store.nbytes <= store.max_bytes
        for prefix, adapter in itertools.product(PREFIXES.values(), (0, 1)):
            match = store.match(prefix, adapter=adapter)
            for start, values in match.parts(0, match.num_tokens):
                np.testing.assert_array_equal(values, rows(prefix, adapter)[:, :, start : start + values.shape[2]])


TestPlacement = PlacementMachine.TestCase
TestPlacement.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
