"""Who holds which KV slot, and which token ids' keys and values lie in it.

A slot's `token_ids` name exactly the rows that are valid. Rows past them may hold anything: the graph overwrites a row
before it reads it, so rewinding is forgetting ids and a run that was stopped half-way harms nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray

from npc_engine.inference.kv_memory import KvMemory
from npc_engine.inference.prefix_store import PrefixMatch, SnapshotSource


class SlotState(Enum):
    """What a slot is used for."""

    FREE = auto()
    ACTIVE = auto()
    PARKED = auto()


# Every change of a slot's state. ACTIVE: a sequence runs in it. PARKED: kept for its conversation's next turn.
MOVES: dict[SlotState, frozenset[SlotState]] = {
    SlotState.FREE: frozenset({SlotState.ACTIVE}),
    SlotState.ACTIVE: frozenset({SlotState.PARKED, SlotState.FREE}),
    SlotState.PARKED: frozenset({SlotState.ACTIVE, SlotState.FREE}),
}


@dataclass(eq=False)
class Slot:
    """One row of the KV pool. An exchange with another changes where it lies (`index`, `block`), not who holds it.

    Attributes:
        index: Position in the pool.
        max_tokens: Tokens it has room for.
        block: Which block of the pool's memory it lies in; one graph run binds neighbours of one block.
        state: See `MOVES`.
        token_ids: The tokens whose keys and values are valid, in order.
        adapter: The number of the adapter that they were computed with; 0 is the plain model.
        conversation_id: Whose turn ran here last; None when nobody may continue it.
        last_used: Order of the last park or allocation, larger is later.
    """

    index: int
    state: SlotState = SlotState.FREE
    token_ids: list[int] = field(default_factory=list)
    adapter: int = 0
    conversation_id: str | None = None
    last_used: int = 0
    max_tokens: int = 0
    block: int = 0

    def num_shared(self, token_ids: NDArray[np.int64], adapter: int) -> int:
        """How many leading tokens of a prompt it holds; none where it holds another adapter's keys and values."""
        return common_prefix(self.token_ids, token_ids) if self.adapter == adapter else 0

    def is_next_to(self, other: Slot) -> bool:
        """Whether one graph run can serve both without touching a third slot."""
        return self.block == other.block and abs(self.index - other.index) == 1


def common_prefix(left: Sequence[int] | NDArray[np.int64], right: Sequence[int] | NDArray[np.int64]) -> int:
    """How many leading token ids two sequences share."""
    length = min(len(left), len(right))
    differ = np.flatnonzero(np.asarray(left[:length], np.int64) != np.asarray(right[:length], np.int64))
    return int(differ[0]) if differ.size else length


