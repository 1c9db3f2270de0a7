"""Characters that follow a script: the first word of a line decides what the turn does.

bindings/CONFORMANCE.md has the table of lines; it and this module say the same.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from npc_engine.dialogue.events import ActionCall, FinishReason, ReplySource, Sentence, Token, TurnEnd, TurnEvent
from npc_engine.dialogue.overrides import ControlsInForce, read_overrides
from npc_engine.errors import (
    InvalidAction,
    InvalidMessage,
    InvalidState,
    NothingToUndo,
    Overloaded,
    UnknownActionCall,
    UnknownCharacter,
)

ACTION_NAME = "sell_item"
ACTION_COST = 2.5
STILL_HERE = "Still here."
# From the token before a fault to the fault, so that the token is on its way.
FAULT_DELAY_S = 0.1
STALL_S = 2.0
RESTART_S = 0.5

_FINISH_REASONS: Mapping[str, FinishReason] = {"guarded": "guard", "long": "length"}
_SOURCES: Mapping[str, ReplySource] = {"silent": "none", "guarded": "fallback"}
_SLOW_WORDS = "abcdefghij"
_SLOW_STEP_S = 0.1
_SENTENCE_END = re.compile(r"(?<=[.!?]) ")


class Network(Protocol):
    """What a fault line can do to the connections."""

    async def stall(self, seconds: float) -> None:
        """Move no byte for so long."""

    async def cut(self, closed_s: float) -> None:
        """Cut every connection, and accept no new one for so long."""


@dataclass(frozen=True)
class ScriptedCharacter:
    """An entry of `list_characters`."""

    id: str
    name: str
    role: str


CHARACTERS = (
    ScriptedCharacter("mara", "Mara", "weapon merchant"),
    ScriptedCharacter("tobin", "Tobin", "innkeeper"),
    ScriptedCharacter("zoe", "Zoë Ærlig", "chandler"),
)


def spoken(text: str) -> Iterator[Token | Sentence]:
    """The tokens and sentences that say a text."""
    gap = ""
    for index, sentence in enumerate(_SENTENCE_END.split(text)):
        for word in sentence.split(" "):
            yield Token(text=gap + word)
            gap = " "
        yield Sentence(index=index, text=sentence)


def as_json(data: Any) -> str:
    """JSON with sorted keys and no spaces."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class ScriptedConversation:
    """One player and one scripted character."""

    def __init__(
        self,
        conversation_id: str,
        greeting: str,
        *,
        actions: Sequence[str],
        declared: Sequence[str],
        action_timeout_s: float,
        network: Network | None,
    ) -> None:
        self.id = conversation_id
        self.greeting = greeting
        self._actions = list(actions)
        self._declared = list(declared)
        self._action_timeout_s = action_timeout_s
        self._network = network
        self._state: dict[str, Any] = {}
        self._events: list[tuple[str, float | None]] = []
        self._controls = read_overrides({})
        self._turn_controls: dict[str, Any] = {}
        self._seed: int | None = None
        self._lines: list[str] = []
        self._cancelled = asyncio.Event()
        self._is_running = False
        self._call_id = ""
        self._outcome: asyncio.Future[str] | None = None
        self._call_numbers = itertools.count(1)

    async def say(
        self, text: str, *, controls: Mapping[str, Any] | None = None, seed: int | None = None
    ) -> AsyncGenerator[TurnEvent, None]:
        """Play the line's script.

        Raises:
            Overloaded: For `busy`.
            InvalidControls: As `set_controls`.
            InvalidMessage: A `fault` line where no faults are played.
        """
        word, _, rest = text.partition(" ")
        self._check(word)
        self._turn_controls = self._controls.changed(read_overrides(controls or {})).model_dump(exclude_none=True)
        self._seed = seed
        self._is_running = True
        self._cancelled.clear()
        heard = ""
        try:
            async for event in self._events_of(word, rest, text):
                if self._cancelled.is_set():
                    continue
                if isinstance(event, Token):
                    heard += event.text
                yield event
            reason = "cancelled" if self._cancelled.is_set() else _FINISH_REASONS.get(word, "stop")
            source = _SOURCES.get(word, "model")
            self._lines.append(text)
            yield TurnEnd(text=heard, finish_reason=reason, source=source, trace={"script": word})
        finally:
            self._is_running = False

    def cancel(self) -> bool:
        """Stop the running turn; False where none runs."""
        if self._is_running:
            self._cancelled.set()
        return self._is_running

    def action_result(self, call_id: str, result: Mapping[str, Any] | None, error: str | None) -> None:
        """Answer the call that waits.

        Raises:
            UnknownActionCall: No call of that id waits.
        """
        if self._outcome is None or self._outcome.done() or call_id != self._call_id:
            raise UnknownActionCall(f"nothing waits for {call_id!r}", hint="answer a call once, while its turn waits")
        self._outcome.set_result(f"Refused: {error}" if error is not None else f"Result: {as_json(result)}")

    def world_event(self, text: str, game_time: float | None) -> None:
        """Remember it for `events`."""
        self._events.append((text, game_time))

    def set_state(self, changes: Mapping[str, Any]) -> None:
        """Merge the changes.

        Raises:
            InvalidState: `trust` is not an integer; nothing has changed.
        """
        if type(changes.get("trust", 0)) is not int:
            raise InvalidState("trust: a whole number is required", hint="for example 40")
        self._state |= changes

    def set_controls(self, changes: Mapping[str, Any]) -> ControlsInForce:
        """Merge the changes, of which None gives a control back.

        Raises:
            InvalidControls: A control is unknown or out of its range; nothing has changed.
        """
        self._controls = self._controls.changed(read_overrides(changes))
        return ControlsInForce.of(self._controls)

    def undo(self, turns: int) -> int:
        """Forget the last lines; returns how many are left.

        Raises:
            NothingToUndo: There are fewer; nothing has changed.
        """
        if turns > len(self._lines):
            raise NothingToUndo(f"{turns} turns to undo, {len(self._lines)} were said", hint="undo fewer")
        del self._lines[-turns:]
        return len(self._lines)

    def close(self) -> None:
        """Nothing is held."""

    def _check(self, word: str) -> None:
        if word == "busy":
            raise Overloaded("no room", retry_after_s=2.5, hint="later")
        if word == "fault" and self._network is None:
            raise InvalidMessage("no faults are played here", hint="connect to zmq_faults or ws_faults")

    async def _events_of(self, word: str, rest: str, text: str) -> AsyncIterator[TurnEvent]:
        match word:
            case "wait":
                yield Token(text="Hm")
                await self._cancelled.wait()
            case "act":
                async for event in self._act(rest):
                    yield event
            case "slow":
                for index, letter in enumerate(_SLOW_WORDS):
                    yield Token(text=f" {letter}" if index else letter)
                    await self._pause(_SLOW_STEP_S)
                yield Sentence(index=0, text=" ".join(_SLOW_WORDS))
            case "boom":
                yield Token(text="Oh")
                raise RuntimeError("boom was asked for")
            case "silent":
                pass
            case "fault":
                async for event in self._fault(rest):
                    yield event
            case _:
                for event in spoken(self._line(word, text)):
                    yield event

    def _line(self, word: str, text: str) -> str:
        lines = {
            "guarded": "I will not speak of it.",
            "long": "And so on",
            "state": as_json(self._state),
            "events": as_json(self._events),
            "offered": as_json(self._actions),
            "declared": as_json(self._declared),
            "controls": as_json(self._turn_controls),
            "seed": as_json(self._seed),
            "turns": as_json(self._lines),
        }
        return lines.get(word, text)

    async def _act(self, item: str) -> AsyncIterator[TurnEvent]:
        self._call_id = f"call-{next(self._call_numbers)}"
        self._outcome = asyncio.get_running_loop().create_future()
        arguments = {"item": item, "quantity": 2, "price": 12.5, "gift": False, "note": None}
        yield ActionCall(
            call_id=self._call_id,
            name=ACTION_NAME,
            arguments=arguments,
            idempotency_key=f"key-{item}",
            cost=ACTION_COST,
        )
        cancelled = asyncio.ensure_future(self._cancelled.wait())
        waits: list[asyncio.Future[Any]] = [self._outcome, cancelled]
        await asyncio.wait(waits, timeout=self._action_timeout_s, return_when=asyncio.FIRST_COMPLETED)
        cancelled.cancel()
        outcome = self._outcome.result() if self._outcome.done() else "Nobody answered."
        self._outcome = None
        # One sentence, whatever stops the result's text holds.
        for index, piece in enumerate(outcome.split(" ")):
            yield Token(text=f" {piece}" if index else piece)
        yield Sentence(index=0, text=outcome)

    async def _fault(self, name: str) -> AsyncIterator[TurnEvent]:
        if self._network is not None and name in ("stall", "restart", "hangup"):
            yield Token(text="Hm")
            await self._pause(FAULT_DELAY_S)
            if name == "stall":
                # Not awaited: what follows is already on its way, and held up.
                await self._network.stall(STALL_S)
                yield Token(text=" again.")
                yield Sentence(index=0, text="Hm again.")
            else:
                await self._network.cut(RESTART_S if name == "restart" else 0.0)
            return
        for event in spoken(STILL_HERE):
            yield event

    async def _pause(self, seconds: float) -> None:
        """Wait, or less where the turn is cancelled meanwhile."""
        try:
            async with asyncio.timeout(seconds):
                await self._cancelled.wait()
        except TimeoutError:
            pass


