"""Who runs next: admission to slots, one prompt chunk and one decode step at a time. Runs no model, keeps no text.

A step is `schedule`, then the engine runs the batch and reports back with `extend` and `finish`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from npc_engine.errors import ContextTooLong, Overloaded, RequestError
from npc_engine.inference.kv_cache import KvPool, Slot, SlotState, common_prefix
from npc_engine.inference.prefix_store import PrefixStore
from npc_engine.inference.sequence import FinishReason, Sequence

# Before anything was measured; then a moving average takes over, in which the last ten requests weigh most.
_FIRST_RUN_TIME_S = 1.0
_RUN_TIME_WEIGHT = 0.1
_MIN_RETRY_S = 0.1

# Prompt tokens a step while others decode, whose next token waits for them. On a CPU short chunks cost nothing: 16 to
# 256 tokens a chunk all took 3.3 to 3.7 ms of CPU a token. Source: measured, SmolLM2-135M int4, one AVX2 core.
_SHARED_CHUNK_TOKENS = 32


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The work of one step.

    Attributes:
        prefill: The sequence whose prompt goes on, or None.
        chunk: The prompt tokens to append to its slot; empty without one.
        decode: Sequences that take one token each, grouped into runs of neighbouring slots in slot order.
    """

    prefill: Sequence | None
    chunk: tuple[int, ...]
    decode: tuple[tuple[Sequence, ...], ...]


