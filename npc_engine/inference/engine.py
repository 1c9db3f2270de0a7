"""Many requests over one decoder: one engine thread runs it, asyncio callers read their own stream of deltas."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass

from tokenizers import Tokenizer

from npc_engine.config import EngineConfig
from npc_engine.errors import InternalError, InvalidConstraint, NpcEngineError, Overloaded, RequestError
from npc_engine.inference.decoder import Decoder, Logits
from npc_engine.inference.kv_cache import SlotState
from npc_engine.inference.onnx_session import RunTerminated, StopFlag
from npc_engine.inference.prefix_store import PrefixStore
from npc_engine.inference.sampler import SamplingParams, sample
from npc_engine.inference.scheduler import Batch, Scheduler
from npc_engine.inference.sequence import FinishReason, GenerationStats, Sequence
from npc_engine.inference.text_stream import TextStream
from npc_engine.metrics import Metrics

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Delta:
    """A piece of a reply.

    Attributes:
        text: Text that became safe to show; the pieces joined are the reply without its stop text.
        token_ids: Every id generated since the last delta, the end token included.
        stats: What the request took so far; with its finish_reason on the last delta.
    """

    text: str
    token_ids: tuple[int, ...]
    stats: GenerationStats

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why the reply ended; None but on the last delta."""
        return self.stats.finish_reason


class _Stream:
    """The way of one sequence's output from the engine thread to the caller's event loop."""

    def __init__(self, text: TextStream) -> None:
        self.text = text
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Delta | NpcEngineError] = asyncio.Queue()
        self._token_ids: list[int] = []

    def send(self, sequence: Sequence, token_id: int, text: str) -> None:
        """Pass a token's text on; ids without text wait for the next text."""
        self._token_ids.append(token_id)
        if text:
            self._put(Delta(text=text, token_ids=self._take_ids(), stats=sequence.stats()))

    def end(self, stats: GenerationStats, text: str) -> None:
        """Pass the last delta on."""
        self._put(Delta(text=text, token_ids=self._take_ids(), stats=stats))

    def fail(self, error: NpcEngineError) -> None:
        """Make the reader raise."""
        self._put(error)

    async def read(self) -> Delta:
        """The next delta."""
        item = await self._queue.get()
        if isinstance(item, NpcEngineError):
            raise item
        return item

    def _put(self, item: Delta | NpcEngineError) -> None:
        with contextlib.suppress(RuntimeError):  # the caller's loop is closed: nobody reads any more
            self._loop.call_soon_threadsafe(self._queue.put_nowait, item)

    def _take_ids(self) -> tuple[int, ...]:
        token_ids, self._token_ids = tuple(self._token_ids), []
        return token_ids


