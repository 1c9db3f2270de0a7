"""Rounds in which the contestants take turns, and what comes out: medians, ratios, and how sure they are."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tools.inference_bench.peer import PeerFailed

OURS = "npc-engine"
# A contestant's threads may spin for a while after its turn; the next one starts on idle processors.
REST_S = 0.2
_RESAMPLES = 2000


@dataclass(frozen=True)
class Target:
    """A bound that the ratio ours / peer must keep.

    Attributes:
        peer: Whose ratio.
        ratio: The bound: at least this where higher is better, at most where lower is.
    """

    peer: str
    ratio: float


@dataclass(kw_only=True)
class Row:
    """One line of the table.

    Attributes:
        section: Which section measured it.
        case: What was done.
        unit: Of every sample.
        is_higher_better: Whether more is better.
        samples: By contestant, one value a round.
        missing: By contestant, why there is none.
        targets: What the ratios should be.
    """

    section: str
    case: str
    unit: str
    is_higher_better: bool
    samples: dict[str, list[float]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    targets: tuple[Target, ...] = ()

    def median(self, name: str) -> float:
        """Of the contestant's samples."""
        return statistics.median(self.samples[name])

    def ratio(self, peer: str) -> float:
        """Median of ours over the peer's."""
        return self.median(OURS) / self.median(peer)

    def meets(self, target: Target) -> bool | None:
        """Whether the target is kept; None where the peer has no samples."""
        if target.peer not in self.samples:
            return None
        ratio = self.ratio(target.peer)
        return ratio >= target.ratio if self.is_higher_better else ratio <= target.ratio

    def to_json(self, *, seed: int) -> dict[str, Any]:
        """Everything measured and what follows from it."""
        peers: dict[str, Any] = {name: {"missing": why} for name, why in self.missing.items()}
        for name in self.samples:
            if name != OURS:
                low, high = ratio_interval(self.samples[OURS], self.samples[name], seed=seed)
                peers[name] = {
                    "median": self.median(name),
                    "samples": self.samples[name],
                    "ratio": self.ratio(name),
                    "ratio_low": low,
                    "ratio_high": high,
                }
        return {
            "section": self.section,
            "case": self.case,
            "unit": self.unit,
            "is_higher_better": self.is_higher_better,
            "median": self.median(OURS),
            "samples": self.samples[OURS],
            "peers": peers,
            "targets": [
                {"peer": target.peer, "ratio": target.ratio, "is_met": self.meets(target)} for target in self.targets
            ],
        }


def ratio_interval(ours: Sequence[float], peer: Sequence[float], *, seed: int) -> tuple[float, float]:
    """The middle 95 % of the ratio of medians when rounds are drawn again with replacement.

    Rounds are drawn in pairs where there are as many of both, since neighbours in time share the machine's mood.
    Source: Efron 1979, the bootstrap's percentile interval.
    """
    rng = np.random.default_rng(seed)
    left, right = np.asarray(ours), np.asarray(peer)
    mine = rng.integers(0, len(left), (_RESAMPLES, len(left)))
    theirs = mine if len(left) == len(right) else rng.integers(0, len(right), (_RESAMPLES, len(right)))
    ratios = np.median(left[mine], axis=1) / np.median(right[theirs], axis=1)
    low, high = np.percentile(ratios, (2.5, 97.5))
    return float(low), float(high)


def duel(
    contestants: Mapping[str, Callable[[], float | list[float]]],
    *,
    repeats: int,
    missing: Mapping[str, str] | None = None,
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Let everyone measure once a round, first one order, then the other.

    A contestant that fails is out: its samples go, its reason stays. Ours may not fail.

    Args:
        contestants: By name, what measures one value, or several of one round.
        repeats: Rounds that count. One more goes before them, in which everything is warmed up.
        missing: Who could not take part from the start, and why.

    Returns:
        Samples by contestant, and reasons by contestant.
    """
    left = dict(contestants)
    samples: dict[str, list[float]] = {name: [] for name in left}
    reasons = dict(missing or {})
    for number in range(repeats + 1):
        for name in sorted(left, reverse=bool(number % 2)):
            time.sleep(REST_S)
            try:
                value = left[name]()
            except PeerFailed as error:
                reasons[name] = str(error)
                del left[name], samples[name]
                continue
            if number > 0:
                samples[name] += value if isinstance(value, list) else [value]
    return samples, reasons
