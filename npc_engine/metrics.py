"""Every metric with its unit, and their text in the Prometheus exposition format. Thread-safe; no dependency."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

# Upper bounds in seconds: from one decode step of a small model to a cold prompt on a slow processor.
LATENCY_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Counter:
    """A number that only grows, by the value of one label where it has one."""

    kind = "counter"

    def __init__(self, name: str, text: str, *, label: str = "") -> None:
        self.name = name
        self.text = text
        self._label = label
        self._values: dict[str, float] = {} if label else {"": 0.0}
        self._lock = threading.Lock()

    def add(self, amount: float = 1.0, *, label_value: str = "") -> None:
        """Add an amount that is not negative."""
        if amount < 0 or bool(self._label) != bool(label_value):
            raise ValueError(f"{self.name}: amount {amount}, label {label_value!r}")
        with self._lock:
            self._values[label_value] = self._values.get(label_value, 0.0) + amount

    @property
    def total(self) -> float:
        """Sum over all labels."""
        with self._lock:
            return sum(self._values.values())

    def lines(self) -> Iterator[str]:
        """The samples, one a line."""
        with self._lock:
            values = sorted(self._values.items())
        for label_value, value in values:
            yield f"{self.name}{_labels(self._label, label_value)} {value:g}"


class Gauge:
    """A number that is what it is now."""

    kind = "gauge"

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.value = 0.0

    def set(self, value: float) -> None:
        """Replace the value."""
        self.value = value

    def lines(self) -> Iterator[str]:
        """The one sample."""
        yield f"{self.name} {self.value:g}"


class Histogram:
    """How often values fell under each bound, their count and their sum."""

    kind = "histogram"

    def __init__(self, name: str, text: str, *, bounds: Sequence[float] = LATENCY_BUCKETS_S) -> None:
        self.name = name
        self.text = text
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0
        self._lock = threading.Lock()

    def observe(self, value: float) -> None:
        """Count one value."""
        bucket = next((index for index, bound in enumerate(self._bounds) if value <= bound), len(self._bounds))
        with self._lock:
            self._counts[bucket] += 1
            self._sum += value

    def lines(self) -> Iterator[str]:
        """Cumulative buckets, sum and count."""
        with self._lock:
            counts, total = list(self._counts), self._sum
        seen = 0
        for bound, count in zip((*map(str, self._bounds), "+Inf"), counts, strict=True):
            seen += count
            yield f"{self.name}_bucket{_labels('le', bound)} {seen}"
        yield f"{self.name}_sum {total:g}"
        yield f"{self.name}_count {seen}"


class Metrics:
    """The metrics of one engine process; an attribute each."""

    def __init__(self) -> None:
        self.requests = Counter(
            "npc_requests_total", "Generation requests ended, by finish reason.", label="finish_reason"
        )
        self.rejected = Counter("npc_rejected_total", "Requests refused because the queue was full.")
        self.prompt_tokens = Counter("npc_prompt_tokens_total", "Prompt tokens of started requests.")
        self.cached_tokens = Counter("npc_cached_tokens_total", "Of these, tokens that needed no computation.")
        self.output_tokens = Counter("npc_output_tokens_total", "Tokens generated.")
        self.queue_time = Histogram("npc_queue_time_seconds", "From submission to being given a slot.")
        self.time_to_first_token = Histogram(
            "npc_time_to_first_token_seconds", "From submission to the first generated token."
        )
        self.time_per_output_token = Histogram(
            "npc_time_per_output_token_seconds", "Mean time between a request's tokens after its first."
        )
        self.running = Gauge("npc_running_sequences", "Sequences that hold a slot and run.")
        self.waiting = Gauge("npc_waiting_sequences", "Sequences that wait for a slot.")
        self.kv_bytes = Gauge("npc_kv_pool_bytes", "Bytes reserved for keys and values.")
        self.prefix_bytes = Gauge("npc_prefix_store_bytes", "Bytes of KV snapshots in host memory.")

    def render(self) -> str:
        """All metrics in the Prometheus text format, version 0.0.4."""
        lines: list[str] = []
        for metric in vars(self).values():
            lines += [f"# HELP {metric.name} {metric.text}", f"# TYPE {metric.name} {metric.kind}", *metric.lines()]
        return "\n".join(lines) + "\n"


def _labels(label: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{{{label}="{escaped}"}}' if label else ""