class ScriptedDialogue:
    """Three characters, one script.

    Args:
        action_timeout_s: How long an action's answer may take.
        network: What fault lines act on; None where none are played.
    """

    def __init__(self, *, action_timeout_s: float, network: Network | None = None) -> None:
        self._action_timeout_s = action_timeout_s
        self._network = network
        self._numbers = itertools.count(1)

    async def start(self) -> None:
        """Nothing has to be loaded."""

    async def aclose(self) -> None:
        """Nothing is held."""

    def characters(self) -> tuple[ScriptedCharacter, ...]:
        """The three of them."""
        return CHARACTERS

    def open_conversation(
        self,
        character_id: str,
        *,
        player_id: str,
        player_name: str | None,
        state: Mapping[str, Any],
        actions: Sequence[str],
        declare_actions: Sequence[Mapping[str, Any]] = (),
    ) -> ScriptedConversation:
        """Open one.

        Raises:
            UnknownCharacter: None of the three.
            InvalidAction: A declared action has no name.
            InvalidState: As `ScriptedConversation.set_state`.
        """
        if character_id not in {character.id for character in CHARACTERS}:
            raise UnknownCharacter(f"no character {character_id!r}", hint="ask list_characters")
        conversation = ScriptedConversation(
            f"conversation-{next(self._numbers)}",
            f"Well met, {player_name or player_id}.",
            actions=actions,
            declared=_names(declare_actions),
            action_timeout_s=self._action_timeout_s,
            network=self._network,
        )
        conversation.set_state(state)
        return conversation

    def health(self) -> dict[str, Any]:
        """What `health_report.engine` says."""
        return {"model": "scripted", "provider": "none"}

    def metrics_text(self) -> str:
        """One metric."""
        return "# TYPE npc_scripted gauge\nnpc_scripted 1\n"


def _names(actions: Sequence[Mapping[str, Any]]) -> list[str]:
    names = [action.get("name") for action in actions]
    if wrong := [name for name in names if not isinstance(name, str)]:
        raise InvalidAction(f"name: a text is required, not {wrong[0]!r}", hint="for example open_gate")
    return [str(name) for name in names]
