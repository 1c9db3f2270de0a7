"""What was said in one conversation, in order.

Kept in this process only: a restart forgets. What a character remembers across conversations is not built yet, and
the trace's `commit` stage says so.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One turn as both sides heard it. `reply` is empty where the turn was cancelled before the first word."""

    player: str
    reply: str


class History:
    """The exchanges of one conversation.

    Args:
        max_exchanges: Beyond this the oldest tenth is forgotten at once, since each forgetting changes the prompt's
            prefix and with it empties the cache. The prompt's token budget usually bites first.
    """

    def __init__(self, *, max_exchanges: int = 200) -> None:
        self._exchanges: list[Exchange] = []
        self._max_exchanges = max_exchanges

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """All that is remembered, oldest first."""
        return tuple(self._exchanges)

    def add(self, exchange: Exchange) -> None:
        """Remember an exchange."""
        self._exchanges.append(exchange)
        if len(self._exchanges) > self._max_exchanges:
            del self._exchanges[: max(1, self._max_exchanges // 10)]

    def last(self) -> Exchange | None:
        """The latest exchange, if there is one."""
        return self._exchanges[-1] if self._exchanges else None
