"""Sum scores up by character and in all, each with its interval and the talks behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from npc_engine.playtest.scores.definitions import SCORES, Score
from npc_engine.playtest.scores.scored import Scored
from npc_engine.playtest.scores.statistics import Rate, rate


@dataclass(frozen=True)
class ScoreRow:
    """A score over some talks.

    Attributes:
        score: Which.
        rate: Its value and interval.
        behind: The talks that lower it: id and repeat.
    """

    score: Score
    rate: Rate
    behind: tuple[tuple[str, int], ...]


def summarise(scored: Sequence[Scored], *, seed: int = 0) -> list[ScoreRow]:
    """A row for every score that has cases, in the order of `SCORES`."""
    rows = []
    for score in SCORES:
        counts = [tuple(one.counts[score.name]) for one in scored if score.name in one.counts]
        found = rate([(hits, cases) for hits, cases in counts], seed=seed)
        if found.cases:
            behind = tuple(one.record.key for one in scored if any(fault.score == score.name for fault in one.faults))
            rows.append(ScoreRow(score, found, behind))
    return rows


def shown(score: Score, value: float | None) -> str:
    """A value as people read it."""
    if value is None:
        return "-"
    if score.unit == "share":
        return f"{value:.1%}"
    return f"{value:.2f} s" if score.unit == "seconds" else f"{value:.3f}"


@dataclass(frozen=True)
class Verdict:
    """What came of one scenario, player or attack over its repeats.

    Attributes:
        talk: Its id.
        scored: Its talks.
        is_right: Whether as many repeats came out right as it needs.
    """

    talk: str
    scored: tuple[Scored, ...]
    is_right: bool

    @property
    def is_judged(self) -> bool:
        """Whether it can come out wrong; simulated players are only scored."""
        return self.scored[0].record.needs > 0


def verdicts(scored: Sequence[Scored]) -> list[Verdict]:
    """One for each talk id, in their order."""
    by_talk: dict[str, list[Scored]] = {}
    for one in scored:
        by_talk.setdefault(one.record.talk, []).append(one)
    return [
        Verdict(
            talk,
            tuple(group),
            sum(one.is_right for one in group) >= group[0].record.needs * len(group) - 1e-9,
        )
        for talk, group in by_talk.items()
    ]
