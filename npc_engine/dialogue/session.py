"""One player's conversation with one character, and the turn that runs in it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npc_engine.actions.choose import Choice
from npc_engine.actions.record import Record
from npc_engine.actions.shortlist import ActionIndex, Evidence
from npc_engine.config import EngineConfig
from npc_engine.dialogue.admission import one_line
from npc_engine.dialogue.character import Character
from npc_engine.dialogue.controls import engine_controls
from npc_engine.dialogue.events import ActionCall, TurnEnd, TurnEvent
from npc_engine.dialogue.grounding import Grounding, Premise, WorldEvent
from npc_engine.dialogue.memory import History, Statements
from npc_engine.dialogue.overrides import ControlsInForce, read_overrides
from npc_engine.dialogue.past import Before, Past
from npc_engine.dialogue.reading_ahead import ReadingAhead
from npc_engine.dialogue.speaking import Reply
from npc_engine.dialogue.stop import StopReason, StopSignal
from npc_engine.dialogue.straying import Straying
from npc_engine.dialogue.trace import Trace
from npc_engine.dialogue.turn import run_turn
from npc_engine.dialogue.voice import VoiceControl
from npc_engine.errors import ConversationClosed, NpcEngineError, Overloaded, TurnInProgress, UnknownActionCall
from npc_engine.sheets.conditions import GameState
from npc_engine.sheets.controls import ControlOverrides, Route, resolve
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
        record: What has become of its actions.
        past: The turns that can be taken back.
        listeners: Names under which the model may not go on talking.
        overrides: The controls that were set for this conversation.
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
        self.record = Record()
        self.past = Past()
        self.listeners = (player_name,) if player_name else ()
        self.overrides = ControlOverrides()
        self._config = config
        self._seed = config.seed if config.seed is not None else secrets.randbits(32)
        self._num_turns = 0
        self._action_index: ActionIndex | None = None
        self._num_events = 0
        self._turn: Turn | None = None
        self._waiting: dict[str, asyncio.Future[ActionResult]] = {}
        self._is_closed = False
        self._ahead = ReadingAhead()
        self._renewed: tuple[Character, tuple[ActionSpec, ...]] | None = None

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._is_closed

    @property
    def num_turns(self) -> int:
        """How many turns have begun; the running one is the last of them."""
        return self._num_turns

    async def action_index(self) -> ActionIndex:
        """What `actions` are found by."""
        if self._action_index is None:
            self._action_index = await self.character.action_index(self.actions)
        return self._action_index

    async def warm(self) -> None:
        """Do what only the first turn would else wait for: find and read what the game offers."""
        await self.action_index()
        await self.character.warm_actions(self.actions)

    @property
    def greeting(self) -> str:
        """What the character says first."""
        return self.character.sheet.greeting

    async def say(
        self,
        text: str,
        *,
        controls: ControlOverrides | Mapping[str, Any] | None = None,
        seed: int | None = None,
    ) -> AsyncGenerator[TurnEvent, None]:
        """The player says something; yields what follows, a TurnEnd last.

        Closing the generator abandons the turn: nothing of it is remembered.

        Args:
            text: What the player says.
            controls: Controls for this turn alone; a mapping is read as the game sends it.
            seed: What the turn draws by, 0 to 2^32 - 1: the same seed after the same talk draws alike. None:
                another one each turn, also after `undo`.

        Raises:
            ConversationClosed: It was closed.
            TurnInProgress: The character is still answering. That turn goes on.
            TextTooLong: Over `max_text_chars`.
            InvalidControls: A control is unknown, or its value is wrong.
            RequestError: There is no visible character in the text.
        """
        self._check_open()
        if self._turn is not None:
            raise TurnInProgress("the character is still answering", hint="wait for turn_end, or cancel")
        self._renew()
        if isinstance(controls, Mapping):
            controls = read_overrides(controls)
        if seed is None:
            seed = (self._seed + self._num_turns) & 0xFFFFFFFF
        turn = Turn(self, text, config=self._config, seed=seed, controls=controls)
        self._turn = turn
        self._num_turns += 1
        try:
            await self._ahead.stop()
            async with aclosing(run_turn(turn)) as events:
                async for event in events:
                    if isinstance(event, TurnEnd) and self._config.read_ahead and not self._is_closed:
                        self._ahead.begin(self)
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

    def renew(self, character: Character, actions: tuple[ActionSpec, ...]) -> None:
        """Go on with a changed sheet from the next turn; history, state and statements stay.

        Args:
            character: The same character, of another sheet.
            actions: What the game can run of the new sheet's actions.
        """
        self._renewed = (character, actions)
        if self._turn is None:
            self._renew()

    def set_controls(self, changes: ControlOverrides | Mapping[str, Any]) -> ControlsInForce:
        """Set controls for the conversation, from the next turn on; a running turn keeps those it began with.

        Controls that `changes` does not name stay as they were; one that it names as None goes back to the sheet's.

        Args:
            changes: What changes; a mapping is read as the game sends it.

        Returns:
            The values now in force.

        Raises:
            ConversationClosed: It was closed.
            InvalidControls: A control is unknown, or its value is wrong. Nothing has changed.
        """
        self._check_open()
        if isinstance(changes, Mapping):
            changes = read_overrides(changes)
        self.overrides = self.overrides.changed(changes)
        return ControlsInForce.of(
            self.overrides, sheet=self.character.sheet.controls, engine=engine_controls(self._config)
        )

    def undo(self, turns: int = 1) -> int:
        """Take back the last turns: what was said, what the character told of herself, what became of actions.

        World events, the state and the controls stay, since the game set them, and so does what the game did for an
        action: that is the game's to take back.

        Args:
            turns: How many, at least 1.

        Returns:
            How many turns are left that can be taken back.

        Raises:
            ConversationClosed: It was closed.
            TurnInProgress: The character is still answering.
            NothingToUndo: There are fewer. Nothing has changed.
        """
        self._check_open()
        if self._turn is not None:
            raise TurnInProgress("the character is still answering", hint="wait for turn_end, or cancel")
        undone = self.past.take_back(turns)
        self.history.take_back(turns)
        for before in undone:
            if before.learned is not None:
                self.statements.forget(before.learned)
        pending, self.record = undone[0].pending, undone[0].record
        # A sheet that was changed meanwhile may not have the action any more.
        self.pending = pending if pending is not None and pending.action in self.actions else None
        return len(self.past)

    def close(self) -> None:
        """End the talk: cancel a running turn, free its KV cache. Idempotent."""
        self._is_closed = True
        self._ahead.cancel()
        self.cancel()
        self.character.engine.release(self.id)

    def open_call(
        self, action: ActionSpec, arguments: dict[str, Any], *, idempotency_key: str
    ) -> tuple[ActionCall, asyncio.Future[ActionResult]]:
        """Register an action call; its future is done when the game answers."""
        call = ActionCall(
            call_id=secrets.token_hex(6),
            name=action.name,
            arguments=arguments,
            idempotency_key=idempotency_key,
            cost=action.cost,
        )
        future: asyncio.Future[ActionResult] = asyncio.get_running_loop().create_future()
        self._waiting[call.call_id] = future
        return call, future

    def close_call(self, call_id: str) -> None:
        """Forget an action call, answered or not."""
        self._waiting.pop(call_id, None)

    def _renew(self) -> None:
        if self._renewed is not None:
            (self.character, self.actions), self._renewed = self._renewed, None
            self._action_index = None
            if self.pending is not None and self.pending.action not in self.actions:
                self.pending = None  # what was offered is another action now, or none

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
        controls: The controls that were given with the line.
    """

    def __init__(
        self,
        conversation: Conversation,
        text: str,
        *,
        config: EngineConfig,
        seed: int,
        controls: ControlOverrides | None = None,
    ) -> None:
        self.conversation = conversation
        self.character = conversation.character
        self.line = text
        self.seed = seed
        self.before = Before(pending=conversation.pending, record=deepcopy(conversation.record))
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
        self.action_evidence: tuple[Evidence, ...] = ()
        self.in_play: str | None = None  # the action that the line goes on with
        self.straying: Straying | None = None
        # ground
        self.grounding = Grounding(premises=(), unknown_topic=None, num_candidates=0, num_hidden=0)
        self.route = Route.SMALL_TALK
        self._resolve = partial(
            resolve,
            sheet=self.character.sheet.controls,
            engine=engine_controls(config),
            conversation=conversation.overrides,
            turn=controls,
        )
        self.settle_controls()
        # act
        self.confirmed: Choice | None = None
        self.offer: Choice | None = None
        self.results: list[Premise] = []
        self.done_actions: list[str] = []
        self.done_line: str | None = None  # the sheet's own words for what was done
        self.closing = ""  # said after the reply: the sheet's offer of what follows a success
        self.directives: list[str] = []
        # speak
        self.reply = Reply()

    def eligible_actions(self) -> tuple[ActionSpec, ...]:
        """The actions that the game runs and whose condition holds now."""
        state = self.conversation.state
        return tuple(a for a in self.conversation.actions if a.when is None or a.when.holds(state))

    def settle_controls(self) -> None:
        """Resolve the controls on the turn's route, and what they make of the voice."""
        resolved = self._resolve(self.route)
        self.controls = resolved.values
        self.voice = VoiceControl(
            self.character.voice,
            controls=self.controls,
            route=self.route,
            exchanges=self.conversation.history.exchanges,
            line=self.line,
        )
        self.trace.data["controls"] = resolved.as_data()

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
