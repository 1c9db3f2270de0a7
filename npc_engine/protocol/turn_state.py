"""Which message may follow which, for one connection and for one conversation. No I/O, no clock.

Rule 1: every state change lives in CONNECTION or CONVERSATION; docs/protocol.md draws its diagrams
from these tables.
Rule 2: this module does not know whether it runs in the server or in a client, so the tables hold
both directions.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

from npc_engine.errors import ConversationClosed, IllegalMessage, NpcEngineError, TurnInProgress, UnknownActionCall
from npc_engine.protocol.messages import REQUESTS


class ConnectionState(Enum):
    """Where one client's connection stands."""

    NEW = "new"
    READY = "ready"
    CLOSED = "closed"


class ConversationState(Enum):
    """Where one conversation stands."""

    IDLE = "idle"
    REPLYING = "replying"
    ACTING = "acting"
    CLOSING = "closing"
    CLOSED = "closed"


S = TypeVar("S", ConnectionState, ConversationState)

CONNECTION: Mapping[ConnectionState, Mapping[str, ConnectionState]] = {
    ConnectionState.NEW: {"hello": ConnectionState.READY, "bye": ConnectionState.CLOSED},
    ConnectionState.READY: {kind: ConnectionState.READY for kind in REQUESTS if kind not in ("hello", "bye")}
    | {"bye": ConnectionState.CLOSED},
    ConnectionState.CLOSED: {},
}

CONVERSATION: Mapping[ConversationState, Mapping[str, ConversationState]] = {
    ConversationState.IDLE: {
        "say": ConversationState.REPLYING,
        "cancel": ConversationState.IDLE,
        "world_event": ConversationState.IDLE,
        "set_state": ConversationState.IDLE,
        "set_controls": ConversationState.IDLE,
        "undo": ConversationState.IDLE,
        "close_conversation": ConversationState.CLOSING,
    },
    ConversationState.REPLYING: {
        "token": ConversationState.REPLYING,
        "sentence": ConversationState.REPLYING,
        "action_call": ConversationState.ACTING,
        "cancel": ConversationState.REPLYING,
        "world_event": ConversationState.REPLYING,
        "set_state": ConversationState.REPLYING,
        "set_controls": ConversationState.REPLYING,
        "turn_end": ConversationState.IDLE,
        "error": ConversationState.IDLE,
        "close_conversation": ConversationState.CLOSING,
    },
    # Speech while acting means that the engine stopped waiting for the result.
    ConversationState.ACTING: {
        "action_result": ConversationState.REPLYING,
        "token": ConversationState.REPLYING,
        "sentence": ConversationState.REPLYING,
        "action_call": ConversationState.ACTING,
        "cancel": ConversationState.ACTING,
        "world_event": ConversationState.ACTING,
        "set_state": ConversationState.ACTING,
        "set_controls": ConversationState.ACTING,
        "turn_end": ConversationState.IDLE,
        "error": ConversationState.IDLE,
        "close_conversation": ConversationState.CLOSING,
    },
    ConversationState.CLOSING: {
        "token": ConversationState.CLOSING,
        "sentence": ConversationState.CLOSING,
        "action_call": ConversationState.CLOSING,
        "turn_end": ConversationState.CLOSING,
        "error": ConversationState.CLOSING,
        "conversation_closed": ConversationState.CLOSED,
    },
    ConversationState.CLOSED: {},
}

# Moves that a client can make by accident and that deserve a name of their own.
REFUSALS: Mapping[tuple[ConversationState, str], type[NpcEngineError]] = {
    (ConversationState.REPLYING, "say"): TurnInProgress,
    (ConversationState.ACTING, "say"): TurnInProgress,
    (ConversationState.REPLYING, "undo"): TurnInProgress,
    (ConversationState.ACTING, "undo"): TurnInProgress,
    (ConversationState.IDLE, "action_result"): UnknownActionCall,
    (ConversationState.REPLYING, "action_result"): UnknownActionCall,
} | {
    (state, kind): ConversationClosed
    for state in (ConversationState.CLOSING, ConversationState.CLOSED)
    for kind in (
        *("say", "cancel", "action_result", "world_event"),
        *("set_state", "set_controls", "undo", "close_conversation"),
    )
}

_HINTS: Mapping[type[NpcEngineError], str] = {
    TurnInProgress: "send `cancel`, or wait for `turn_end`",
    UnknownActionCall: "answer an action_call once, while its turn waits for it",
    ConversationClosed: "open a new conversation",
    IllegalMessage: "send `hello` first, once a connection",
}


class ConnectionMoves:
    """The state of one client's connection."""

    def __init__(self) -> None:
        self.state = ConnectionState.NEW

    def check(self, kind: str) -> ConnectionState:
        """The state that a message of this kind leads to; nothing changes.

        Raises:
            IllegalMessage: The message is not legal now.
        """
        after = CONNECTION[self.state].get(kind)
        if after is None:
            raise _refusal(IllegalMessage, kind, self.state, CONNECTION[self.state])
        return after

    def on(self, kind: str) -> None:
        """Advance past a message of this kind.

        Raises:
            IllegalMessage: The message is not legal now. The state is unchanged.
        """
        self.state = self.check(kind)


class ConversationMoves:
    """The state of one open conversation."""

    def __init__(self) -> None:
        self.state = ConversationState.IDLE

    def check(self, kind: str) -> ConversationState:
        """The state that a message of this kind leads to; nothing changes.

        Raises:
            TurnInProgress: A `say` or `undo` during a turn.
            UnknownActionCall: An `action_result` that nothing waits for.
            ConversationClosed: Anything after `close_conversation`.
            IllegalMessage: Any other message that is not legal now.
        """
        after = CONVERSATION[self.state].get(kind)
        if after is None:
            error = REFUSALS.get((self.state, kind), IllegalMessage)
            raise _refusal(error, kind, self.state, CONVERSATION[self.state])
        return after

    def on(self, kind: str) -> None:
        """Advance past a message of this kind.

        Raises:
            NpcEngineError: As `check` raises. The state is unchanged.
        """
        self.state = self.check(kind)


def diagram(table: Mapping[S, Mapping[str, S]]) -> str:
    """The table as a Mermaid state diagram; moves between the same two states share an arrow."""
    first = next(iter(table))
    lines = ["stateDiagram-v2", f"    [*] --> {first.name}"]
    for state, moves in table.items():
        arrows: dict[S, list[str]] = {}
        for kind, after in moves.items():
            arrows.setdefault(after, []).append(kind)
        lines += [f"    {state.name} --> {after.name}: {', '.join(kinds)}" for after, kinds in arrows.items()]
    lines += [f"    {state.name} --> [*]" for state, moves in table.items() if not moves]
    return "\n".join(lines)


def _refusal(
    error: type[NpcEngineError], kind: str, state: ConnectionState | ConversationState, legal: Mapping[str, object]
) -> NpcEngineError:
    expected = ", ".join(legal) or "nothing"
    return error(f"{kind!r} in state {state.name}; legal now: {expected}", hint=_HINTS[error])
