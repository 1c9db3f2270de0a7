"""Stopping a turn from outside: the player walked away, or the deadline passed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import suppress
from typing import Literal, TypeVar

T = TypeVar("T")
StopReason = Literal["cancelled", "deadline"]


class TurnStopped(Exception):
    """Unwinds a turn to its commit."""

    def __init__(self, reason: StopReason) -> None:
        super().__init__(reason)
        self.reason: StopReason = reason


class StopSignal:
    """One turn's end from outside. Create it inside the event loop that runs the turn.

    Args:
        deadline_s: Seconds from now.
    """

    def __init__(self, deadline_s: float) -> None:
        self._deadline = asyncio.get_running_loop().time() + deadline_s
        self._cancelled = asyncio.Event()

    def cancel(self) -> None:
        """Ask the turn to stop; it will at its next await."""
        self._cancelled.set()

    async def race(self, work: Awaitable[T]) -> T:
        """The result of `work`.

        Raises:
            TurnStopped: The turn was cancelled or its deadline passed first; `work` is cancelled and has ended.
        """
        task = asyncio.ensure_future(work)
        stop = asyncio.ensure_future(self._cancelled.wait())
        try:
            left = max(0.0, self._deadline - asyncio.get_running_loop().time())
            await asyncio.wait({task, stop}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if self._cancelled.is_set():
                raise TurnStopped("cancelled")
            if not task.done():
                raise TurnStopped("deadline")
            return task.result()
        finally:
            for pending in (task, stop):
                if not pending.done():
                    pending.cancel()
                    with suppress(asyncio.CancelledError):
                        await pending

    async def stream(self, source: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """The items of `source`, which is closed at the end whatever happens.

        Raises:
            TurnStopped: As `race`.
        """
        try:
            while True:
                try:
                    item = await self.race(anext(source))
                except StopAsyncIteration:
                    return
                yield item
        finally:
            await source.aclose()