class InferenceEngine:
    """Generates for many callers at once.

    Args:
        decoder: The model; the engine thread owns it from `start` on.
        tokenizer: Its tokenizer, for text deltas.
        config: `max_waiting`, `prefill_chunk_tokens` and `prefix_store_bytes` are read.
        metrics: Where to count; its own when None.
    """

    def __init__(
        self, decoder: Decoder, tokenizer: Tokenizer, *, config: EngineConfig, metrics: Metrics | None = None
    ) -> None:
        self.decoder = decoder
        self.tokenizer = tokenizer
        self.metrics = metrics if metrics is not None else Metrics()
        self._clock = time.perf_counter
        self._scheduler = Scheduler(
            decoder.kv,
            PrefixStore(config.prefix_store_bytes),
            max_waiting=config.max_waiting,
            prefill_chunk_tokens=config.prefill_chunk_tokens,
            clock=self._clock,
        )
        self._streams: dict[Sequence, _Stream] = {}
        self._thread = threading.Thread(target=self._run, name="inference-engine", daemon=True)
        # Guards what callers and the engine thread share: the queue's length check, the fields below.
        self._wake = threading.Condition()
        self._calls: deque[Callable[[], None]] = deque()
        self._stoppable: tuple[Sequence, StopFlag] | None = None
        self._is_closed = False
        self.metrics.kv_bytes.set(decoder.kv.memory.nbytes)

    def start(self) -> None:
        """Start the engine thread; once."""
        self._thread.start()

    def close(self) -> None:
        """Stop within one decode step, fail what is pending with RequestError, join the thread. Idempotent."""
        with self._wake:
            self._is_closed = True
            if self._stoppable is not None:
                self._stoppable[1].stop()
            self._wake.notify()
        if self._thread.ident is not None:
            self._thread.join()
        for sequence in list(self._streams):
            self._fail(sequence, RequestError("the engine was closed"))

    async def generate(
        self, prompt_ids: SequenceOf[int], params: SamplingParams, *, conversation_id: str | None = None
    ) -> AsyncGenerator[Delta, None]:
        """Continue a prompt.

        Closing the iterator or cancelling the task that reads it cancels the request: its prefill or lone decode step
        stops within milliseconds, a decode step shared with others is finished first. What the conversation has cached
        stays valid.

        Args:
            prompt_ids: The whole prompt; what is cached of it is not computed again.
            params: How to sample, and when to stop.
            conversation_id: Keeps the slot for this conversation's next turn. None keeps nothing.

        Yields:
            Deltas with text; the last one, perhaps without, carries the finish_reason.

        Raises:
            ContextTooLong: Prompt and `max_new_tokens` do not fit a slot.
            Overloaded: The queue is full.
            InvalidConstraint: The grammar outgrew its limits during the reply.
            RequestError: The prompt is empty, has an id outside the vocabulary, or the engine was closed.
            InternalError: The run failed; other requests go on.
        """
        sequence, stream = self._submit(prompt_ids, params, conversation_id=conversation_id)
        try:
            finish_reason = None
            while finish_reason is None:
                delta = await stream.read()
                finish_reason = delta.finish_reason
                yield delta
        finally:
            self._cancel(sequence)

    async def warm_prefix(self, ids: SequenceOf[int], *, key: str) -> None:
        """Compute a prefix once and keep its snapshot until `drop_prefix`; prompts that begin with it start from there.

        A prefix that does not fit `prefix_store_bytes` beside the other kept ones is logged and not kept.

        Raises:
            ContextTooLong: The prefix does not fit a slot.
            Overloaded: The queue is full.
            RequestError: The prefix is empty, has an id outside the vocabulary, or the engine was closed.
        """
        sequence, stream = self._submit(ids, SamplingParams(), warm_key=key)
        try:
            await stream.read()
        finally:
            self._cancel(sequence)

    def drop_prefix(self, key: str) -> None:
        """Forget a prefix, from any thread; takes effect before the next step."""
        self._call(lambda: self._scheduler.drop_prefix(key))

    def release(self, conversation_id: str) -> None:
        """Forget a conversation's cached tokens, from any thread; takes effect before the next step."""
        self._call(lambda: self._scheduler.release(conversation_id))

    def stats(self) -> dict[str, int | float]:
        """Counts of this moment, from any thread."""
        kv, store = self._scheduler.kv, self._scheduler.store
        return {
            "running": len(self._scheduler.running),
            "waiting": len(self._scheduler.waiting),
            "slots": kv.num_slots,
            "slots_active": sum(slot.state is SlotState.ACTIVE for slot in kv.slots),
            "slots_parked": sum(slot.state is SlotState.PARKED for slot in kv.slots),
            "kv_bytes": kv.memory.nbytes,
            "prefix_bytes": int(self.metrics.prefix_bytes.value),
            "prefix_entries": len(store),
            "prompt_tokens": int(self.metrics.prompt_tokens.total),
            "cached_tokens": int(self.metrics.cached_tokens.total),
            "output_tokens": int(self.metrics.output_tokens.total),
        }

    # --- callers' side ---------------------------------------------------------------------------

    def _submit(
        self,
        prompt_ids: SequenceOf[int],
        params: SamplingParams,
        *,
        conversation_id: str | None = None,
        warm_key: str | None = None,
    ) -> tuple[Sequence, _Stream]:
        vocab_size = self.decoder.spec.vocab_size
        if any(not 0 <= token_id < vocab_size for token_id in prompt_ids):
            raise RequestError(f"the prompt has token ids outside 0 to {vocab_size - 1}")
        sequence = Sequence(
            tuple(prompt_ids),
            params,
            vocab_size=vocab_size,
            arrived_s=self._clock(),
            conversation_id=conversation_id,
            warm_key=warm_key,
        )
        stream = _Stream(TextStream(self.tokenizer, params.stop))
        with self._wake:
            if self._is_closed:
                raise RequestError("the engine was closed")
            try:
                self._streams[sequence] = stream
                self._scheduler.submit(sequence)
            except RequestError as error:
                del self._streams[sequence]
                if isinstance(error, Overloaded):
                    self.metrics.rejected.add()
                raise
            self._wake.notify()
        return sequence, stream

    def _cancel(self, sequence: Sequence) -> None:
        with self._wake:
            sequence.is_cancelled = True
            if self._stoppable is not None and self._stoppable[0] is sequence:
                self._stoppable[1].stop()
            self._wake.notify()

    def _call(self, call: Callable[[], None]) -> None:
        with self._wake:
            self._calls.append(call)
            self._wake.notify()

    # --- the engine thread -----------------------------------------------------------------------

    def _run(self) -> None:
        while self._wait_for_work():
            try:
                self.step()
            except Exception:  # the thread serves everyone; whoever was in the failed step is told
                _log.exception("a step of the inference engine failed")
                for sequence in list(self._streams):
                    self._fail(sequence, InternalError("inference failed; the log has the details"))

    def _wait_for_work(self) -> bool:
        with self._wake:
            self._wake.wait_for(lambda: self._is_closed or self._calls or self._scheduler.has_work)
            return not self._is_closed

    def step(self) -> None:
        """Carry out calls and cancellations, schedule, run, postprocess."""
        while self._calls:
            self._calls.popleft()()
        for sequence in self._scheduler.cancelled():
            self._finish(sequence, "cancelled")
        batch = self._scheduler.schedule()
        self._prefill(batch)
        for sequences in batch.decode:
            self._decode(sequences)
        self._observe()

    def _prefill(self, batch: Batch) -> None:
        sequence = batch.prefill
        if sequence is None:
            return
        with self._stoppable_run(sequence) as stop:
            logits = self.decoder.prefill(
                sequence.held_slot.index, batch.chunk, num_cached_tokens=len(sequence.held_slot.token_ids), stop=stop
            )
            self._scheduler.extend(sequence, batch.chunk)
            if sequence.num_remaining_prompt_tokens > 0:
                return
            if sequence.warm_key is not None:
                self._keep_prefix(sequence, sequence.warm_key)
            else:
                self._take_tokens((sequence,), logits)

    def _decode(self, sequences: tuple[Sequence, ...]) -> None:
        last_ids = [sequence.output_ids[-1] for sequence in sequences]
        with self._stoppable_run(sequences[0]) if len(sequences) == 1 else contextlib.nullcontext() as stop:
            logits = self.decoder.decode(
                sequences[0].held_slot.index,
                last_ids,
                num_cached_tokens=[len(sequence.held_slot.token_ids) for sequence in sequences],
                stop=stop,
            )
            for sequence, token_id in zip(sequences, last_ids, strict=True):
                self._scheduler.extend(sequence, (token_id,))
            self._take_tokens(sequences, logits)

    @contextlib.contextmanager
    def _stoppable_run(self, sequence: Sequence) -> Iterator[StopFlag]:
        """A run for one sequence, which its cancellation or `close` ends at once; the next step finishes it."""
        stop = StopFlag()
        with self._wake:
            self._stoppable = (sequence, stop)
            if sequence.is_cancelled or self._is_closed:
                stop.stop()
        try:
            yield stop
        except RunTerminated:
            pass
        finally:
            with self._wake:
                self._stoppable = None

    def _take_tokens(self, sequences: tuple[Sequence, ...], logits: Logits) -> None:
        """Sample the next token of each sequence, pass its text on, and end those that are done."""
        rows = [sequence.sampler_row() for sequence in sequences]
        chosen = sample(rows, full=logits.full, top_values=logits.top_values, top_ids=logits.top_ids)
        now_s = self._clock()
        for sequence, token_id in zip(sequences, chosen, strict=True):
            try:
                sequence.append(token_id, now_s=now_s)
            except InvalidConstraint as error:  # this grammar outgrew its limits; the other rows are sound
                self._fail(sequence, error)
                continue
            stream = self._streams[sequence]
            is_end = token_id in self.decoder.spec.eos_token_ids or token_id in sequence.params.stop_ids
            stream.send(sequence, token_id, "" if is_end else stream.text.push(token_id))
            is_complete = sequence.constraint is not None and sequence.constraint.is_finished
            if is_end or is_complete or stream.text.is_stopped:
                self._finish(sequence, "stop")
            elif len(sequence.output_ids) == sequence.params.max_new_tokens:
                self._finish(sequence, "length")

    def _keep_prefix(self, sequence: Sequence, key: str) -> None:
        if not self._scheduler.keep_prefix(sequence, key):
            _log.warning(
                "the prefix %r (%d tokens) does not fit prefix_store_bytes beside the others; its prompts start cold",
                key,
                sequence.num_prompt_tokens,
            )
        self._finish(sequence, "stop")

    def _finish(self, sequence: Sequence, reason: FinishReason) -> None:
        self._scheduler.finish(sequence, reason)
        stream = self._streams.pop(sequence)
        stats = sequence.stats()
        self.metrics.requests.add(label_value=reason)
        self.metrics.prompt_tokens.add(stats.prompt_tokens)
        self.metrics.cached_tokens.add(stats.cached_tokens)
        self.metrics.output_tokens.add(stats.output_tokens)
        self.metrics.queue_time.observe(stats.queue_time_s)
        if stats.output_tokens > 0:
            self.metrics.time_to_first_token.observe(stats.time_to_first_token_s)
        if stats.output_tokens > 1:
            self.metrics.time_per_output_token.observe(stats.time_per_output_token_s)
        stream.end(stats, stream.text.flush())

    def _fail(self, sequence: Sequence, error: NpcEngineError) -> None:
        self._scheduler.abort(sequence)
        self._streams.pop(sequence).fail(error)

    def _observe(self) -> None:
        self.metrics.running.set(len(self._scheduler.running))
        self.metrics.waiting.set(len(self._scheduler.waiting))
        self.metrics.prefix_bytes.set(self._scheduler.store.nbytes)
