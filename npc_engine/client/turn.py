"""What both clients make of replies: one turn's progress, answers of the expected type, timeouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from npc_engine.errors import InvalidMessage, NpcEngineError, RequestTimeout
from npc_engine.protocol.messages import ActionCall, Answer, Reply, Sentence, Token, TurnEnd

DEFAULT_ADDRESS = "tcp://127.0.0.1:5570"
DEFAULT_TIMEOUT_S = 10.0

Event = Token | Sentence | ActionCall | TurnEnd

A = TypeVar("A", bound=Answer)


class ActionFailed(Exception):
    """Raised by the game's `on_action` to say that the action did not happen.

    Args:
        reason: Why, in words the character may use.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TurnProgress:
    """What has been heard of one turn.

    Attributes:
        end: The TurnEnd, once it has arrived.
        failure: The error that ended the turn instead.
    """

    def __init__(self) -> None:
        self._heard: list[str] = []
        self.end: TurnEnd | None = None
        self.failure: NpcEngineError | None = None

    @property
    def text(self) -> str:
        """The reply: whole once the turn has ended, as far as it was heard before."""
        return self.end.text if self.end else "".join(self._heard)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be heard."""
        return self.end is not None or self.failure is not None

    def take(self, reply: Reply | NpcEngineError) -> Event:
        """Count one reply in.

        Raises:
            NpcEngineError: The turn failed; it is over.
        """
        match reply:
            case Token():
                self._heard.append(reply.text)
                return reply
            case Sentence() | ActionCall():
                return reply
            case TurnEnd():
                self.end = reply
                return reply
            case NpcEngineError():
                raise self.fail(reply)
            case _:
                raise self.fail(_unexpected(reply, "a turn's event"))

    def fail(self, error: NpcEngineError) -> NpcEngineError:
        """End the turn by this error, which is returned."""
        self.failure = error
        return error

    def finished(self) -> TurnEnd:
        """The end of a turn that is over.

        Raises:
            NpcEngineError: The error that ended it instead.
        """
        if self.failure is not None:
            raise self.failure
        if self.end is None:
            raise InvalidMessage("this turn is not over", hint="iterate over it first")
        return self.end


def expect(reply: Reply | NpcEngineError, answer: type[A]) -> A:
    """The reply, if it is the expected answer.

    Raises:
        NpcEngineError: The server's error, or InvalidMessage for another kind of reply.
    """
    if isinstance(reply, answer):
        return reply
    raise reply if isinstance(reply, NpcEngineError) else _unexpected(reply, answer.__name__)


def offered(actions: Sequence[str] | None, *, has_handler: bool) -> list[str]:
    """The actions a client offers: those it names, else all where something handles them, else none."""
    if actions is None:
        return ["*"] if has_handler else []
    return list(actions)


def spoken(text: str, controls: Mapping[str, Any] | None, seed: int | None) -> dict[str, Any]:
    """The fields of a `say`, without those that it does not use."""
    fields: dict[str, Any] = {"text": text}
    if controls is not None:
        fields["controls"] = dict(controls)
    if seed is not None:
        fields["seed"] = seed
    return fields


def timed_out(kind: str, address: str, timeout_s: float) -> RequestTimeout:
    """The error for an answer that did not come."""
    return RequestTimeout(
        f"no answer to {kind} from {address} within {timeout_s:g} s",
        hint="see whether `npc-engine serve` runs there and has the keys this client expects",
    )


def _unexpected(reply: Reply, expected: str) -> InvalidMessage:
    return InvalidMessage(f"the server answered with {reply.kind!r} instead of {expected}")
