"""How long work reports itself: the models room says how far it is, the caller decides how that looks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

Unit = Literal["bytes", "weights", "questions", "turns"]


class ProgressSink(Protocol):
    """Where a pull, an import or a verify reports to. Called from one thread."""

    def stage(self, label: str, total: int, *, unit: Unit, done: int = 0) -> None:
        """A new stage begins, and the one before it is over.

        Args:
            label: What is being done, for a person.
            total: The stage's whole size in `unit`.
            unit: What is counted.
            done: What was already there before the stage began.
        """

    def update(self, done: int) -> None:
        """The current stage has reached `done` (not an increment) of its total."""

    def note(self, message: str) -> None:
        """One line that a person should read: a wait, a source that failed, a repair."""


class SilentProgress:
    """Reports nothing."""

    def stage(self, label: str, total: int, *, unit: Unit, done: int = 0) -> None:
        """Ignore the stage."""

    def update(self, done: int) -> None:
        """Ignore the figure."""

    def note(self, message: str) -> None:
        """Ignore the line."""


SILENT = SilentProgress()


def counting_from(progress: ProgressSink, before: int) -> Callable[[int], None]:
    """A callback for one part of a stage: what it is called with is added to `before`."""
    return lambda done: progress.update(before + done)


def human_bytes(count: float) -> str:
    """`count` bytes in decimal units, as disk makers and package registries count them: `1.12 GB`, `92 MB`."""
    for unit in ("B", "kB", "MB"):
        if abs(count) < 999.5:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"
