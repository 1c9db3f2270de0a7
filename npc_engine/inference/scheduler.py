"""Who runs next: admission, priorities, ageing, chunk lengths, preemption, deadlines. Touches no KV memory.

A step is `collect` and what is `due`, then `next_prefill` and `next_decodes`; the engine runs those and reports back
with `extend` and `finish`. Every order here is by a number fixed at arrival, so that nobody is put off for ever.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from npc_engine.errors import ContextTooLong, Overloaded, RequestError
from npc_engine.inference.placement import Placement
from npc_engine.inference.run_costs import RunCosts
from npc_engine.inference.sequence import AGEING_S, FinishReason, Sequence

_FIRST_REQUEST_S = 1.0  # before any has ended
_MIN_RETRY_S = 0.1

# How long a prompt chunk may keep those who decode from their next token. Silent reading takes 238 words a minute, that
# is about 190 ms a token of 1.3 to a word; with this and a decode step, a stream stays ahead of its reader. Source:
# Brysbaert 2019, How many words do we read per minute?, table 4 (non-fiction).
STALL_BUDGET_S = 0.08
_MIN_CHUNK_TOKENS = 8

# A prompt's place in the prefill order is its place in the queue plus this many times what is left of it: the shortest
# goes first, and one that takes R seconds is overtaken only by what comes within this times R of it. Large enough that
# a line of 30 tokens overtakes a cold prompt of 600 that came two seconds before, at 1 ms a token.
PREFILL_AGEING = 4.0

# From this many tokens on, what a grammar forces is run as one chunk, below it a token a step. Alone, two pay already;
# beside seven others, whose steps a token more hardly lengthens, only eight do. Source: measured, see docs/log.md.
FORCED_CHUNK_TOKENS = 3


@dataclass(frozen=True, kw_only=True)
class Prefill:
    """A chunk to run.

    Attributes:
        sequence: Whose.
        chunk: The tokens to append to its slot, at least one.
    """

    sequence: Sequence
    chunk: tuple[int, ...]


class Scheduler:
    """Sequences waiting and running.

    `submit` and `estimated_wait_s` may be called from any one thread at a time, all else from the engine thread only.

    Args:
        placement: Gives and takes slots.
        costs: What runs take.
        max_waiting: Requests waiting before Overloaded; the candidates of one request count as one.
        prefill_chunk_tokens: Most prompt tokens a step.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        placement: Placement,
        costs: RunCosts,
        *,
        max_waiting: int,
        prefill_chunk_tokens: int,
        clock: Callable[[], float],
    ) -> None:
        self.placement = placement
        self.costs = costs
        self.waiting: list[Sequence] = []
        self.running: list[Sequence] = []
        self.num_preemptions = 0
        self._lock = threading.Lock()  # of what was submitted and not yet collected
        self._arrived: list[Sequence] = []
        self._max_waiting = max_waiting
        self._chunk_tokens = prefill_chunk_tokens
        self._clock = clock

    @property
    def has_work(self) -> bool:
        """Whether a step would do anything."""
        return bool(self._arrived or self.waiting or self.running)

    @property
    def num_waiting(self) -> int:
        """Requests without a slot; candidates that wait for their leader are not counted."""
        return sum(not sequence.is_held for sequence in self._queued())

    @property
    def retry_after_s(self) -> float:
        """When a place in the queue should be free: the mean time a request holds a slot, over the slots."""
        request_s = _FIRST_REQUEST_S if self.costs.request_s is None else self.costs.request_s
        return max(_MIN_RETRY_S, request_s / self.placement.num_slots)

    def submit(self, *sequences: Sequence) -> None:
        """Queue a sequence, or a leader and those who share its prompt; all of them or none.

        Raises:
            RequestError: The prompt is empty.
            ContextTooLong: Prompt and `max_new_tokens` do not fit a slot.
            Overloaded: As many wait as may, or its turn should not come before its deadline. Nothing was queued.
        """
        for sequence in sequences:
            self._check_fits(sequence)
        num_waiting, leader = self.num_waiting, sequences[0]
        if num_waiting >= self._max_waiting:
            raise self._overloaded(f"{num_waiting} requests are waiting already", "the limit is max_waiting")
        wait_s = self.estimated_wait_s(leader)
        if wait_s > 0 and leader.is_expired(leader.arrived_s + wait_s):
            raise self._overloaded(f"its turn should come in {wait_s:.1f} s, after its deadline", "or allow more time")
        with self._lock:
            self._arrived.extend(sequences)

    def estimated_wait_s(self, sequence: Sequence) -> float:
        """How long the sequence should wait for a slot; 0 where one can be had, or no request has ended yet."""
        ahead = [
            other
            for other in self._queued()
            if not other.is_held and other.order_s <= sequence.order_s and other is not sequence
        ]
        if self.costs.request_s is None:
            return 0.0
        if not ahead and (self.placement.can_place(sequence.capacity_tokens) or self._victim(sequence) is not None):
            return 0.0
        return (len(ahead) + 1) * self.costs.request_s / self.placement.num_slots

    def collect(self) -> None:
        """Take what was submitted into the queue.

        Before `due`, so that a turn closed before the next of its conversation was submitted is ended, and its slot
        found, before that one is placed.
        """
        with self._lock:
            self.waiting.extend(self._arrived)
            self._arrived.clear()

    def due(self) -> list[Sequence]:
        """Sequences that must end now: cancelled, or past their deadline."""
        now_s = self._clock()
        alive = (*self.waiting, *self.running)
        return [sequence for sequence in alive if sequence.is_cancelled or sequence.is_expired(now_s)]

    def admit(self) -> None:
        """Give slots to those who wait, in order; a player takes one from a lower rank where none is free."""
        now_s = self._clock()
        for sequence in sorted(self.waiting, key=lambda each: each.order_s):
            if sequence.is_held:
                continue
            if not self._make_room(sequence):
                if now_s - sequence.arrived_s > AGEING_S:
                    return  # it has been passed often enough by those who need less room
                continue
            slot = self.placement.place(
                sequence.token_ids,
                capacity_tokens=sequence.capacity_tokens,
                conversation_id=sequence.place_key,
                adapter=sequence.adapter,
            )
            self.waiting.remove(sequence)
            sequence.admit(slot, now_s=now_s)
            self.running.append(sequence)

    def next_prefill(self) -> Prefill | None:
        """The next chunk to run: of whom least is left, with ageing; shorter while others decode."""
        prompts = [sequence for sequence in self.running if not _is_decoding(sequence)]
        if not prompts:
            return None
        sequence = min(prompts, key=self._prefill_order)
        start = len(sequence.held_slot.token_ids)
        end = start + self._chunk_length(is_shared=len(prompts) < len(self.running))
        return Prefill(sequence=sequence, chunk=tuple(sequence.token_ids[start:end]))

    def next_decodes(self) -> list[tuple[Sequence, ...]]:
        """Sequences that take one token each, grouped into runs of neighbouring slots in slot order."""
        decoding = [sequence for sequence in self.running if _is_decoding(sequence)]
        groups = self.placement.gather([sequence.held_slot for sequence in decoding])
        by_index = {sequence.held_slot.index: sequence for sequence in decoding}
        return [tuple(by_index[slot.index] for slot in group) for group in groups]

    def extend(self, sequence: Sequence, token_ids: tuple[int, ...]) -> None:
        """Record that these tokens' keys and values now lie in the sequence's slot."""
        sequence.held_slot.token_ids.extend(token_ids)

    def finish(self, sequence: Sequence, reason: FinishReason) -> None:
        """End a sequence: park its slot for the conversation's next turn, or free it."""
        slot = sequence.slot
        self._leave(sequence, reason)
        if slot is not None and sequence.conversation_id is not None:
            self.placement.park(slot, sequence.conversation_id)
        elif slot is not None:
            self.placement.free(slot)
        if slot is not None and reason != "cancelled":
            self.costs.saw_request(sequence.running_time_s)

    def abort(self, sequence: Sequence) -> None:
        """End a sequence whose run failed: what its slot holds is not trusted."""
        slot = sequence.slot
        self._leave(sequence, "cancelled")
        if slot is not None:
            self.placement.free(slot)

    def release(self, conversation_id: str) -> None:
        """Forget a conversation; of a turn that still runs nothing is kept."""
        for sequence in (*self._queued(), *self.running):
            if sequence.conversation_id == conversation_id:
                sequence.conversation_id = None
        self.placement.release(conversation_id)

    def _queued(self) -> list[Sequence]:
        with self._lock:
            return [*self.waiting, *self._arrived]

    def _check_fits(self, sequence: Sequence) -> None:
        if sequence.num_prompt_tokens == 0:
            raise RequestError("the prompt is empty")
        if sequence.capacity_tokens > self.placement.max_capacity_tokens:
            raise ContextTooLong(
                f"{sequence.num_prompt_tokens} prompt tokens and {sequence.params.max_new_tokens} new ones exceed "
                f"max_context_tokens = {self.placement.max_capacity_tokens}",
                hint="shorten the prompt, lower max_new_tokens, or raise max_context_tokens",
            )

    def _overloaded(self, message: str, hint: str) -> Overloaded:
        return Overloaded(message, retry_after_s=round(self.retry_after_s, 2), hint=f"try again then; {hint}")

    def _make_room(self, sequence: Sequence) -> bool:
        if self.placement.can_place(sequence.capacity_tokens):
            return True
        victim = self._victim(sequence)
        if victim is None:
            return False
        slot = victim.held_slot
        self.running.remove(victim)
        self.waiting.append(victim)
        self.placement.park(slot, victim.preempt())
        self.num_preemptions += 1
        return True

    def _victim(self, sequence: Sequence) -> Sequence | None:
        """Whose slot it may take: long enough, of a lower rank, and behind it in the queue, which age protects from."""
        lower = [
            other
            for other in tuple(self.running)
            if other.priority > sequence.priority
            and other.order_s > sequence.order_s
            and other.slot is not None
            and other.slot.max_tokens >= sequence.capacity_tokens
        ]
        return max(lower, key=lambda other: other.order_s, default=None)

    def _prefill_order(self, sequence: Sequence) -> float:
        return sequence.order_s + PREFILL_AGEING * self.costs.prefill_s(sequence.num_pending_tokens)

    def _chunk_length(self, *, is_shared: bool) -> int:
        if not is_shared:
            return self._chunk_tokens
        affordable = int(STALL_BUDGET_S / self.costs.prefill_token_s)
        return min(self._chunk_tokens, max(_MIN_CHUNK_TOKENS, affordable - affordable % _MIN_CHUNK_TOKENS))

    def _leave(self, sequence: Sequence, reason: FinishReason) -> None:
        self.collect()
        (self.running if sequence.slot else self.waiting).remove(sequence)
        sequence.finish(reason, now_s=self._clock())
        if sequence.num_preemptions > 0 and sequence.place_key is not None:
            self.placement.release(sequence.place_key)


def _is_decoding(sequence: Sequence) -> bool:
    """Whether its next run is one token: it has its first one, and not so many forced ones that a chunk is cheaper."""
    return bool(sequence.output_ids) and sequence.num_pending_tokens < FORCED_CHUNK_TOKENS
