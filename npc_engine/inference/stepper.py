"""The engine thread's work: one step after another over one decoder. Threads and callers are the engine's business."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from npc_engine.errors import DeadlineExceeded, InternalError, InvalidConstraint, NpcEngineError
from npc_engine.inference.decoder import Decoder, Logits
from npc_engine.inference.generation import Stream
from npc_engine.inference.onnx_session import RunTerminated, StopFlag
from npc_engine.inference.run_costs import RunCosts
from npc_engine.inference.sampler import log_probability, sample
from npc_engine.inference.scheduler import Prefill, Scheduler
from npc_engine.inference.sequence import FinishReason, Sequence
from npc_engine.metrics import Metrics

_log = logging.getLogger(__name__)

# A cancelled sequence leaves the run that it shares with others at once only if that run would go on for longer than
# this; the others' part of the run is computed again. Its slot is then free within 20 ms.
_PATIENCE_S = 0.012
_CANCEL_SAMPLES = 1024


class CurrentRun:
    """The run that goes on now, which another thread may stop.

    Args:
        lock: Guards it.
        clock: Monotonic seconds.
    """

    def __init__(self, lock: threading.Condition, clock: Callable[[], float]) -> None:
        self._lock = lock
        self._clock = clock
        self._sequences: tuple[Sequence, ...] = ()
        self._stop = StopFlag()
        self._ends_s = 0.0
        self._is_closed = False

    @contextlib.contextmanager
    def of(self, sequences: tuple[Sequence, ...], *, should_take_s: float) -> Iterator[StopFlag]:
        """Run for these sequences within; RunTerminated ends the block and is no error."""
        with self._lock:
            self._stop = StopFlag()
            self._sequences = sequences
            self._ends_s = self._clock() + should_take_s
            if self._is_closed or any(sequence.is_cancelled for sequence in sequences):
                self._stop.stop()
        try:
            yield self._stop
        except RunTerminated:
            pass
        finally:
            with self._lock:
                self._sequences = ()

    def stop_for(self, sequence: Sequence) -> None:
        """Stop the run if it is this sequence's alone, or shared and not nearly over. Call with the lock held."""
        is_mine = any(sequence is other for other in self._sequences)
        if is_mine and (len(self._sequences) == 1 or self._ends_s - self._clock() > _PATIENCE_S):
            self._stop.stop()

    def close(self) -> None:
        """Stop it whoever's it is, and every later one as it begins. Call with the lock held."""
        self._is_closed = True
        self._stop.stop()