class Scheduler:
    """Sequences waiting and running over one KV pool and one prefix store.

    `submit` may be called from any one thread at a time, all else from the engine thread only.

    Args:
        kv: The slots.
        store: Snapshots to start from and to save evicted conversations to.
        max_waiting: Sequences waiting before Overloaded.
        prefill_chunk_tokens: Prompt tokens a step; 32 at most while others decode.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        kv: KvPool,
        store: PrefixStore,
        *,
        max_waiting: int,
        prefill_chunk_tokens: int,
        clock: Callable[[], float],
    ) -> None:
        self.kv = kv
        self.store = store
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        self._max_waiting = max_waiting
        self._chunk_tokens = prefill_chunk_tokens
        self._clock = clock
        self._run_time_s = _FIRST_RUN_TIME_S

    @property
    def has_work(self) -> bool:
        """Whether a step would do anything."""
        return bool(self.waiting or self.running)

    @property
    def retry_after_s(self) -> float:
        """When a place in the queue should be free: the mean time a request holds a slot, over the slots."""
        return max(_MIN_RETRY_S, self._run_time_s / self.kv.num_slots)

    def submit(self, sequence: Sequence) -> None:
        """Queue a sequence.

        Raises:
            RequestError: The prompt is empty.
            ContextTooLong: Prompt and `max_new_tokens` do not fit a slot.
            Overloaded: As many wait as may. In all cases nothing was queued.
        """
        wanted = sequence.num_prompt_tokens + (0 if sequence.warm_key else sequence.params.max_new_tokens)
        if sequence.num_prompt_tokens == 0:
            raise RequestError("the prompt is empty")
        if wanted > self.kv.max_context_tokens:
            raise ContextTooLong(
                f"{sequence.num_prompt_tokens} prompt tokens and {sequence.params.max_new_tokens} new ones exceed "
                f"max_context_tokens = {self.kv.max_context_tokens}",
                hint="shorten the prompt, lower max_new_tokens, or raise max_context_tokens",
            )
        if len(self.waiting) >= self._max_waiting:
            raise Overloaded(
                f"{len(self.waiting)} requests are waiting already",
                retry_after_s=round(self.retry_after_s, 2),
                hint="try again then; the limit is max_waiting",
            )
        self.waiting.append(sequence)

    def schedule(self) -> Batch:
        """Admit what can be admitted and choose the step's work."""
        while self.waiting and self.kv.can_allocate():
            sequence = self.waiting[0]
            sequence.admit(self._place(sequence), now_s=self._clock())
            self.waiting.popleft()
            self.running.append(sequence)
        # Whoever speaks goes before the warming of prefixes, and among equals who came first.
        prompts = (sequence for sequence in self.running if not sequence.is_decoding)
        prefill = min(prompts, key=lambda sequence: sequence.warm_key is not None, default=None)
        decode = [sequence for sequence in self.running if sequence.is_decoding]
        return Batch(
            prefill=prefill,
            chunk=self._next_chunk(prefill, is_shared=bool(decode)) if prefill else (),
            decode=_neighbours(decode),
        )

    def extend(self, sequence: Sequence, token_ids: tuple[int, ...]) -> None:
        """Record that these tokens' keys and values now lie in the sequence's slot."""
        sequence.held_slot.token_ids.extend(token_ids)

    def finish(self, sequence: Sequence, reason: FinishReason) -> None:
        """End a sequence: park its slot for the conversation's next turn, or free it."""
        slot = sequence.slot
        self._leave(sequence, reason)
        if slot is None:
            return
        if sequence.conversation_id is not None and slot.token_ids:
            self.kv.park(slot)
        else:
            self.kv.free(slot)
        if reason != "cancelled":
            self._run_time_s += _RUN_TIME_WEIGHT * (sequence.running_time_s - self._run_time_s)

    def abort(self, sequence: Sequence) -> None:
        """End a sequence whose run failed: what its slot holds is not trusted."""
        slot = sequence.slot
        self._leave(sequence, "cancelled")
        if slot is not None:
            self.kv.free(slot)

    def cancelled(self) -> list[Sequence]:
        """Sequences whose cancellation was asked for and not yet carried out."""
        return [sequence for sequence in (*self.waiting, *self.running) if sequence.is_cancelled]

    def keep_prefix(self, sequence: Sequence, key: str) -> bool:
        """Store a pinned snapshot of the sequence's prompt; False when it does not fit the byte budget."""
        snapshot = self.kv.snapshot(sequence.held_slot, sequence.num_prompt_tokens)
        return self.store.insert(_prefix_key(key), snapshot, pinned=True)

    def drop_prefix(self, key: str) -> None:
        """Forget a prefix; an unknown key is no error."""
        self.store.drop(_prefix_key(key))

    def release(self, conversation_id: str) -> None:
        """Forget a conversation: free its parked slots, keep nothing of a turn that still runs."""
        for slot in self.kv.in_state(SlotState.PARKED):
            if slot.conversation_id == conversation_id:
                self.kv.free(slot)
        for sequence in (*self.waiting, *self.running):
            if sequence.conversation_id == conversation_id:
                sequence.conversation_id = None
        self.store.drop(_conversation_key(conversation_id))

    def _next_chunk(self, sequence: Sequence, *, is_shared: bool) -> tuple[int, ...]:
        start = len(sequence.held_slot.token_ids)
        length = min(self._chunk_tokens, _SHARED_CHUNK_TOKENS) if is_shared else self._chunk_tokens
        return sequence.prompt_ids[start : start + length]

    def _leave(self, sequence: Sequence, reason: FinishReason) -> None:
        (self.running if sequence.slot else self.waiting).remove(sequence)
        sequence.finish(reason, now_s=self._clock())

    def _place(self, sequence: Sequence) -> Slot:
        """Give a slot that holds as much of the prompt as can be had without computing.

        In order of cost: what the slot holds already, a snapshot from the store, another slot's beginning. The last
        prompt token is always computed, for its logits.
        """
        slot = self.kv.candidate(sequence.conversation_id)
        prompt = np.array(sequence.prompt_ids, np.int64)
        snapshot, stored = self.store.match(prompt)
        source = max(self.kv.slots, key=lambda other: common_prefix(other.token_ids, prompt))
        own = common_prefix(slot.token_ids, prompt)
        shared = common_prefix(source.token_ids, prompt)
        if slot.state is SlotState.PARKED and slot.conversation_id != sequence.conversation_id:
            self._save(slot)
        self.kv.allocate(slot, sequence.conversation_id)
        length = min(max(own, stored, shared), len(prompt) - 1)
        try:
            if length <= own:
                self.kv.rewind(slot, length)
            elif snapshot is not None and length <= stored:
                self.kv.restore(snapshot, slot, length)
            else:
                self.kv.fork(source, slot, length)
        except BaseException:
            self.kv.free(slot)
            raise
        return slot

    def _save(self, slot: Slot) -> None:
        """Keep a parked conversation in the store before its slot goes to another."""
        if slot.conversation_id is not None and self.store.max_bytes > 0:
            snapshot = self.kv.snapshot(slot, len(slot.token_ids))
            self.store.insert(_conversation_key(slot.conversation_id), snapshot)


def _neighbours(sequences: list[Sequence]) -> tuple[tuple[Sequence, ...], ...]:
    """Group sequences whose slots are adjacent; one graph run serves a group without touching other slots."""
    groups: list[list[Sequence]] = []
    for sequence in sorted(sequences, key=lambda each: each.held_slot.index):
        if groups and groups[-1][-1].held_slot.index + 1 == sequence.held_slot.index:
            groups[-1].append(sequence)
        else:
            groups.append([sequence])
    return tuple(map(tuple, groups))


def _prefix_key(key: str) -> str:
    return f"prefix:{key}"


def _conversation_key(conversation_id: str) -> str:
    return f"conversation:{conversation_id}"
