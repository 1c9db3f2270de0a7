"""One request on its way through the engine: its tokens, its state, its rank, its times.

Knows nothing of slots' memory, logits or text.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from enum import Enum, IntEnum, auto
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from npc_engine.inference.constraint import ConstraintState
from npc_engine.inference.kv_cache import Slot
from npc_engine.inference.sampler import SamplerRow, SamplingParams

FinishReason = Literal["stop", "length", "cancelled", "deadline"]

# How much later a request of the next lower priority counts as having come. Chosen so that warming, two ranks down,
# is put off by 10 s at most: a sixth of the default `turn_deadline_s`, and less than one walk to the next character.
AGEING_S = 5.0

_serial = itertools.count()


class Priority(IntEnum):
    """Who waits for a request; the smaller goes first."""

    PLAYER = 0
    NPC = 1
    WARM = 2


class SequenceStatus(Enum):
    """Where a sequence stands."""

    WAITING = auto()
    RUNNING = auto()
    FINISHED = auto()


# Every change of a sequence's status. RUNNING: it holds a slot. Back to WAITING: a player took its slot.
MOVES: dict[SequenceStatus, frozenset[SequenceStatus]] = {
    SequenceStatus.WAITING: frozenset({SequenceStatus.RUNNING, SequenceStatus.FINISHED}),
    SequenceStatus.RUNNING: frozenset({SequenceStatus.WAITING, SequenceStatus.FINISHED}),
    SequenceStatus.FINISHED: frozenset(),
}


@dataclass(frozen=True, kw_only=True)
class GenerationStats:
    """What one request took.

    Attributes:
        prompt_tokens: Tokens of the prompt.
        cached_tokens: Of these, how many were not computed: kept in a slot, copied from a snapshot, or computed by the
            candidate beside it. What was computed again after a preemption is not subtracted.
        output_tokens: Tokens generated, with the one that ended the reply.
        forced_tokens: Of these, how many its grammar left no choice about; they were not sampled.
        num_preemptions: How often a player took its slot.
        queue_time_s: From submission to being given a slot for the first time.
        prefill_time_s: From being given a slot to the first token.
        time_to_first_token_s: From submission to the first token; 0 when there was none.
        time_per_output_token_s: Mean time between tokens after the first; 0 below two tokens.
        finish_reason: Why it ended; None while it runs.
    """

    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    forced_tokens: int
    num_preemptions: int
    queue_time_s: float
    prefill_time_s: float
    time_to_first_token_s: float
    time_per_output_token_s: float
    finish_reason: FinishReason | None


class Sequence:
    """One request. The engine thread owns it; other threads may only call `cancel`.

    Args:
        prompt_ids: What to continue; at least one token.
        params: How.
        vocab_size: Width of the logits.
        arrived_s: Submission, on the engine's clock.
        conversation_id: Whose slot to continue and to keep afterwards; None keeps nothing.
        warm_key: Set for a prefix that is only computed and stored under this key, not continued.
        priority: Its rank in the queue.
        deadline_s: Seconds from submission until it must have ended; None never.
        leader: The sequence of the same prompt that computes it for this one too.
        script: Tokens that it takes instead of sampled ones, to have them scored; None samples.
        adapter: The number of the adapter that it runs with; 0 is the plain model.

    Attributes:
        token_ids: Prompt and output.
        output_ids: Tokens generated so far.
        logprobs: Natural-log probability of each output token; stays empty unless `wants_logprobs`.
        slot: The KV slot while RUNNING.
        num_cached_tokens: Prompt tokens that needed no computation.
        order_s: Its place in the queue, smaller first: arrival plus `AGEING_S` a rank. So a request is overtaken only
            by higher-ranked ones that come within `AGEING_S` a rank of it, and nobody waits for ever.
        cancelled_s: When cancellation was asked for; None until then.
    """

    def __init__(
        self,
        prompt_ids: tuple[int, ...],
        params: SamplingParams,
        *,
        vocab_size: int,
        arrived_s: float,
        conversation_id: str | None = None,
        warm_key: str | None = None,
        priority: Priority = Priority.PLAYER,
        deadline_s: float | None = None,
        leader: Sequence | None = None,
        script: tuple[int, ...] | None = None,
        adapter: int = 0,
    ) -> None:
        self.prompt_ids = prompt_ids
        self.params = params
        self.conversation_id = conversation_id
        self.warm_key = warm_key
        self.priority = priority
        self.leader = leader
        self.script = script
        self.adapter = adapter
        self.wants_logprobs = params.logprobs or script is not None
        self.token_ids: list[int] = list(prompt_ids)
        self.output_ids: list[int] = []
        self.logprobs: list[float] = []
        self.status = SequenceStatus.WAITING
        self.finish_reason: FinishReason | None = None
        self.slot: Slot | None = None
        self.num_cached_tokens = 0
        self.num_preemptions = 0
        self.num_forced_tokens = 0
        self.order_s = arrived_s + AGEING_S * priority
        self.arrived_s = arrived_s
        self.cancelled_s: float | None = None
        self.constraint: ConstraintState | None = params.constraint.start() if params.constraint else None
        self._pause_key = f"paused:{next(_serial)}"
        self._generated: NDArray[np.bool_] | None = np.zeros(vocab_size, np.bool_) if params.has_penalty else None
        self._expires_s = math.inf if deadline_s is None else arrived_s + deadline_s
        self._admitted_s: float | None = None
        self._first_token_s: float | None = None
        self._last_token_s: float | None = None
        self._finished_s: float | None = None

    @property
    def held_slot(self) -> Slot:
        """The slot of a RUNNING sequence."""
        assert self.slot is not None, "the sequence is not running"
        return self.slot

    @property
    def num_prompt_tokens(self) -> int:
        """Length of the prompt."""
        return len(self.prompt_ids)

    @property
    def capacity_tokens(self) -> int:
        """Tokens that its slot must be able to hold."""
        return self.num_prompt_tokens + (0 if self.warm_key else self.params.max_new_tokens)

    @property
    def num_pending_tokens(self) -> int:
        """Tokens, of prompt and output, whose keys and values are not in the slot yet."""
        return len(self.token_ids) - (len(self.slot.token_ids) if self.slot else 0)

    @property
    def is_held(self) -> bool:
        """Whether it waits for its leader to compute the prompt."""
        leader = self.leader
        return leader is not None and leader.status is not SequenceStatus.FINISHED and not leader.output_ids

    @property
    def is_cancelled(self) -> bool:
        """Whether it was asked to end."""
        return self.cancelled_s is not None

    @property
    def has_run(self) -> bool:
        """Whether it ever held a slot, or has a token that its leader computed."""
        return self._admitted_s is not None

    @property
    def forced_ids(self) -> tuple[int, ...]:
        """Tokens that its grammar leaves no choice about, as far as it may still grow."""
        if self.constraint is None:
            return ()
        return self.constraint.forced_ids[: self.params.max_new_tokens - len(self.output_ids)]

    @property
    def place_key(self) -> str | None:
        """Under which its slot is looked for: its own pause, its conversation; a follower takes its leader's copy."""
        if self.num_preemptions:
            return self._pause_key
        return None if self.leader is not None else self.conversation_id

    def cancel(self, *, now_s: float) -> None:
        """Ask it to end, from any thread; the first time counts."""
        if self.cancelled_s is None:
            self.cancelled_s = now_s

    def is_expired(self, now_s: float) -> bool:
        """Whether its deadline has passed."""
        return now_s >= self._expires_s

    def admit(self, slot: Slot, *, now_s: float) -> None:
        """Run in a slot whose valid tokens are a prefix of its own."""
        self._move(SequenceStatus.RUNNING)
        self.slot = slot
        if self._admitted_s is None:
            self.num_cached_tokens = len(slot.token_ids)
            self._admitted_s = now_s

    def preempt(self) -> str:
        """Give the slot up and wait for another; returns the key to park the slot under."""
        self._move(SequenceStatus.WAITING)
        self.slot = None
        self.num_preemptions += 1
        return self._pause_key

    def inherit(self, *, now_s: float) -> None:
        """Its leader has computed the whole prompt: take a first token without having run."""
        self.num_cached_tokens = self.num_prompt_tokens
        self._admitted_s = now_s

    def sampler_row(self) -> SamplerRow:
        """What picking its next token needs."""
        return SamplerRow(
            self.params,
            len(self.output_ids),
            self._generated,
            self.constraint.allowed if self.constraint else None,
            self.params.avoided_after(self.output_ids) if self.params.avoid else frozenset(),
        )

    def append(self, token_id: int, *, now_s: float, logprob: float | None = None, is_forced: bool = False) -> None:
        """Take the next token.

        Raises:
            InvalidConstraint: Its grammar grew too complex; end the sequence.
        """
        self.token_ids.append(token_id)
        self.output_ids.append(token_id)
        self.num_forced_tokens += is_forced
        if logprob is not None:
            self.logprobs.append(logprob)
        if self._generated is not None:
            self._generated[token_id] = True
        if self.constraint is not None:
            self.constraint.advance(token_id)
        if self._first_token_s is None:
            self._first_token_s = now_s
        self._last_token_s = now_s

    def finish(self, reason: FinishReason, *, now_s: float) -> None:
        """End it."""
        self._move(SequenceStatus.FINISHED)
        self.finish_reason = reason
        self.slot = None
        self._finished_s = now_s

    @property
    def running_time_s(self) -> float:
        """From being given a slot to the end; 0 when it never ran."""
        if self._finished_s is None or self._admitted_s is None:
            return 0.0
        return self._finished_s - self._admitted_s

    def stats(self) -> GenerationStats:
        """What it took so far; call once it has a token or is FINISHED."""
        first_s = self._first_token_s
        ended_s = self._finished_s if first_s is None else first_s
        assert ended_s is not None
        admitted_s = ended_s if self._admitted_s is None else self._admitted_s
        later_tokens = len(self.output_ids) - 1
        span_s = self._last_token_s - first_s if self._last_token_s is not None and first_s is not None else 0.0
        return GenerationStats(
            prompt_tokens=self.num_prompt_tokens,
            cached_tokens=self.num_cached_tokens,
            output_tokens=len(self.output_ids),
            forced_tokens=self.num_forced_tokens,
            num_preemptions=self.num_preemptions,
            queue_time_s=admitted_s - self.arrived_s,
            prefill_time_s=ended_s - admitted_s,
            time_to_first_token_s=0.0 if first_s is None else first_s - self.arrived_s,
            time_per_output_token_s=span_s / later_tokens if later_tokens > 0 else 0.0,
            finish_reason=self.finish_reason,
        )

    def _move(self, status: SequenceStatus) -> None:
        if status not in MOVES[self.status]:
            raise ValueError(f"a sequence cannot go from {self.status.name} to {status.name}")
        self.status = status
