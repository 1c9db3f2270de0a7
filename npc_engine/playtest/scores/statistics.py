"""Rates with confidence intervals, and consistency that weighs late turns more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A share of cases.

    Attributes:
        hits: Cases that count.
        cases: All cases; 0 where nothing could be measured.
        low: Lower end of the 95 % interval; None without cases.
        high: Upper end.
    """

    hits: float
    cases: float
    low: float | None
    high: float | None

    @property
    def value(self) -> float | None:
        """The share; None without cases."""
        return self.hits / self.cases if self.cases else None


def rate(counts: Sequence[tuple[float, float]], *, seed: int = 0) -> Rate:
    """A share with a percentile bootstrap interval over conversations, whose turns hang together.

    Args:
        counts: Hits and cases of each conversation.
        seed: Of the resampling.

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13; 2,000 resamples. A rate of 0 or 1
    in every conversation has an interval of no width: read it with the number of cases.
    """
    pairs = np.array([pair for pair in counts if pair[1]], np.float64).reshape(-1, 2)
    hits, cases = (float(total) for total in pairs.sum(axis=0))
    if not cases:
        return Rate(hits=0, cases=0, low=None, high=None)
    rng = np.random.default_rng(seed)
    drawn = pairs[rng.integers(0, len(pairs), (RESAMPLES, len(pairs)))].sum(axis=1)
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1], [2.5, 97.5])
    return Rate(hits=hits, cases=cases, low=float(low), high=float(high))


def position_weighted(consistent: Sequence[bool]) -> tuple[float, float]:
    """Weighted hits and weights of one talk: sum of t * c_t, and sum of t, over turns t = 1 to T.

    c_t is 1 where turn t has no fault. A talk that goes wrong at its end scores lower than one that goes wrong at its
    beginning: what a character has said binds her from then on, and forgetting shows late.
    """
    weights = range(1, len(consistent) + 1)
    return float(sum(weight for weight, is_good in zip(weights, consistent, strict=True) if is_good)), float(
        sum(weights)
    )


def percentile(values: Sequence[float], percent: int) -> float | None:
    """Nearest-rank percentile; None of nothing."""
    ordered = sorted(values)
    return ordered[-(-percent * len(ordered) // 100) - 1] if ordered else None
