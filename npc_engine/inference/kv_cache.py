"""Who holds which KV slot, and which token ids' keys and values lie in it.

A slot's `token_ids` name exactly the rows that are valid. Rows past them may hold anything: the graph overwrites a row
before it reads it, so rewinding is forgetting ids and a run that was stopped half-way harms nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npc_engine.inference.kv_memory import KvMemory


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


@dataclass
class Slot:
    """One row of the KV pool.

    Attributes:
        index: Position in the pool.
        state: See `MOVES`.
        token_ids: The tokens whose keys and values are valid, in order.
        conversation_id: Whose turn ran here last; None when nobody may continue it.
        last_used: Order of the last park or allocation, larger is later.
    """

    index: int
    state: SlotState = SlotState.FREE
    token_ids: list[int] = field(default_factory=list)
    conversation_id: str | None = None
    last_used: int = 0


@dataclass(frozen=True, kw_only=True)
class KvSnapshot:
    """Keys and values of a token prefix, in host memory.

    Attributes:
        token_ids: (P,) int64, the prefix.
        values: (2 * layers, kv heads, P, head dim), of the graph's KV dtype.
    """

    token_ids: NDArray[np.int64]
    values: NDArray[Any]

    @property
    def nbytes(self) -> int:
        """Bytes it holds."""
        return self.values.nbytes + self.token_ids.nbytes


def common_prefix(left: Sequence[int] | NDArray[np.int64], right: Sequence[int] | NDArray[np.int64]) -> int:
    """How many leading token ids two sequences share."""
    length = min(len(left), len(right))
    differ = np.flatnonzero(np.asarray(left[:length], np.int64) != np.asarray(right[:length], np.int64))
    return int(differ[0]) if differ.size else length


class KvPool:
    """The slots of one decoder. Not thread-safe: the engine thread owns it.

    Args:
        memory: Where keys and values lie; its shape gives the number of slots and their length.
    """

    def __init__(self, memory: KvMemory) -> None:
        self.memory = memory
        self.slots = tuple(Slot(index) for index in range(memory.shape[1]))
        self._clock = 0

    @property
    def num_slots(self) -> int:
        """Sequences that can run or be parked at once."""
        return self.memory.shape[1]

    @property
    def max_context_tokens(self) -> int:
        """Tokens a slot holds."""
        return self.memory.shape[3]

    def in_state(self, state: SlotState) -> list[Slot]:
        """Slots in this state, the least recently used first."""
        return sorted((slot for slot in self.slots if slot.state is state), key=lambda slot: slot.last_used)

    def parked(self, conversation_id: str | None) -> Slot | None:
        """The slot parked for this conversation, if any."""
        mine = [slot for slot in self.in_state(SlotState.PARKED) if slot.conversation_id == conversation_id]
        return mine[-1] if mine and conversation_id is not None else None

    def can_allocate(self) -> bool:
        """Whether any slot is free or may be taken from a parked conversation."""
        return any(slot.state is not SlotState.ACTIVE for slot in self.slots)

    def candidate(self, conversation_id: str | None) -> Slot:
        """The slot that `allocate` should take: the conversation's own, else a free one, else the least recently used.

        Raises:
            LookupError: Every slot is active; ask `can_allocate` first.
        """
        own = self.parked(conversation_id)
        if own is not None:
            return own
        for state in (SlotState.FREE, SlotState.PARKED):
            slots = self.in_state(state)
            if slots:
                return slots[0]
        raise LookupError("every slot is active")

    def allocate(self, slot: Slot, conversation_id: str | None) -> None:
        """Give the slot to a sequence; its valid tokens stay until rewound."""
        self._move(slot, SlotState.ACTIVE)
        slot.conversation_id = conversation_id

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
        """Make the target hold the source's first `length` tokens, by copy."""
        if source is not target:
            self.memory.copy(source.index, target.index, length)
            target.token_ids[:] = source.token_ids[:length]
        else:
            self.rewind(target, length)

    def snapshot(self, slot: Slot, length: int) -> KvSnapshot:
        """Copy the slot's first `length` tokens to the host."""
        if not 0 < length <= len(slot.token_ids):
            raise ValueError(f"slot {slot.index} holds {len(slot.token_ids)} tokens, no snapshot of {length}")
        return KvSnapshot(
            token_ids=np.array(slot.token_ids[:length], np.int64), values=self.memory.read(slot.index, length)
        )

    def restore(self, snapshot: KvSnapshot, slot: Slot, length: int) -> None:
        """Make the slot hold the snapshot's first `length` tokens, by copy."""
        if not 0 <= length <= min(len(snapshot.token_ids), self.max_context_tokens):
            raise ValueError(f"snapshot holds {len(snapshot.token_ids)} tokens, cannot restore {length}")
        self.memory.write(slot.index, snapshot.values[:, :, :length])
        slot.token_ids[:] = snapshot.token_ids[:length].tolist()

    def _move(self, slot: Slot, state: SlotState) -> None:
        if state not in MOVES[slot.state]:
            raise ValueError(f"slot {slot.index} cannot go from {slot.state.name} to {state.name}")
        slot.state = state
        self._clock += 1
        slot.last_used = self._clock
