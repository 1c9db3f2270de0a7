"""One request on its way through the engine: its tokens, its state, its times.

Knows nothing of slots' memory, logits or text.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from npc_engine.inference.constraint import ConstraintState
from npc_engine.inference.kv_cache import Slot
from npc_engine.inference.sampler import SamplerRow, SamplingParams

FinishReason = Literal["stop", "length", "cancelled"]


class SequenceStatus(Enum):
    """Where a sequence stands."""

    WAITING = auto()
    RUNNING = auto()
    FINISHED = auto()


# Every change of a sequence's status. RUNNING: it holds a slot.
MOVES: dict[SequenceStatus, frozenset[SequenceStatus]] = {
    SequenceStatus.WAITING: frozenset({SequenceStatus.RUNNING, SequenceStatus.FINISHED}),
    SequenceStatus.RUNNING: frozenset({SequenceStatus.FINISHED}),
    SequenceStatus.FINISHED: frozenset(),
}


@dataclass(frozen=True, kw_only=True)
class GenerationStats:
    """What one request took.

    Attributes:
        prompt_tokens: Tokens of the prompt.
        cached_tokens: Of these, how many were not computed: kept in a slot, or copied from a snapshot.
        output_tokens: Tokens generated, with the one that ended the reply.
        queue_time_s: From submission to being given a slot.
        prefill_time_s: From being given a slot to the first token.
        time_to_first_token_s: From submission to the first token; 0 when there was none.
        time_per_output_token_s: Mean time between tokens after the first; 0 below two tokens.
        finish_reason: Why it ended; None while it runs.
    """

    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    queue_time_s: float
    prefill_time_s: float
    time_to_first_token_s: float
    time_per_output_token_s: float
    finish_reason: FinishReason | None


class Sequence:
    """One request. The engine thread owns it; other threads may only set `is_cancelled`.

    Args:
        prompt_ids: What to continue; at least one token.
        params: How.
        vocab_size: Width of the logits.
        arrived_s: Submission, on the engine's clock.
        conversation_id: Whose slot to continue and to keep afterwards; None keeps nothing.
        warm_key: Set for a prefix that is only computed and stored under this key, not continued.

    Attributes:
        output_ids: Tokens generated so far.
        slot: The KV slot while RUNNING.
        num_cached_tokens: Prompt tokens that needed no computation.
        is_cancelled: Asks the engine to end it; never unset.
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
    ) -> None:
        self.prompt_ids = prompt_ids
        self.params = params
        self.conversation_id = conversation_id
        self.warm_key = warm_key
        self.output_ids: list[int] = []
        self.status = SequenceStatus.WAITING
        self.finish_reason: FinishReason | None = None
        self.slot: Slot | None = None
        self.num_cached_tokens = 0
        self.is_cancelled = False
        self.constraint: ConstraintState | None = params.constraint.start() if params.constraint else None
        self._generated: NDArray[np.bool_] | None = np.zeros(vocab_size, np.bool_) if params.has_penalty else None
        self._arrived_s = arrived_s
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
    def num_remaining_prompt_tokens(self) -> int:
        """Prompt tokens whose keys and values are not in the slot yet."""
        return self.num_prompt_tokens - (len(self.slot.token_ids) if self.slot else 0)

    @property
    def is_decoding(self) -> bool:
        """Whether it has a first token and its next step is one token."""
        return self.status is SequenceStatus.RUNNING and bool(self.output_ids)

    def admit(self, slot: Slot, *, now_s: float) -> None:
        """Start running in a slot whose valid tokens are a prefix of the prompt."""
        self._move(SequenceStatus.RUNNING)
        self.slot = slot
        self.num_cached_tokens = len(slot.token_ids)
        self._admitted_s = now_s

    def sampler_row(self) -> SamplerRow:
        """What picking its next token needs."""
        return SamplerRow(
            self.params,
            len(self.output_ids),
            self._generated,
            self.constraint.allowed if self.constraint else None,
        )

    def append(self, token_id: int, *, now_s: float) -> None:
        """Take the next token."""
        self.output_ids.append(token_id)
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
            queue_time_s=admitted_s - self._arrived_s,
            prefill_time_s=ended_s - admitted_s,
            time_to_first_token_s=0.0 if first_s is None else first_s - self._arrived_s,
            time_per_output_token_s=span_s / later_tokens if later_tokens > 0 else 0.0,
            finish_reason=self.finish_reason,
        )

    def _move(self, status: SequenceStatus) -> None:
        if status not in MOVES[self.status]:
            raise ValueError(f"a sequence cannot go from {self.status.name} to {status.name}")
        self.status = status
