"""The game's side of a talk in the terminal: a small shop that answers action calls, or the writer by hand."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Protocol

from npc_engine.client.turn import ActionFailed
from npc_engine.errors import RequestError
from npc_engine.playtest.market import PRICES, Market
from npc_engine.playtest.terminal.words import parse_result
from npc_engine.protocol.messages import ActionCall

PURSE = 100
# Asks for one line; None where nobody answers.
Ask = Callable[[str], str | None]


class GameKind(StrEnum):
    """Who answers action calls."""

    STUB = "stub"
    HAND = "hand"
    NONE = "none"


class Game(Protocol):
    """What runs the character's actions."""

    # What a conversation is opened with: the actions that this game runs.
    actions: list[str]

    @property
    def changes(self) -> str:
        """What the actions have changed, in one line."""
        ...

    def run(self, call: ActionCall) -> dict[str, Any]:
        """Carry out a call; its result. Raises ActionFailed where it was not done."""
        ...


class StubGame:
    """The smith's shop with a purse; whatever else a character wants done is done and changes nothing."""

    actions: list[str] = ["*"]  # noqa: RUF012

    def __init__(self) -> None:
        self._market = Market(purse=PURSE)
        self._outcomes: dict[str, dict[str, Any]] = {}

    @property
    def changes(self) -> str:
        """Purse and satchel."""
        return f"purse {self._market.purse} crowns, satchel: {self._market.carried}"

    def run(self, call: ActionCall) -> dict[str, Any]:
        """Carry out a call; one of the same key is not carried out twice.

        Raises:
            ActionFailed: The shop cannot do it; nothing has changed.
        """
        if call.idempotency_key and call.idempotency_key in self._outcomes:
            return self._outcomes[call.idempotency_key]
        is_trade = call.name in ("look_up_price", "sell_item", "buy_item") and call.arguments.get("item") in PRICES
        result = self._market.run(call) if is_trade else {"done": True}
        if call.idempotency_key:
            self._outcomes[call.idempotency_key] = result
        return result


class GameByHand:
    """The writer answers.

    Args:
        ask: Asks the writer.
    """

    actions: list[str] = ["*"]  # noqa: RUF012
    changes = "this game is played by hand"

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def run(self, call: ActionCall) -> dict[str, Any]:
        """Ask what the call came to.

        Raises:
            ActionFailed: The writer refused it, or nobody answers.
        """
        while True:
            answer = self._ask("  result (KEY=VALUE ..., Enter for done, or: no REASON) > ")
            if answer is None:
                raise ActionFailed("nobody answers for the game")
            words = answer.strip()
            if words.lower() == "no" or words.lower().startswith("no "):
                raise ActionFailed(words[3:].strip() or "it cannot be done")
            try:
                return parse_result(words) or {"done": True}
            except RequestError:
                continue


class NoGame:
    """Runs nothing: the character is offered no action."""

    actions: list[str] = []  # noqa: RUF012
    changes = "no game: the character has no actions"

    def run(self, call: ActionCall) -> dict[str, Any]:
        """Refuse.

        Raises:
            ActionFailed: Always.
        """
        raise ActionFailed(f"this game has no action {call.name}")


def call_line(call: ActionCall) -> str:
    """A call as the terminal shows it."""
    arguments = ", ".join(f"{key}={value}" for key, value in call.arguments.items())
    return f"[game] {call.name}({arguments}) is called"


def outcome_line(outcome: dict[str, Any] | str) -> str:
    """What a call came to as the terminal shows it: a result, or the reason of a refusal."""
    return f"[game] refused: {outcome}" if isinstance(outcome, str) else f"[game] -> {outcome}"


def make_game(kind: GameKind, ask: Ask) -> Game:
    """The game of that kind."""
    match kind:
        case GameKind.STUB:
            return StubGame()
        case GameKind.HAND:
            return GameByHand(ask)
        case GameKind.NONE:
            return NoGame()
