"""Many requests over one decoder: one engine thread runs it, asyncio callers read their own stream of deltas."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from collections.abc import Sequence as SequenceOf

from tokenizers import Tokenizer

from npc_engine.config import EngineConfig
from npc_engine.errors import DeadlineExceeded, InternalError, Overloaded, RequestError
from npc_engine.inference.decoder import Decoder
from npc_engine.inference.generation import Candidate, Delta, Stream
from npc_engine.inference.kv_cache import SlotState
from npc_engine.inference.placement import Placement
from npc_engine.inference.prefix_store import PrefixStore
from npc_engine.inference.run_costs import RunCosts
from npc_engine.inference.sampler import SamplingParams
from npc_engine.inference.scheduler import Scheduler
from npc_engine.inference.sequence import Priority, Sequence
from npc_engine.inference.snapshot_codec import CODECS
from npc_engine.inference.snapshot_files import open_snapshot_files
from npc_engine.inference.stepper import CurrentRun, Stepper
from npc_engine.inference.text_stream import TextStream
from npc_engine.metrics import Metrics

_log = logging.getLogger(__name__)
_serial = itertools.count()


class InferenceEngine:
    """Generates for many callers at once.

    Args:
        decoder: The model; the engine thread owns it from `start` on.
        tokenizer: Its tokenizer, for text deltas.
        config: `max_waiting`, `prefill_chunk_tokens` and `prefix_store_bytes` are read.
        metrics: Where to count; its own when None.
        clock: Monotonic seconds; deadlines, ageing and every time in the stats are by it.
    """

    def __init__(
        self,
        decoder: Decoder,
        tokenizer: Tokenizer,
        *,
        config: EngineConfig,
        metrics: Metrics | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.decoder = decoder
        self.tokenizer = tokenizer
        self.metrics = metrics if metrics is not None else Metrics()
        self._clock = clock
        # Guards what callers and the engine thread share: the queue's length check, the current run, the fields below.
        self._wake = threading.Condition()
        self._calls: deque[Callable[[], None]] = deque()
        self._is_closed = False
        costs = RunCosts()
        self._placement = Placement(
            decoder.kv,
            PrefixStore(config.prefix_store_bytes, CODECS[config.kv_snapshot_dtype]),
            files=open_snapshot_files(config, fingerprint=decoder.fingerprint),
            costs=costs,
            clock=clock,
        )
        self._scheduler = Scheduler(
            self._placement,
            costs,
            max_waiting=config.max_waiting,
            prefill_chunk_tokens=config.prefill_chunk_tokens,
            clock=clock,
        )
        self._current = CurrentRun(self._wake, clock)
        self._stepper = Stepper(
            decoder, self._scheduler, costs=costs, current=self._current, metrics=self.metrics, clock=clock
        )
        self._thread = threading.Thread(target=self._run, name="inference-engine", daemon=True)
        self.metrics.kv_bytes.set(decoder.kv.memory.nbytes)

    def start(self) -> None:
        """Start the engine thread; once."""
        self._thread.start()

    def close(self) -> None:
        """Stop within milliseconds, fail what is pending with RequestError, join the thread. Idempotent."""
        with self._wake:
            self._is_closed = True
            self._current.close()
            self._wake.notify()
        if self._thread.ident is not None:
            self._thread.join()
        self._stepper.fail_all(RequestError("the engine was closed"))
        self._placement.close()

    async def generate(
        self,
        prompt_ids: SequenceOf[int],
        params: SamplingParams,
        *,
        conversation_id: str | None = None,
        adapter: str | None = None,
        priority: Priority = Priority.PLAYER,
        deadline_s: float | None = None,
    ) -> AsyncGenerator[Delta, None]:
        """Continue a prompt.

        Closing the iterator or cancelling the task that reads it cancels the request: its prefill or lone decode step
        stops within milliseconds, a decode step shared with others is finished first if that takes no longer than
        12 ms. What the conversation has cached stays valid. To take back what was generated, generate from a shorter
        prompt: only its last token is run again.

        Args:
            prompt_ids: The whole prompt; what is cached of it is not computed again.
            params: How to sample, and when to stop.
            conversation_id: Keeps the slot for this conversation's next turn. None keeps nothing.
            adapter: The LoRA adapter to speak with, by its name in the model; None is the plain model. What another
                one has cached is never used: a conversation that changes its adapter starts cold.
            priority: Its rank; a player's request takes the slot of a lower one that is behind it, which then waits
                and goes on where it was.
            deadline_s: Seconds from now. Passed while running, the reply ends with finish reason `deadline` and what
                was generated is kept. None never.

        Yields:
            Deltas with text; the last one, perhaps without, carries the finish_reason.

        Raises:
            ContextTooLong: Prompt and `max_new_tokens` do not fit a slot.
            Overloaded: The queue is full, or its turn should not come before the deadline.
            DeadlineExceeded: The deadline passed in the queue.
            InvalidConstraint: The grammar cannot be satisfied, or outgrew its limits during the reply.
            RequestError: The prompt is empty, has an id outside the vocabulary, or the engine was closed.
            UnknownAdapter: The model has no such adapter.
            InternalError: The run failed; other requests go on.
        """
        sequence = self._sequence(
            prompt_ids,
            params,
            conversation_id=conversation_id,
            adapter=adapter,
            priority=priority,
            deadline_s=deadline_s,
        )
        (stream,) = self._submit(sequence)
        try:
            finish_reason = None
            while finish_reason is None:
                delta = await stream.read()
                finish_reason = delta.finish_reason
                yield delta
        finally:
            self._cancel(sequence)

    async def candidates(
        self,
        prompt_ids: SequenceOf[int],
        params: SequenceOf[SamplingParams],
        *,
        conversation_id: str | None = None,
        adapter: str | None = None,
        priority: Priority = Priority.PLAYER,
        deadline_s: float | None = None,
    ) -> list[Candidate]:
        """Continue a prompt in several ways at once; the prompt is computed once.

        Each candidate is what `generate` gives for its parameters alone. With fewer slots than candidates, those left
        over wait in the queue by their rank. Cancelling the caller's task cancels all of them. To go on from one,
        generate from `prompt_ids + candidate.token_ids`: where slots sufficed, only its last token is run again.

        Args:
            prompt_ids: The whole prompt.
            params: One for each candidate, at least one.
            conversation_id: Keeps the candidates' slots for this conversation's next request, which frees the others.
            adapter: The adapter of them all.
            priority: Their rank.
            deadline_s: Seconds from now; candidates that are not done by then end with finish reason `deadline`.

        Returns:
            A candidate for each of the parameters, in their order.

        Raises:
            RequestError: There are no parameters, and all that `generate` raises. The other candidates are cancelled.
        """
        if not params:
            raise RequestError("candidates: at least one set of parameters is needed")
        sequences: list[Sequence] = []
        for each in params:
            sequences.append(
                self._sequence(
                    prompt_ids,
                    dataclasses.replace(each, logprobs=True),
                    conversation_id=conversation_id,
                    adapter=adapter,
                    priority=priority,
                    deadline_s=deadline_s,
                    leader=sequences[0] if sequences else None,
                )
            )
        return await self._collect(sequences)

    async def score(
        self,
        prompt_ids: SequenceOf[int],
        continuations: SequenceOf[SequenceOf[int]],
        *,
        conversation_id: str | None = None,
        adapter: str | None = None,
        priority: Priority = Priority.PLAYER,
        deadline_s: float | None = None,
    ) -> list[float]:
        """How likely the model finds each continuation of a prompt.

        The prompt, and the beginning that all continuations share, are computed once; what differs is run token by
        token, side by side.

        Args:
            prompt_ids: The whole prompt.
            continuations: Token ids, at least one each.
            conversation_id: Whose cached tokens to start from and to keep the prompt's in.
            adapter: The adapter whose opinion is asked.
            priority: The rank of each.
            deadline_s: Seconds from now.

        Returns:
            The natural log of each continuation's probability under the model's own distribution: temperature 1, over
            the whole vocabulary, nothing penalised, truncated or constrained.

        Raises:
            RequestError: There are no continuations, or one is empty; and all that `generate` raises.
            DeadlineExceeded: The deadline passed before all were scored.
        """
        scripts = [tuple(continuation) for continuation in continuations]
        if not scripts or not all(scripts):
            raise RequestError("score: at least one continuation is needed, and at least one token in each")
        self._check_ids([token_id for script in scripts for token_id in script])
        key = f"score:{next(_serial)}" if conversation_id is None else conversation_id
        ends_s = None if deadline_s is None else self._clock() + deadline_s
        shared = _num_shared(scripts)
        total = 0.0
        try:
            if shared:
                begun = self._scripted(prompt_ids, [scripts[0][:shared]], key, adapter, priority, ends_s)
                total = (await self._scored(begun))[0]
            rests = [script[shared:] for script in scripts]
            following = self._scripted((*prompt_ids, *scripts[0][:shared]), rests, key, adapter, priority, ends_s)
            return [total + rest for rest in await self._scored(following)]
        finally:
            if conversation_id is None:
                self.release(key)

    async def warm_prefix(self, ids: SequenceOf[int], *, key: str, adapter: str | None = None) -> None:
        """Compute a prefix once and keep its snapshot until `drop_prefix`; prompts that begin with it start from there.

        Under another adapter they do not: its keys and values are others.

        A prefix that does not fit `prefix_store_bytes` beside the other kept ones is logged and not kept.

        Raises:
            ContextTooLong: The prefix does not fit a slot.
            Overloaded: The queue is full.
            RequestError: The prefix is empty, has an id outside the vocabulary, or the engine was closed.
            UnknownAdapter: The model has no such adapter.
        """
        sequence = self._sequence(ids, SamplingParams(), warm_key=key, adapter=adapter, priority=Priority.WARM)
        (stream,) = self._submit(sequence)
        try:
            await stream.read()
        finally:
            self._cancel(sequence)

    async def read(self, ids: SequenceOf[int], *, conversation_id: str, adapter: str | None = None) -> None:
        """Compute what a conversation's next prompt begins with, and keep it for that, if the engine has nothing to do.

        Does nothing while another request runs or waits: a busy engine has no time to spare. Cancelling the caller's
        task stops it within milliseconds; what was computed by then is kept.

        Raises:
            ContextTooLong: It does not fit a slot.
            Overloaded: The queue is full.
            RequestError: There are no ids, or one is outside the vocabulary, or the engine was closed.
            UnknownAdapter: The model has no such adapter.
        """
        if self._scheduler.running or self._scheduler.num_waiting:
            return
        params = SamplingParams(temperature=0, max_new_tokens=1)
        sequence = self._sequence(ids, params, conversation_id=conversation_id, adapter=adapter, priority=Priority.WARM)
        await self._collect([sequence])

    def drop_prefix(self, key: str) -> None:
        """Forget a prefix, from any thread; takes effect before the next step."""
        self._call(lambda: self._placement.drop_prefix(key))

    def release(self, conversation_id: str) -> None:
        """Forget a conversation's cached tokens, from any thread; takes effect before the next step."""
        self._call(lambda: self._scheduler.release(conversation_id))

    def stats(self) -> dict[str, int | float]:
        """Counts of this moment, from any thread."""
        kv, store = self._placement.kv, self._placement.store
        return {
            "running": len(self._scheduler.running),
            "waiting": self._scheduler.num_waiting,
            "slots": kv.num_slots,
            "slots_active": sum(slot.state is SlotState.ACTIVE for slot in kv.slots),
            "slots_parked": sum(slot.state is SlotState.PARKED for slot in kv.slots),
            "kv_moves": self._placement.num_moves,
            "kv_bytes": kv.memory.nbytes,
            "prefix_bytes": store.nbytes,
            "prefix_entries": len(store),
            **self._placement.file_stats(),
            "prompt_tokens": int(self.metrics.prompt_tokens.total),
            "cached_tokens": int(self.metrics.cached_tokens.total),
            "output_tokens": int(self.metrics.output_tokens.total),
            "forced_tokens": self._stepper.num_forced_tokens,
            "preemptions": self._scheduler.num_preemptions,
        }

    def cancel_times_s(self) -> tuple[float, ...]:
        """Seconds from each of the last 1024 cancellations to its slot being free or parked, from any thread.

        Counted from the moment that the caller's task closed its stream, for requests that held a slot then.
        """
        return tuple(self._stepper.cancel_times_s)

    # --- callers' side ---------------------------------------------------------------------------

    def _sequence(
        self,
        prompt_ids: SequenceOf[int],
        params: SamplingParams,
        *,
        conversation_id: str | None = None,
        warm_key: str | None = None,
        adapter: str | None = None,
        priority: Priority = Priority.PLAYER,
        deadline_s: float | None = None,
        leader: Sequence | None = None,
        script: tuple[int, ...] | None = None,
    ) -> Sequence:
        self._check_ids(prompt_ids)
        return Sequence(
            tuple(prompt_ids),
            params,
            vocab_size=self.decoder.spec.vocab_size,
            arrived_s=self._clock(),
            conversation_id=conversation_id,
            warm_key=warm_key,
            priority=priority,
            deadline_s=deadline_s,
            leader=leader,
            script=script,
            adapter=self.decoder.adapter_number(adapter),
        )

    def _check_ids(self, token_ids: SequenceOf[int]) -> None:
        vocab_size = self.decoder.spec.vocab_size
        if any(not 0 <= token_id < vocab_size for token_id in token_ids):
            raise RequestError(f"the prompt has token ids outside 0 to {vocab_size - 1}")

    def _scripted(
        self,
        prompt_ids: SequenceOf[int],
        scripts: SequenceOf[tuple[int, ...]],
        key: str,
        adapter: str | None,
        priority: Priority,
        ends_s: float | None,
    ) -> list[Sequence]:
        """Sequences that take these tokens; the first keeps the prompt for what comes next under the key."""
        sequences: list[Sequence] = []
        for script in scripts:
            sequences.append(
                self._sequence(
                    prompt_ids,
                    SamplingParams(max_new_tokens=len(script)),
                    conversation_id=None if sequences else key,
                    adapter=adapter,
                    priority=priority,
                    deadline_s=None if ends_s is None else ends_s - self._clock(),
                    leader=sequences[0] if sequences else None,
                    script=script,
                )
            )
        return sequences

    async def _scored(self, sequences: list[Sequence]) -> list[float]:
        scored = await self._collect(sequences)
        if any(candidate.finish_reason == "deadline" for candidate in scored):
            raise DeadlineExceeded(
                "the deadline passed before every continuation was scored",
                retry_after_s=round(self._scheduler.retry_after_s, 2),
                hint="allow more time, or score fewer",
            )
        return [candidate.logprob for candidate in scored]

    async def _collect(self, sequences: list[Sequence]) -> list[Candidate]:
        streams = self._submit(*sequences)
        try:
            return [await stream.collect() for stream in streams]
        finally:
            for sequence in sequences:
                self._cancel(sequence)

    def _submit(self, *sequences: Sequence) -> list[Stream]:
        streams = [Stream(TextStream(self.tokenizer, sequence.params.stop)) for sequence in sequences]
        with self._wake:
            if self._is_closed:
                raise RequestError("the engine was closed")
            self._stepper.streams.update(zip(sequences, streams, strict=True))
            try:
                self._scheduler.submit(*sequences)
            except RequestError as error:
                for sequence in sequences:
                    del self._stepper.streams[sequence]
                if isinstance(error, Overloaded):
                    self.metrics.rejected.add()
                raise
            self._wake.notify()
        return streams

    def _cancel(self, sequence: Sequence) -> None:
        with self._wake:
            sequence.cancel(now_s=self._clock())
            self._current.stop_for(sequence)
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
            except Exception:  # outside of any run: nobody's state is known to be sound
                _log.exception("a step of the inference engine failed")
                self._stepper.fail_all(InternalError("inference failed; the log has the details"))

    def _wait_for_work(self) -> bool:
        with self._wake:
            self._wake.wait_for(lambda: self._is_closed or self._calls or self._scheduler.has_work)
            return not self._is_closed

    def step(self) -> None:
        """Carry out calls, then one step: end what is due, admit, prefill, decode."""
        while self._calls:
            self._calls.popleft()()
        self._stepper.step()


def _num_shared(scripts: SequenceOf[tuple[int, ...]]) -> int:
    """How many leading tokens several scripts share; at least one token of each is left."""
    shortest = min(map(len, scripts))
    differ = (n for n in range(shortest - 1) if len({script[n] for script in scripts}) > 1)
    return next(differ, shortest - 1) if len(scripts) > 1 else 0
