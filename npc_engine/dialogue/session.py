"""One player's conversation with one character, and the turn that runs in it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npc_engine.actions.choose import Choice
from npc_engine.config import EngineConfig
from npc_engine.dialogue.admission import one_line
from npc_engine.dialogue.character import Character
from npc_engine.dialogue.events import ActionCall, TurnEvent
from npc_engine.dialogue.grounding import Grounding, Premise, WorldEvent
from npc_engine.dialogue.memory import History, Statements
from npc_engine.dialogue.speaking import Reply
from npc_engine.dialogue.stop import StopReason, StopSignal
from npc_engine.dialogue.trace import Trace
from npc_engine.dialogue.turn import run_turn
from npc_engine.errors import ConversationClosed, NpcEngineError, Overloaded, TurnInProgress, UnknownActionCall
from npc_engine.sheets.conditions import GameState
from npc_engine.sheets.controls import ControlValues, Route
from npc_engine.sheets.schema import ActionSpec, FallbackReason

# World events a conversation remembers; the oldest go first.
MAX_EVENTS = 200


@dataclass(frozen=True, kw_only=True)
class ActionResult:
    """What the game answered to an action call: a result or an error."""

    result: Mapping[str, Any] | None = None
    error: str | None = None


class Conversation:
    """One player's talk with one character. Use it from the event loop that opened it.

    Attributes:
        id: Its name on the wire.
        character: Whom the player talks to.
        player_id: The game's name for the player.
        state: What the game has told; conditions look at it.
        actions: What the game can run of the sheet's actions.
        events: What the game has told the character happened.
        history: What was said.
        statements: What the character has told this player about herself beyond her sheet, here or in an earlier talk.
        pending: An action the character has offered and the player has not agreed to yet.
        listeners: Names under which the model may not go on talking.
    """

    def __init__(
        self,
        character: Character,
        *,
        player_id: str,
        player_name: str | None,
        state: GameState,
        actions: tuple[ActionSpec, ...],
        statements: Statements,
        config: EngineConfig,
    ) -> None:
        self.id = secrets.token_hex(8)
        self.character = character
        self.player_id = player_id
        self.state = state
        self.actions = actions
        self.events: list[WorldEvent] = []
        self.history = History()
        self.statements = statements
        self.pending: Choice | None = None
        self.listeners = (player_name,) if player_name else ()
        self._config = config
        self._seed = config.seed if config.seed is not None else secrets.randbits(32)
        self._num_turns = 0
        self._num_events = 0
        self._turn: Turn | None = None
        self._waiting: dict[str, asyncio.Future[ActionResult]] = {}
        self._is_closed = False

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._is_closed

    @property
    def greeting(self) -> str:
        """What the character says first."""
        return self.character.sheet.greeting

    async def say(self, text: str) -> AsyncGenerator[TurnEvent, None]:
        """The player says something; yields what follows, a TurnEnd last.

        Closing the generator abandons the turn: nothing of it is remembered.

        Raises:
            ConversationClosed: It was closed.
            TurnInProgress: The character is still answering. That turn goes on.
            TextTooLong: Over `max_text_chars`.
            RequestError: There is no visible character in the text.
        """
        self._check_open()
        if self._turn is not None:
            raise TurnInProgress("the character is still answering", hint="wait for turn_end, or cancel")
        turn = Turn(self, text, config=self._config, seed=(self._seed + self._num_turns) & 0xFFFFFFFF)
        self._turn = turn
        self._num_turns += 1
        try:
            async with aclosing(run_turn(turn)) as events:
                async for event in events:
                    yield event
        finally:
            self._turn = None

    def cancel(self) -> bool:
        """Stop the running turn; it ends with a TurnEnd of what was heard. False where there is none."""
        if self._turn is None:
            return False
        self._turn.stop.cancel()
        return True

    def action_result(self, call_id: str, result: Mapping[str, Any] | None, error: str | None) -> None:
        """The game's answer to an action call.

        Raises:
            UnknownActionCall: No call with that id is waiting: answered before, timed out, or never made.
        """
        waiting = self._waiting.get(call_id)
        if waiting is None or waiting.done():
            raise UnknownActionCall(
                f"no action call {call_id!r} is waiting", hint="answer each action_call once, within action_timeout_s"
            )
        waiting.set_result(ActionResult(result=result, error=error))

    def world_event(self, text: str, game_time: float | None = None) -> None:
        """The character learns that something happened.

        Raises:
            ConversationClosed: It was closed.
            TextTooLong: Over `max_text_chars`.
            RequestError: There is no visible character in the text.
        """
        self._check_open()
        line = one_line(text, max_chars=self._config.max_text_chars)
        self._num_events += 1
        self.events.append(WorldEvent(id=f"event:{self._num_events}", text=line, game_time=game_time))
        del self.events[:-MAX_EVENTS]

    def set_state(self, changes: Mapping[str, Any]) -> None:
        """Change the game's state from the next turn on.

        Raises:
            ConversationClosed: It was closed.
            InvalidState: A key is unknown or a value has a wrong type or range. The state is unchanged.
        """
        self._check_open()
        self.state = self.state.updated(changes)

    def close(self) -> None:
        """End the talk: cancel a running turn, free its KV cache. Idempotent."""
        self._is_closed = True
        self.cancel()
        self.character.engine.release(self.id)

    def open_call(self, name: str, arguments: dict[str, Any]) -> tuple[ActionCall, asyncio.Future[ActionResult]]:
        """Register an action call; its future is done when the game answers."""
        call = ActionCall(call_id=secrets.token_hex(6), name=name, arguments=arguments)
        future: asyncio.Future[ActionResult] = asyncio.get_running_loop().create_future()
        self._waiting[call.call_id] = future
        return call, future

    def close_call(self, call_id: str) -> None:
        """Forget an action call, answered or not."""
        self._waiting.pop(call_id, None)

    def _check_open(self) -> None:
        if self._is_closed:
            raise ConversationClosed("the conversation is closed", hint="open a new one")


class Turn:
    """One turn on its way through the stages, which fill it from top to bottom.

    Args:
        conversation: Where it takes place.
        text: What the player said, as it came.
        config: Limits and sampling.
        seed: Of this turn's sampling and of its pick among authored lines.
    """

    def __init__(self, conversation: Conversation, text: str, *, config: EngineConfig, seed: int) -> None:
        self.conversation = conversation
        self.character = conversation.character
        self.line = text
        self.seed = seed
        self.max_text_chars = config.max_text_chars
        self.action_timeout_s = config.action_timeout_s
        self.temperature = config.temperature
        self.guard = config.guard
        self.first_sentence_candidates = config.first_sentence_candidates
        self.sentence_resamples = config.sentence_resamples
        self.stop = StopSignal(config.turn_deadline_s)
        self.trace = Trace()
        self.trace.data["seed"] = seed
        # route
        self.embedding: NDArray[np.float32] = np.zeros(0, np.float32)
        self.candidate_actions: tuple[ActionSpec, ...] = ()
        # ground
        self.grounding = Grounding(premises=(), unknown_topic=None, num_candidates=0, num_hidden=0)
        self.route = Route.SMALL_TALK
        self.controls: ControlValues = self.character.sheet.controls.at(self.route)
        # act
        self.confirmed: Choice | None = None
        self.offer: Choice | None = None
        self.results: list[Premise] = []
        self.is_done = False  # whether the game reported success
        self.directives: list[str] = []
        # speak
        self.reply = Reply()

    def eligible_actions(self) -> tuple[ActionSpec, ...]:
        """The actions that the game runs and whose condition holds now."""
        state = self.conversation.state
        return tuple(a for a in self.conversation.actions if a.when is None or a.when.holds(state))

    def fallback(self, reason: FallbackReason) -> str:
        """One of the sheet's authored lines for a reason, another one from turn to turn."""
        return self.pick(self.character.sheet.fallback(reason))

    def pick(self, lines: Sequence[str]) -> str:
        """One of the lines by the turn's seed; empty where there is none."""
        return lines[self.seed % len(lines)] if lines else ""

    def stopped(self, reason: StopReason) -> None:
        """Note that the turn was stopped from outside; what was heard stays, what was to be offered does not."""
        self.offer = None
        self.reply.finish_reason = "cancelled" if reason == "cancelled" else "length"
        self.trace.data["stopped"] = reason

    def failed(self, error: NpcEngineError) -> None:
        """Note that the engine could not finish the reply; what was heard stays, what was to be offered does not."""
        self.offer = None
        self.reply.finish_reason = "length"
        self.trace.data["error"] = {"code": error.code, "message": error.message}
        if isinstance(error, Overloaded):
            self.trace.data["error"]["retry_after_s"] = error.retry_after_s
