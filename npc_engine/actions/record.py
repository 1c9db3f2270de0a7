"""What a conversation remembers of its actions: what succeeded, what ended without an answer, which criteria add up."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Successes that are remembered; the oldest go first.
MAX_SUCCESSES = 200
# Calls without an answer that are remembered; likewise.
MAX_UNANSWERED = 64
# Turns without the action after which its criteria are dropped.
MAX_IDLE_TURNS = 2


@dataclass(kw_only=True)
class Success:
    """A call that the game has reported done.

    Attributes:
        name: The action.
        arguments: What it was called with.
        turn: The number of the turn.
        is_used: Whether an action that required it has succeeded since.
    """

    name: str
    arguments: dict[str, Any]
    turn: int
    is_used: bool = False


@dataclass(kw_only=True)
class Record:
    """One conversation's actions.

    Attributes:
        successes: Oldest first.
        criteria: Arguments that add up, of the action `in_play`.
        in_play: The action whose arguments add up; None where none does.
        is_asked: Whether the player was asked for an argument of it that is missing.
    """

    successes: list[Success] = field(default_factory=list)
    criteria: dict[str, Any] = field(default_factory=dict)
    in_play: str | None = None
    is_asked: bool = False
    _last_in_play: int = 0
    _unanswered: dict[str, str] = field(default_factory=dict)

    def key(self, scope: str, name: str, arguments: Mapping[str, Any]) -> str:
        """The idempotency key of a call: that of the same call before, where that one ended without an answer.

        Args:
            scope: Names the conversation and the turn.
            name: The action.
            arguments: Its arguments.
        """
        call = _canonical(name, arguments)
        return self._unanswered.get(call) or hashlib.sha256(f"{scope}\0{call}".encode()).hexdigest()[:24]

    def answered(self, name: str, arguments: Mapping[str, Any]) -> None:
        """The game has answered: a further call of the same kind is a new one."""
        self._unanswered.pop(_canonical(name, arguments), None)

    def unanswered(self, name: str, arguments: Mapping[str, Any], key: str) -> None:
        """The game has not answered in time: it may have run the action or not."""
        self._unanswered[_canonical(name, arguments)] = key
        for oldest in list(self._unanswered)[:-MAX_UNANSWERED]:
            del self._unanswered[oldest]

    def succeeded(self, name: str, arguments: Mapping[str, Any], *, turn: int) -> None:
        """Remember a success."""
        self.successes.append(Success(name=name, arguments=dict(arguments), turn=turn))
        del self.successes[:-MAX_SUCCESSES]

    def add_criteria(self, name: str, arguments: Mapping[str, Any], *, turn: int, is_asked: bool = False) -> None:
        """Keep the arguments of an accumulating action, or of one that waits for a missing argument."""
        self.in_play, self.criteria, self._last_in_play, self.is_asked = name, dict(arguments), turn, is_asked

    def begin_turn(self, turn: int, *, is_reset: bool) -> None:
        """Drop criteria that the talk has left: told so, or after `MAX_IDLE_TURNS` turns without their action."""
        if is_reset or turn - self._last_in_play > MAX_IDLE_TURNS:
            self.drop_criteria()

    def drop_criteria(self) -> None:
        """Forget the criteria: the talk is about something else."""
        self.in_play, self.criteria, self.is_asked = None, {}, False


def _canonical(name: str, arguments: Mapping[str, Any]) -> str:
    return json.dumps([name, arguments], sort_keys=True, ensure_ascii=False)
