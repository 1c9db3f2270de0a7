"""What scoring a talk comes to: hits and cases by score, and every fault with the turn that it is in."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from npc_engine.playtest.talks import TalkRecord


@dataclass(frozen=True)
class Fault:
    """Something that went wrong.

    Attributes:
        turn: The line's number, from 1; 0 for the talk as a whole.
        score: The score it lowers.
        detail: In words.
    """

    turn: int
    score: str
    detail: str


@dataclass
class Scored:
    """One talk's scores.

    Attributes:
        record: The talk.
        counts: Hits and cases by score.
        faults: In the order of the turns.
        flanderization: The index by turn; None where the model did not word it.
    """

    record: TalkRecord
    counts: dict[str, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0, 0.0]))
    faults: list[Fault] = field(default_factory=list)
    flanderization: list[float | None] = field(default_factory=list)

    @property
    def is_right(self) -> bool:
        """Whether everything came as expected."""
        hits, cases = self.counts["as expected"]
        return hits == cases

    def add(self, score: str, hit: float, *, cases: float = 1.0) -> None:
        """Count."""
        self.counts[score][0] += hit
        self.counts[score][1] += cases

    def check(self, score: str, is_good: bool, turn: int, detail: str, *, bad_counts: bool = False) -> None:
        """Count a case, and note a fault where it is not good.

        Args:
            score: Which.
            is_good: Whether it is.
            turn: The line's number.
            detail: What is wrong where it is not.
            bad_counts: The score counts what is wrong.
        """
        self.add(score, (not is_good) if bad_counts else is_good)
        if not is_good:
            self.faults.append(Fault(turn, score, detail))
