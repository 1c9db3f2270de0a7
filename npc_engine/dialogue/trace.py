"""What a turn did and how long each part took: the plain data of `turn_end.trace`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from npc_engine.dialogue.grounding import Grounding, Premise
from npc_engine.inference.sequence import GenerationStats

STAGES = ("admit", "route", "ground", "act", "speak", "judge", "commit")


class Trace:
    """Collects one turn's trace. Times are seconds from the moment the line was admitted."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self.data: dict[str, Any] = {"stages": dict.fromkeys(STAGES, "not reached"), "latency": {}}

    def elapsed_s(self) -> float:
        """Seconds since the line was admitted."""
        return time.perf_counter() - self._started

    def stage(self, name: str, outcome: str) -> None:
        """Say in one sentence what a stage did."""
        self.data["stages"][name] = outcome

    def mark(self, name: str) -> None:
        """Note when something first happened, as `latency[name]`."""
        self.data["latency"].setdefault(name, round(self.elapsed_s(), 4))

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Note how long the block took, as `latency[name]`."""
        before = time.perf_counter()
        try:
            yield
        finally:
            self.data["latency"][name] = round(time.perf_counter() - before, 4)

    def grounding(self, grounding: Grounding) -> None:
        """Note what was found."""
        self.premises(grounding.premises)
        self.data["unknown_topic"] = grounding.unknown_topic.topic if grounding.unknown_topic else None
        self.data["num_candidates"] = grounding.num_candidates
        self.data["num_hidden"] = grounding.num_hidden

    def premises(self, premises: Sequence[Premise]) -> None:
        """Note what the reply is made from: until it is spoken, what was found."""
        self.data["premises"] = [
            {"id": p.id, "text": p.text, "source": p.source, "kind": p.kind, "score": round(p.score, 3)}
            for p in premises
        ]

    def generation(self, stats: GenerationStats) -> None:
        """Note the engine's figures of the spoken reply."""
        self.data["tokens"] = {
            "prompt": stats.prompt_tokens,
            "cached": stats.cached_tokens,
            "output": stats.output_tokens,
        }
        self.data["latency"] |= {
            "queue_time_s": round(stats.queue_time_s, 4),
            "prefill_time_s": round(stats.prefill_time_s, 4),
            "time_per_output_token_s": round(stats.time_per_output_token_s, 5),
        }
