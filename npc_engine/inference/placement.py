"""Which slot a sequence runs in, and what of its tokens lies there already. Runs no model, knows no order of service.

The scheduler's only door to KV memory. A slot that it was given keeps its identity until `park` or `free`: `gather` may
change its `index`, so the index is read just before a run. Everything here is called from the engine thread only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from npc_engine.inference.kv_cache import KvPool, Slot, SlotState, exchange_tokens
from npc_engine.inference.prefix_store import PrefixMatch, PrefixStore, SnapshotSource
from npc_engine.inference.run_costs import RunCosts
from npc_engine.inference.snapshot_files import SnapshotFiles

# How many steps a saved graph run is counted for when slots are moved. Chosen low: who is moved for nothing costs one
# copy, and with `base` a copy of 500 tokens costs a tenth of the run it saves in each step.
_STEPS_AHEAD = 16
# Until exchanges were measured; later ones weigh as in RunCosts. Source: tools/bench_kv.py copies, 2 cores: 3.7 GB a
# second of `tiny`, 6.3 of `base`, whose heads are wider.
_FIRST_COPY_BYTES_PER_S = 3e9
_COPY_WEIGHT = 0.1


class Placement:
    """Gives sequences the slot that costs least to fill, and keeps what may be continued.

    Args:
        kv: The slots.
        store: Snapshots to start from and to save evicted conversations to.
        files: Prefixes that outlive the process; None for none.
        costs: What runs take; without them `gather` moves nothing.
        clock: Monotonic seconds.

    Attributes:
        num_moves: Exchanges of two slots so far.
    """

    def __init__(
        self,
        kv: KvPool,
        store: PrefixStore,
        *,
        files: SnapshotFiles | None = None,
        costs: RunCosts | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.kv = kv
        self.store = store
        self.files = files
        self.num_moves = 0
        self._costs = costs
        self._clock = clock
        self._copy_bytes_per_s = _FIRST_COPY_BYTES_PER_S

    @property
    def num_slots(self) -> int:
        """Sequences that can run or be parked at once."""
        return self.kv.num_slots

    @property
    def max_capacity_tokens(self) -> int:
        """Tokens that the largest slot holds; a sequence that wants more can never be placed."""
        return self.kv.max_context_tokens

    def can_place(self, capacity_tokens: int) -> bool:
        """Whether a slot of this capacity is free or may be taken from a parked conversation now."""
        return self.kv.can_allocate(capacity_tokens)

    def place(
        self, token_ids: Sequence[int], *, capacity_tokens: int, conversation_id: str | None, adapter: int = 0
    ) -> Slot:
        """Give an ACTIVE slot that holds as many of the tokens as can be had without computing.

        In order of cost: what the slot holds already, another slot's beginning, a snapshot from the store. The last
        token is always computed, for its logits. A conversation may have several parked slots (candidates of one turn):
        the one that shares most with the tokens is taken, the others are freed. One that outgrew its slot moves to a
        longer one by copy.

        Args:
            token_ids: What the sequence knows so far, at least one token; the slot's `token_ids` are a proper prefix.
            capacity_tokens: Tokens it may grow to.
            conversation_id: Whose parked slot is preferred; None prefers none.
            adapter: The number of the adapter that it runs with. What another one computed is never used.

        Raises:
            LookupError: There is no room; ask `can_place` first.
        """
        prompt = np.array(token_ids, np.int64)
        slot = self._own(prompt, conversation_id, adapter)
        if slot is None or slot.max_tokens < capacity_tokens:
            slot = self.kv.candidate(capacity_tokens)
        match = self.store.match(prompt, adapter=adapter)
        source = max(self.kv.slots, key=lambda other: other.num_shared(prompt, adapter))
        own = slot.num_shared(prompt, adapter)
        shared = source.num_shared(prompt, adapter)
        if slot.state is SlotState.PARKED and slot.conversation_id != conversation_id:
            self._save(slot)
        self.kv.allocate(slot, conversation_id, adapter=adapter)
        length = min(max(own, match.num_tokens, shared), len(prompt) - 1)
        try:
            if length <= own:
                self.kv.rewind(slot, length)
            elif length <= shared:
                self.kv.fork(source, slot, length)
            else:
                self.kv.restore(match, slot, token_ids[:length])
        except BaseException:
            self.kv.free(slot)
            raise
        self._free_parked(conversation_id)
        return slot

    def park(self, slot: Slot, conversation_id: str) -> None:
        """Keep an ACTIVE slot's tokens for this conversation's next `place`; it may be evicted meanwhile."""
        if not slot.token_ids:
            self.kv.free(slot)
            return
        slot.conversation_id = conversation_id
        self.kv.park(slot)

    def free(self, slot: Slot) -> None:
        """Forget an ACTIVE or PARKED slot's tokens."""
        self.kv.free(slot)

    def warm(self, token_ids: Sequence[int], key: str, *, adapter: int = 0) -> bool:
        """Pin a prefix without computing it, from what is stored or from a file; False when it must be computed."""
        layout = self.kv.memory.layout
        match = self.store.match(token_ids, adapter=adapter)
        if match.num_tokens < len(token_ids):
            pieces = self.files.load(token_ids, layout, adapter=adapter) if self.files is not None else None
            if pieces is None:
                return False
            match = PrefixMatch(len(token_ids), pieces)
        return self._pin(token_ids, key, SnapshotSource(layout, match.read), adapter)

    def keep_prefix(self, slot: Slot, length: int, key: str) -> bool:
        """Pin a snapshot of the slot's first `length` tokens; False when it does not fit the byte budget."""
        return self._pin(slot.token_ids[:length], key, self.kv.source(slot), slot.adapter)

    def drop_prefix(self, key: str) -> None:
        """Forget a prefix; an unknown key is no error. Its file stays for the next start."""
        self.store.drop(_prefix_key(key))

    def release(self, conversation_id: str) -> None:
        """Forget a conversation: its parked slots and its snapshot; an unknown one is no error."""
        self._free_parked(conversation_id)
        self.store.drop(_conversation_key(conversation_id))

    def file_stats(self) -> dict[str, int]:
        """Counts of the prefix files; zeros where there are none."""
        files = self.files
        return {
            "prefix_disk_bytes": files.nbytes if files else 0,
            "prefix_files_loaded": files.num_loaded if files else 0,
            "prefix_files_corrupt": files.num_corrupt if files else 0,
            "prefix_files_failed": int(bool(files and files.problem)),
        }

    def close(self) -> None:
        """Finish writing files. Idempotent."""
        if self.files is not None:
            self.files.close()

    def gather(self, slots: Iterable[Slot]) -> list[list[Slot]]:
        """Group ACTIVE slots so that one graph run serves a group: neighbours, in order of their index.

        Moves slots together first where copying them takes less than the runs that this saves over the next steps. A
        moved slot keeps its tokens and identity, its `index` changes.
        """
        slots = list(slots)
        groups = self.kv.runs(slots)
        if self._costs is None or len(groups) == len({slot.block for slot in slots}):
            return groups
        pairs = self.kv.exchanges(slots)
        num_bytes = exchange_tokens(pairs) * self.kv.memory.layout.nbytes
        num_saved = len(groups) - len({slot.block for slot in slots})
        if num_bytes / self._copy_bytes_per_s >= num_saved * _STEPS_AHEAD * self._run_overhead_s(self._costs):
            return groups
        start_s = self._clock()
        for left, right in pairs:
            self.kv.exchange(left, right)
        self.num_moves += len(pairs)
        elapsed_s = self._clock() - start_s
        if num_bytes > 0 and elapsed_s > 0:
            self._copy_bytes_per_s += _COPY_WEIGHT * (num_bytes / elapsed_s - self._copy_bytes_per_s)
        return self.kv.runs(slots)

    @staticmethod
    def _run_overhead_s(costs: RunCosts) -> float:
        """What two runs of a row cost over one run of two; while that was not measured, half a run."""
        one_s, two_s = costs.decode_s(1), costs.decode_s(2)
        return max(0.0, 2 * one_s - two_s) if two_s > 0 else one_s / 2

    def _pin(self, token_ids: Sequence[int], key: str, source: SnapshotSource, adapter: int) -> bool:
        if not self.store.insert(_prefix_key(key), token_ids, source, adapter=adapter, pinned=True):
            return False
        if self.files is not None:
            pieces = self.store.match(token_ids, adapter=adapter).pieces
            self.files.save(token_ids, self.kv.memory.layout, pieces, adapter=adapter)
        return True

    def _own(self, prompt: NDArray[np.int64], conversation_id: str | None, adapter: int) -> Slot | None:
        """The conversation's parked slot that shares most with the prompt; of equals, the latest."""
        if conversation_id is None:
            return None
        mine = [slot for slot in self.kv.in_state(SlotState.PARKED) if slot.conversation_id == conversation_id]
        return max(reversed(mine), key=lambda slot: slot.num_shared(prompt, adapter), default=None)

    def _free_parked(self, conversation_id: str | None) -> None:
        for slot in self.kv.in_state(SlotState.PARKED):
            if conversation_id is not None and slot.conversation_id == conversation_id:
                self.kv.free(slot)

    def _save(self, slot: Slot) -> None:
        """Keep a parked conversation in the store before its slot goes to another; only what is not stored is read."""
        if slot.conversation_id is not None and self.store.max_bytes > 0:
            key, source = _conversation_key(slot.conversation_id), self.kv.source(slot)
            self.store.insert(key, slot.token_ids, source, adapter=slot.adapter)


def _prefix_key(key: str) -> str:
    return f"prefix:{key}"


def _conversation_key(conversation_id: str) -> str:
    return f"conversation:{conversation_id}"
