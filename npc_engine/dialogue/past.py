"""What the last turns of a conversation changed, so that they can be taken back."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from npc_engine.actions.choose import Choice
from npc_engine.actions.record import Record
from npc_engine.errors import NothingToUndo

# Turns that can be taken back; what is older stays.
MAX_UNDO = 50


@dataclass(frozen=True, kw_only=True)
class Before:
    """What a turn may change, as it was before it.

    Attributes:
        pending: What the character had offered.
        record: What had become of the actions; a copy of its own.
        learned: Id of the statement that the turn added to what the character has told the player, if it added one.
    """

    pending: Choice | None
    record: Record
    learned: str | None = None


class Past:
    """The turns of one conversation that can be taken back."""

    def __init__(self) -> None:
        self._turns: deque[Before] = deque(maxlen=MAX_UNDO)

    def __len__(self) -> int:
        """How many turns can be taken back."""
        return len(self._turns)

    def add(self, before: Before) -> None:
        """A turn was committed."""
        self._turns.append(before)

    def take_back(self, turns: int) -> list[Before]:
        """Forget the last turns; returns them, the earliest first.

        Raises:
            NothingToUndo: There are fewer, or `turns` is below 1. Nothing has changed.
        """
        if not 1 <= turns <= len(self._turns):
            raise NothingToUndo(
                f"cannot take back {turns}: {len(self._turns)} turns can be taken back",
                hint=f"undo 1 turn or more; the last {MAX_UNDO} are kept",
            )
        return [self._turns.pop() for _ in range(turns)][::-1]
