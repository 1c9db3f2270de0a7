"""Is one run better than another? Paired by talk, with intervals, and a correction for looking at many scores.

Values are hits over cases, as `scores.definitions` counts them. Talks that only one run has are left out; a talk
without cases of a score in either run says nothing about it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from npc_engine.playtest.scores.definitions import SCORES, Score
from npc_engine.playtest.scores.scored import Scored

RESAMPLES = 4_000
# Family-wise error rate over all scores of a comparison.
ALPHA = 0.05
# With fewer talks that differ, no test can reach ALPHA: 2 ** -(n - 1) is above it.
MIN_DIFFERING = 6

Finding = Literal["better", "worse", "different", "no difference found", "not tested"]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One score in two runs.

    Attributes:
        score: Which.
        first: Its value in the first run, over the paired talks.
        second: In the second.
        low: Lower end of the 95 % interval of second minus first.
        high: Upper end.
        p: Probability of such a difference or a larger one if the runs were alike; before the correction.
        p_holm: After the correction.
        pairs: Talks with cases in both.
        finding: What it is, for the second run.
    """

    score: Score
    first: float
    second: float
    low: float
    high: float
    p: float
    p_holm: float
    pairs: int
    finding: Finding


def compare(first: Sequence[Scored], second: Sequence[Scored], *, seed: int = 0) -> list[Difference]:
    """Compare two runs score by score.

    The interval is a percentile bootstrap over pairs of talks. The test swaps the two runs' results of each talk at
    random: if nothing differs, every swap is as likely as what was seen. Holm's step-down correction bounds the
    probability of any false alarm in the comparison by `ALPHA`.

    Args:
        first: Scored talks of one run.
        second: Of the other.
        seed: Of the resampling.

    Returns:
        One for each score with pairs, in the order of `SCORES`. Times are listed and not tested: two runs were not had
        at one moment of the machine.

    Source: Efron and Tibshirani 1993, chapters 13 and 15; Holm 1979, A Simple Sequentially Rejective Multiple Test
    Procedure; 4,000 resamples.
    """
    pairs = paired(first, second)
    rough: list[tuple[Score, NDArray[np.float64], float]] = []
    for index, score in enumerate(SCORES):
        rows = [
            (*one.counts[score.name], *other.counts[score.name])
            for one, other in pairs
            if score.name in one.counts and score.name in other.counts
        ]
        table = np.array([row for row in rows if row[1] and row[3]], np.float64).reshape(-1, 4)
        if len(table):
            p = _swap_test(table, np.random.default_rng((seed, index))) if score.is_compared else 1.0
            rough.append((score, table, p))
    corrected = holm({score.name: p for score, _, p in rough if score.is_compared})
    return [_difference(score, table, p, corrected, seed=seed) for score, table, p in rough]


def paired(first: Sequence[Scored], second: Sequence[Scored]) -> list[tuple[Scored, Scored]]:
    """The talks that both runs have, by talk and repeat, in the first's order."""
    others = {one.record.key: one for one in second}
    return [(one, others[one.record.key]) for one in first if one.record.key in others]


def holm(ps: Mapping[str, float]) -> dict[str, float]:
    """Holm's corrected probabilities, by name."""
    corrected: dict[str, float] = {}
    highest = 0.0
    for rank, (name, p) in enumerate(sorted(ps.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, (len(ps) - rank) * p))
        corrected[name] = highest
    return corrected


def _value(table: NDArray[np.float64]) -> tuple[float, float]:
    sums = table.sum(axis=0)
    return float(sums[0] / sums[1]), float(sums[2] / sums[3])


def _difference(
    score: Score, table: NDArray[np.float64], p: float, corrected: Mapping[str, float], *, seed: int
) -> Difference:
    first, second = _value(table)
    rng = np.random.default_rng(seed)
    # How often each pair is drawn, so that a resample is a row of one matrix product.
    times = rng.multinomial(len(table), np.full(len(table), 1 / len(table)), RESAMPLES)
    drawn = times @ table
    low, high = np.percentile(drawn[:, 2] / drawn[:, 3] - drawn[:, 0] / drawn[:, 1], [2.5, 97.5])
    p_holm = corrected.get(score.name, 1.0)
    return Difference(
        score=score,
        first=first,
        second=second,
        low=float(low),
        high=float(high),
        p=p,
        p_holm=p_holm,
        pairs=len(table),
        finding=_finding(score, second - first, p_holm),
    )


def _finding(score: Score, difference: float, p_holm: float) -> Finding:
    if not score.is_compared:
        return "not tested"
    if p_holm > ALPHA or difference == 0:
        return "no difference found"
    if score.better is None:
        return "different"
    return "better" if (difference > 0) == (score.better == "higher") else "worse"


def _swap_test(table: NDArray[np.float64], rng: np.random.Generator) -> float:
    """Two-sided probability under random swaps of the two runs' results, talk by talk."""
    differing = table[(table[:, :2] != table[:, 2:]).any(axis=1)]
    if len(differing) < MIN_DIFFERING:
        return 1.0
    seen = abs(np.subtract(*_value(table)))
    swap = (rng.random((RESAMPLES, len(differing))) < 0.5).astype(np.float64)
    sums = table.sum(axis=0)
    moved = swap @ (differing[:, 2:] - differing[:, :2])
    one, other = sums[:2] + moved, sums[2:] - moved
    drawn = abs(one[:, 0] / one[:, 1] - other[:, 0] / other[:, 1])
    # The result seen counts as one of the draws, so that the probability is never 0.
    return float((1 + (drawn >= seen - 1e-12).sum()) / (1 + RESAMPLES))