class KvPool:
    """The slots of one decoder. Not thread-safe: the engine thread owns it.

    Args:
        memory: Where keys and values lie; its size classes give the number of slots and their lengths.

    Attributes:
        slots: Each at its index.
    """

    def __init__(self, memory: KvMemory) -> None:
        self.memory = memory
        lengths = [(size.num_tokens, block) for block, size in enumerate(memory.classes) for _ in range(size.num_slots)]
        self.slots = [Slot(index, max_tokens=size, block=block) for index, (size, block) in enumerate(lengths)]
        self._clock = 0

    @property
    def num_slots(self) -> int:
        """Sequences that can run or be parked at once."""
        return len(self.slots)

    @property
    def max_context_tokens(self) -> int:
        """Tokens that the longest slot holds."""
        return max(size.num_tokens for size in self.memory.classes)

    def in_state(self, state: SlotState) -> list[Slot]:
        """Slots in this state, the least recently used first."""
        return sorted((slot for slot in self.slots if slot.state is state), key=lambda slot: slot.last_used)

    def can_allocate(self, capacity_tokens: int = 0) -> bool:
        """Whether a slot of this length is free or may be taken from a parked conversation."""
        return any(slot.state is not SlotState.ACTIVE and slot.max_tokens >= capacity_tokens for slot in self.slots)

    def candidate(self, capacity_tokens: int = 0) -> Slot:
        """The slot that `allocate` should take for a sequence that may grow to so many tokens.

        Of the shortest sufficient length, so that long slots stay for long sequences; unless a longer class runs
        already, has another slot to spare, and the shorter one runs nothing: one class takes one graph run a step, two
        take two, each of which reads all weights. Then a free slot beside an active one, any free one, the least
        recently used parked one.

        Raises:
            LookupError: No such slot; ask `can_allocate` first.
        """
        idle = [s for s in self.slots if s.state is not SlotState.ACTIVE and s.max_tokens >= capacity_tokens]
        if not idle:
            raise LookupError(f"no slot of {capacity_tokens} tokens is idle")
        active = self.in_state(SlotState.ACTIVE)
        running = {slot.block for slot in active}
        lengths = sorted({slot.max_tokens for slot in idle})
        mine = [slot for slot in idle if slot.max_tokens == lengths[0]]
        if not any(slot.block in running for slot in mine):
            for length in lengths[1:]:
                longer = [slot for slot in idle if slot.max_tokens == length]
                if longer[0].block in running and len(longer) > 1:
                    mine = longer
                    break
        free = [slot for slot in mine if slot.state is SlotState.FREE]
        if free:
            return min(free, key=lambda slot: (not any(slot.is_next_to(other) for other in active), slot.index))
        return min(mine, key=lambda slot: slot.last_used)

    def runs(self, slots: Iterable[Slot]) -> list[list[Slot]]:
        """Group slots into neighbours of one block, in order of their index: a graph run each."""
        groups: list[list[Slot]] = []
        for slot in sorted(slots, key=lambda each: each.index):
            if groups and groups[-1][-1].is_next_to(slot):
                groups[-1].append(slot)
            else:
                groups.append([slot])
        return groups

    def exchanges(self, slots: Iterable[Slot]) -> list[tuple[Slot, Slot]]:
        """Pairs to `exchange` so that these slots lie side by side in each block; the fewest tokens are copied."""
        pairs: list[tuple[Slot, Slot]] = []
        for block in range(len(self.memory.classes)):
            mine = [slot for slot in slots if slot.block == block]
            if len(self.runs(mine)) > 1:
                places = [slot for slot in self.slots if slot.block == block]
                windows = (places[first : first + len(mine)] for first in range(len(places) - len(mine) + 1))
                pairs += min((_pairs_into(window, mine) for window in windows), key=exchange_tokens)
        return pairs

    def exchange(self, left: Slot, right: Slot) -> None:
        """Swap the places of two slots by copying what they hold; who holds them does not notice.

        Raises:
            ValueError: They are of different lengths, so that one might not have room to grow.
        """
        if left.max_tokens != right.max_tokens:
            raise ValueError(f"slots {left.index} and {right.index} are of different lengths")
        self.memory.exchange(left.index, right.index, num_left=len(left.token_ids), num_right=len(right.token_ids))
        left.index, right.index = right.index, left.index
        left.block, right.block = right.block, left.block
        self.slots[left.index], self.slots[right.index] = left, right

    def allocate(self, slot: Slot, conversation_id: str | None, *, adapter: int = 0) -> None:
        """Give the slot to a sequence; its valid tokens stay until rewound, unless another adapter computed them."""
        self._move(slot, SlotState.ACTIVE)
        slot.conversation_id = conversation_id
        if slot.adapter != adapter:
            slot.token_ids.clear()
            slot.adapter = adapter

    def park(self, slot: Slot) -> None:
        """Keep the slot's tokens for its conversation's next turn."""
        if slot.conversation_id is None:
            raise ValueError(f"slot {slot.index} belongs to no conversation")
        self._move(slot, SlotState.PARKED)

    def free(self, slot: Slot) -> None:
        """Forget the slot's tokens."""
        self._move(slot, SlotState.FREE)
        slot.token_ids.clear()
        slot.conversation_id = None

    def rewind(self, slot: Slot, length: int) -> None:
        """Keep only the first `length` tokens; no computation."""
        if not 0 <= length <= len(slot.token_ids):
            raise ValueError(f"slot {slot.index} holds {len(slot.token_ids)} tokens, cannot rewind to {length}")
        del slot.token_ids[length:]

    def fork(self, source: Slot, target: Slot, length: int) -> None:
        """Make the target hold the source's first `length` tokens, by copy.

        Raises:
            ValueError: The source does not hold, or the target cannot hold, so many; or they are of other adapters.
        """
        if source is target:
            self.rewind(target, length)
            return
        if not 0 <= length <= min(len(source.token_ids), target.max_tokens):
            raise ValueError(f"slot {source.index} holds {len(source.token_ids)} tokens, cannot fork {length}")
        if source.adapter != target.adapter:
            raise ValueError(
                f"slots {source.index} and {target.index} are of adapters {source.adapter}, {target.adapter}"
            )
        self.memory.copy(source.index, target.index, length)
        target.token_ids[:] = source.token_ids[:length]

    def source(self, slot: Slot) -> SnapshotSource:
        """What the slot holds, for a store to read from before the slot changes."""
        return SnapshotSource(self.memory.layout, lambda start, stop: self.memory.read(slot.index, stop, start=start))

    def restore(self, match: PrefixMatch, slot: Slot, token_ids: Sequence[int]) -> None:
        """Make the slot hold these tokens, a stored beginning of a prompt; what it holds of them is not copied.

        Raises:
            ValueError: Fewer are stored, or they do not fit; the slot is as it was.
        """
        if len(token_ids) > min(match.num_tokens, slot.max_tokens):
            raise ValueError(f"{match.num_tokens} tokens are stored, cannot restore {len(token_ids)}")
        self.rewind(slot, common_prefix(slot.token_ids, token_ids))
        for start, values in match.parts(len(slot.token_ids), len(token_ids)):
            self.memory.write(slot.index, values, start=start)
        slot.token_ids[:] = list(token_ids)

    def _move(self, slot: Slot, state: SlotState) -> None:
        if state not in MOVES[slot.state]:
            raise ValueError(f"slot {slot.index} cannot go from {slot.state.name} to {state.name}")
        slot.state = state
        self._clock += 1
        slot.last_used = self._clock


def exchange_tokens(pairs: Iterable[tuple[Slot, Slot]]) -> int:
    """Tokens that these exchanges copy."""
    return sum(len(left.token_ids) + len(right.token_ids) for left, right in pairs)


def _pairs_into(window: Sequence[Slot], slots: Sequence[Slot]) -> list[tuple[Slot, Slot]]:
    inside = {slot.index for slot in window}
    wanted = {slot.index for slot in slots}
    outside = [slot for slot in slots if slot.index not in inside]
    holes = [slot for slot in window if slot.index not in wanted]
    return list(zip(outside, holes, strict=True))
