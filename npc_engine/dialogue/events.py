"""What a turn emits, in order: Token* and Sentence*, maybe ActionCall, and always one TurnEnd."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

FinishReason = Literal["stop", "length", "cancelled", "guard"]
ReplySource = Literal["model", "fallback", "none"]


@dataclass(frozen=True, kw_only=True)
class Token:
    """A piece of cleaned speech, as soon as it is known to be safe to show."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """One whole sentence of the reply, numbered from 0; the joined sentences are the reply."""

    index: int
    text: str


@dataclass(frozen=True, kw_only=True)
class ActionCall:
    """The game is asked to run an action and to answer with `action_result`.

    Attributes:
        call_id: Names this call in the answer.
        name: The action.
        arguments: Valid for what the action declares.
        idempotency_key: The same for a call that is made again because its first outcome is not known: the game runs
            it once.
        cost: What the action declares that one call costs, in the game's own unit; None where it declares nothing.
    """

    call_id: str
    name: str
    arguments: dict[str, Any]
    idempotency_key: str = ""
    cost: float | None = None


@dataclass(frozen=True, kw_only=True)
class TurnEnd:
    """The turn is over and committed.

    Attributes:
        text: The whole reply as the player heard it; empty when cancelled before the first sentence.
        finish_reason: Why it ended.
        source: Who wrote it: the model, the sheet's authored fallback, or nobody.
        trace: Plain data: route, premises used, stages and what each did, token counts, latency breakdown.
    """

    text: str
    finish_reason: FinishReason
    source: ReplySource
    trace: dict[str, Any] = field(default_factory=dict)


TurnEvent = Token | Sentence | ActionCall | TurnEnd