class Stepper:
    """Runs what the scheduler chooses, samples, and passes the output on.

    Args:
        decoder: The model.
        scheduler: Who runs next.
        costs: Told what each run took.
        current: Told what runs now.
        metrics: Where to count.
        clock: Monotonic seconds.

    Attributes:
        streams: Of every sequence that has not ended.
        cancel_times_s: Of each of the last cancellations, the seconds until its slot was free or parked.
    """

    def __init__(
        self,
        decoder: Decoder,
        scheduler: Scheduler,
        *,
        costs: RunCosts,
        current: CurrentRun,
        metrics: Metrics,
        clock: Callable[[], float],
    ) -> None:
        self.streams: dict[Sequence, Stream] = {}
        self.cancel_times_s: deque[float] = deque(maxlen=_CANCEL_SAMPLES)
        self.num_forced_tokens = 0
        self._decoder = decoder
        self._scheduler = scheduler
        self._costs = costs
        self._current = current
        self._metrics = metrics
        self._clock = clock

    def step(self) -> None:
        """End what is due, admit, run one prompt chunk and one token for each who decodes."""
        self._end_due()
        self._scheduler.admit()
        prefill = self._scheduler.next_prefill()
        if prefill is not None:
            self._prefill(prefill)
            self._end_due()  # the chunk may have taken long
        for sequences in self._scheduler.next_decodes():
            self._decode(sequences)
        self._observe()

    def fail_all(self, error: NpcEngineError) -> None:
        """End every sequence with an error."""
        for sequence in list(self.streams):
            self._fail(sequence, error)

    def _end_due(self) -> None:
        self._scheduler.collect()
        for sequence in self._scheduler.due():
            if sequence.is_cancelled:
                self._finish(sequence, "cancelled")
            elif sequence.has_run:
                self._finish(sequence, "deadline")
            else:
                self._metrics.requests.add(label_value="deadline")
                retry_after_s = round(self._scheduler.retry_after_s, 2)
                self._fail(
                    sequence,
                    DeadlineExceeded(
                        "no slot became free before the request's deadline",
                        retry_after_s=retry_after_s,
                        hint=f"try again in {retry_after_s} s, or allow more time",
                    ),
                )

    def _prefill(self, prefill: Prefill) -> None:
        sequence, chunk = prefill.sequence, prefill.chunk
        if sequence.warm_key is not None and self._is_kept_already(sequence, sequence.warm_key):
            self._finish(sequence, "stop")
            return
        is_last = len(chunk) == sequence.num_pending_tokens and sequence.warm_key is None
        num_forced = 0
        if is_last and not sequence.output_ids and not self._followers(sequence):
            # What the reply must begin with needs no run of its own.
            forced = sequence.forced_ids[: self._decoder.max_chunk_tokens - len(chunk)]
            chunk, num_forced = chunk + forced, len(forced)
        with self._run((sequence,), should_take_s=self._costs.prefill_s(len(chunk))) as stop:
            start_s = self._clock()
            logits = self._decoder.prefill(
                sequence.held_slot.index,
                chunk,
                num_cached_tokens=len(sequence.held_slot.token_ids),
                adapter=sequence.adapter,
                stop=stop,
            )
            self._costs.saw_prefill(len(chunk), self._clock() - start_s)
            self._scheduler.extend(sequence, chunk)
            if is_last:
                self._take_forced(sequence, num_forced)
                self._take_tokens((sequence,), logits)
            elif sequence.num_pending_tokens == 0 and sequence.warm_key is not None:
                self._keep_prefix(sequence, sequence.warm_key)

    def _decode(self, sequences: tuple[Sequence, ...]) -> None:
        lengths = [len(sequence.held_slot.token_ids) for sequence in sequences]
        token_ids = [sequence.token_ids[length] for sequence, length in zip(sequences, lengths, strict=True)]
        with self._run(sequences, should_take_s=self._costs.decode_s(len(sequences))) as stop:
            start_s = self._clock()
            logits = self._decoder.decode(
                sequences[0].held_slot.index,
                token_ids,
                num_cached_tokens=lengths,
                adapters=[sequence.adapter for sequence in sequences],
                stop=stop,
            )
            self._costs.saw_decode(len(sequences), self._clock() - start_s)
            for sequence, token_id in zip(sequences, token_ids, strict=True):
                self._scheduler.extend(sequence, (token_id,))
            self._take_tokens(sequences, logits)

    @contextlib.contextmanager
    def _run(self, sequences: tuple[Sequence, ...], *, should_take_s: float) -> Iterator[StopFlag]:
        """A run for these sequences: stoppable, and if it fails, it is they who are told and nobody else."""
        try:
            with self._current.of(sequences, should_take_s=should_take_s) as stop:
                yield stop
        except Exception:  # the thread serves everyone; the slots of those in the run are not trusted
            _log.exception("a step of the inference engine failed")
            for sequence in sequences:
                if sequence in self.streams:
                    self._fail(sequence, InternalError("inference failed; the log has the details"))

    def _followers(self, leader: Sequence) -> tuple[Sequence, ...]:
        return tuple(sequence for sequence in self._scheduler.waiting if sequence.leader is leader and sequence.is_held)

    def _take_tokens(self, sequences: tuple[Sequence, ...], logits: Logits) -> None:
        """Give a token to each sequence whose last one was run; to followers with their leader, of the same logits."""
        takers = [
            (row, sequence)
            for row, sequence in enumerate(sequences)
            if sequence in self.streams and sequence.num_pending_tokens == 0
        ]
        for follower in self._followers(sequences[0]) if takers else ():
            follower.inherit(now_s=self._clock())
            takers.append((0, follower))
        samplers = [(row, sequence) for row, sequence in takers if not sequence.forced_ids]
        for (row, sequence), token_id in zip(samplers, _choose(samplers, logits), strict=True):
            self._take(sequence, token_id, logprob=_logprob(sequence, token_id, logits.full[row]))
        for _, sequence in takers:
            self._take_forced(sequence)

    def _take_forced(self, sequence: Sequence, num_tokens: int | None = None) -> None:
        """Give a sequence the tokens that its grammar forces, all or some; ones left pending are run later."""
        taken = 0
        while sequence in self.streams and sequence.forced_ids and taken != num_tokens:
            self._take(
                sequence, sequence.forced_ids[0], logprob=0.0 if sequence.wants_logprobs else None, is_forced=True
            )
            taken += 1
        self.num_forced_tokens += taken

    def _take(self, sequence: Sequence, token_id: int, *, logprob: float | None, is_forced: bool = False) -> None:
        """Append a token, pass its text on, and end the sequence if it is done."""
        try:
            sequence.append(token_id, now_s=self._clock(), logprob=logprob, is_forced=is_forced)
        except InvalidConstraint as error:  # this grammar outgrew its limits; the other rows are sound
            self._fail(sequence, error)
            return
        stream = self.streams[sequence]
        is_end = sequence.script is None and (
            token_id in self._decoder.spec.eos_token_ids or token_id in sequence.params.stop_ids
        )
        stream.send(sequence, "" if is_end else stream.text.push(token_id))
        is_complete = sequence.constraint is not None and sequence.constraint.is_finished
        if is_end or is_complete or stream.text.is_stopped:
            self._finish(sequence, "stop")
        elif len(sequence.output_ids) == sequence.params.max_new_tokens:
            self._finish(sequence, "length")

    def _is_kept_already(self, sequence: Sequence, key: str) -> bool:
        """Whether a prefix that has not begun to run is in the store, or could be read from a file."""
        has_begun = len(sequence.held_slot.token_ids) > sequence.num_cached_tokens
        return not has_begun and self._scheduler.placement.warm(sequence.prompt_ids, key, adapter=sequence.adapter)

    def _keep_prefix(self, sequence: Sequence, key: str) -> None:
        if not self._scheduler.placement.keep_prefix(sequence.held_slot, sequence.num_prompt_tokens, key):
            _log.warning(
                "the prefix %r (%d tokens) does not fit prefix_store_bytes beside the others; its prompts start cold",
                key,
                sequence.num_prompt_tokens,
            )
        self._finish(sequence, "stop")

    def _finish(self, sequence: Sequence, reason: FinishReason) -> None:
        held_slot = sequence.slot is not None
        self._scheduler.finish(sequence, reason)
        if reason == "cancelled" and held_slot and sequence.cancelled_s is not None:
            self.cancel_times_s.append(self._clock() - sequence.cancelled_s)
        stream = self.streams.pop(sequence)
        stats = sequence.stats()
        self._metrics.requests.add(label_value=reason)
        self._metrics.prompt_tokens.add(stats.prompt_tokens)
        self._metrics.cached_tokens.add(stats.cached_tokens)
        self._metrics.output_tokens.add(stats.output_tokens)
        self._metrics.queue_time.observe(stats.queue_time_s)
        if stats.output_tokens > 0:
            self._metrics.time_to_first_token.observe(stats.time_to_first_token_s)
        if stats.output_tokens > 1:
            self._metrics.time_per_output_token.observe(stats.time_per_output_token_s)
        stream.end(sequence)

    def _fail(self, sequence: Sequence, error: NpcEngineError) -> None:
        self._scheduler.abort(sequence)
        self.streams.pop(sequence).fail(error)

    def _observe(self) -> None:
        self._metrics.running.set(len(self._scheduler.running))
        self._metrics.waiting.set(self._scheduler.num_waiting)
        self._metrics.prefix_bytes.set(self._scheduler.placement.store.nbytes)


def _choose(takers: list[tuple[int, Sequence]], logits: Logits) -> list[int]:
    """A token for each (row of the logits, sequence): sampled, or as its script says."""
    if not takers:
        return []
    rows = [row for row, _ in takers]
    is_whole = rows == list(range(len(logits.full)))  # the usual case, spared a copy of the logits
    at: list[int] | slice = slice(None) if is_whole else rows
    chosen = sample(
        [sequence.sampler_row() for _, sequence in takers],
        full=logits.full[at],
        top_values=logits.top_values[at],
        top_ids=logits.top_ids[at],
    )
    scripts = [sequence.script for _, sequence in takers]
    return [
        token_id if script is None else script[len(sequence.output_ids)]
        for token_id, script, (_, sequence) in zip(chosen, scripts, takers, strict=True)
    ]


def _logprob(sequence: Sequence, token_id: int, logits: NDArray[np.float32]) -> float | None:
    if not sequence.wants_logprobs:
        return None
    return log_probability(token_id, logits, sequence.constraint.allowed if sequence.constraint else None)
