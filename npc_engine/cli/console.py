"""How the command line talks: results on stdout, everything else on stderr, errors as code, message and hint."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from npc_engine.errors import NpcEngineError
from npc_engine.models.progress import ProgressSink, Unit, human_bytes

out = Console()
err = Console(stderr=True, highlight=False)

# A log gets a line at each tenth of a stage, but not more often, and not less often, than this.
_PLAIN_SHORTEST_S = 1.0
_PLAIN_LONGEST_S = 10.0


def print_error(error: NpcEngineError) -> None:
    """Print a deliberate error as `NPC404: message` and, where there is one, a `hint:` line."""
    err.print(f"{error.code}: {error.message}", style="red", markup=False, soft_wrap=True)
    if error.hint:
        err.print(f"hint: {error.hint}", markup=False, soft_wrap=True)


@contextmanager
def progress_sink() -> Iterator[ProgressSink]:
    """A bar on a terminal, plain lines anywhere else. Closed, and the cursor given back, however the block ends."""
    if not err.is_terminal:
        yield PlainProgress()
        return
    bar = BarProgress()
    try:
        yield bar
    finally:
        bar.close()


class BarProgress:
    """One bar a stage, on stderr, with rate and time left."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def stage(self, label: str, total: int, *, unit: Unit, done: int = 0) -> None:
        """Finish the bar before and begin a new one."""
        self.close()
        figures = (DownloadColumn(), TransferSpeedColumn()) if unit == "bytes" else (TaskProgressColumn(),)
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), *figures, TimeRemainingColumn(), console=err
        )
        self._task = self._bar.add_task(label, total=total, completed=done)
        self._bar.start()

    def update(self, done: int) -> None:
        """Move the bar."""
        if self._bar:
            self._bar.update(self._task, completed=done)

    def note(self, message: str) -> None:
        """Print a line above the bar."""
        err.print(message, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Draw the bar a last time and leave it."""
        if self._bar:
            self._bar.stop()
            self._bar = None


class PlainProgress:
    """Whole lines on stderr, for logs: one a tenth of the stage.

    Args:
        clock: Seconds that only go forward.
        write: Where a line goes.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, write: Callable[[str], None] | None = None
    ) -> None:
        self._clock = clock
        self._write = write or (lambda line: err.print(line, markup=False, soft_wrap=True))
        self._label, self._total, self._unit = "", 0, "bytes"
        self._first = self._tenth = 0
        self._begun = self._last = 0.0

    def stage(self, label: str, total: int, *, unit: Unit, done: int = 0) -> None:
        """Begin a stage."""
        self._label, self._total, self._unit = label, max(total, 1), unit
        self._first, self._tenth = done, done * 10 // self._total
        self._begun = self._last = self._clock()
        self._write(f"{label}: {self._count(total)}" + (f", {self._count(done)} already here" if done else ""))

    def update(self, done: int) -> None:
        """Write a line if there is news."""
        tenth, now = done * 10 // self._total, self._clock()
        silent_s, is_over = now - self._last, done >= self._total
        if self._tenth == 10 or (tenth <= self._tenth and silent_s < _PLAIN_LONGEST_S):
            return
        if silent_s < _PLAIN_SHORTEST_S and not is_over:
            return
        self._tenth, self._last = tenth, now
        line = f"{self._label}: {done * 100 // self._total} % ({self._count(done)})"
        elapsed, fresh = now - self._begun, done - self._first
        if fresh > 0 and elapsed > 0:
            rate = fresh / elapsed
            line += f", {human_bytes(rate)}/s" if self._unit == "bytes" else ""
            line += f", {(self._total - done) / rate:.0f} s left" if not is_over else f", {elapsed:.0f} s"
        self._write(line)

    def note(self, message: str) -> None:
        """Write the line."""
        self._write(message)

    def _count(self, amount: int) -> str:
        return human_bytes(amount) if self._unit == "bytes" else f"{amount:,} {self._unit}"
