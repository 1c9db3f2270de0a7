"""What callers see of a request: deltas on their way out, candidates, sums. Knows nothing of slots or logits."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

from npc_engine.errors import NpcEngineError
from npc_engine.inference.sequence import FinishReason, GenerationStats, Sequence
from npc_engine.inference.text_stream import TextStream


@dataclass(frozen=True, kw_only=True)
class Delta:
    """A piece of a reply.

    Attributes:
        text: Text that became safe to show; the pieces joined are the reply without its stop text.
        token_ids: Every id generated since the last delta, the end token included.
        logprobs: Of each of these ids, where `SamplingParams.logprobs` asks: the natural-log probability that the model
            gives it, at temperature 1, unpenalised and untruncated, among the tokens that the constraint allows; 0 for
            an id that the constraint forced. Empty otherwise.
        stats: What the request took so far; with its finish_reason on the last delta.
    """

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    stats: GenerationStats

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why the reply ended; None but on the last delta."""
        return self.stats.finish_reason


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One of several replies to the same prompt.

    Attributes:
        text: The reply, without its stop text.
        token_ids: Every id generated, the end token included.
        logprob: Sum of the ids' log-probabilities, as `Delta.logprobs` has them.
        finish_reason: Why it ended.
        stats: What it took; of a follower's prompt everything counts as cached.
    """

    text: str
    token_ids: tuple[int, ...]
    logprob: float
    finish_reason: FinishReason
    stats: GenerationStats


class Stream:
    """The way of one sequence's output from the engine thread to the caller's event loop.

    Made in the caller's loop; `send`, `end` and `fail` are for the engine thread, `read` and `collect` for the caller.

    Args:
        text: Decodes its tokens.
    """

    def __init__(self, text: TextStream) -> None:
        self.text = text
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Delta | NpcEngineError] = asyncio.Queue()
        self._num_sent = 0

    def send(self, sequence: Sequence, text: str) -> None:
        """Pass text on, with the ids that led to it; ids without text wait for the next text."""
        if text:
            self._put_delta(sequence, text)

    def end(self, sequence: Sequence) -> None:
        """Pass the last delta of a FINISHED sequence on."""
        self._put_delta(sequence, self.text.flush())

    def fail(self, error: NpcEngineError) -> None:
        """Make the reader raise."""
        self._put(error)

    async def read(self) -> Delta:
        """The next delta; raises what `fail` was given."""
        item = await self._queue.get()
        if isinstance(item, NpcEngineError):
            raise item
        return item

    async def collect(self) -> Candidate:
        """All deltas to the end as one; raises what `fail` was given."""
        deltas = [await self.read()]
        while deltas[-1].finish_reason is None:
            deltas.append(await self.read())
        last = deltas[-1]
        assert last.finish_reason is not None
        return Candidate(
            text="".join(delta.text for delta in deltas),
            token_ids=tuple(token_id for delta in deltas for token_id in delta.token_ids),
            logprob=sum(logprob for delta in deltas for logprob in delta.logprobs),
            finish_reason=last.finish_reason,
            stats=last.stats,
        )

    def _put_delta(self, sequence: Sequence, text: str) -> None:
        start, self._num_sent = self._num_sent, len(sequence.output_ids)
        token_ids, logprobs = tuple(sequence.output_ids[start:]), tuple(sequence.logprobs[start:])
        self._put(Delta(text=text, token_ids=token_ids, logprobs=logprobs, stats=sequence.stats()))

    def _put(self, item: Delta | NpcEngineError) -> None:
        with contextlib.suppress(RuntimeError):  # the caller's loop is closed: nobody reads any more
            self._loop.call_soon_threadsafe(self._queue.put_nowait, item)
