"""One writer's talk with one character: what was said, what the game told, and what can be done about it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from npc_engine.client.blocking import Client, Conversation
from npc_engine.client.turn import ActionFailed
from npc_engine.errors import ConnectionLost, NothingToUndo, RequestError, UnknownActionCall, UnknownCharacter
from npc_engine.playtest.heard import HeardTurn, figures, follow
from npc_engine.playtest.terminal.game import Game, call_line, outcome_line
from npc_engine.playtest.terminal.keeping import Said, save_bad_talk, save_talk
from npc_engine.protocol.messages import MAX_SEED, ActionCall, ControlsSet, Token
from npc_engine.sheets.conditions import GameState


class Session:
    """The talk. It opens its conversation itself, and again where the connection was lost.

    Args:
        client: Connected.
        character: Whom to talk to.
        player: The player's name and id.
        game: Answers actions.
        console: Where everything is shown.
        seed: What the first line draws by, the next one by the next number; None leaves it to the server.

    Attributes:
        said: The turns, in order.
        player: Who talks.
        name: The character's name.
        greeting: What the character said first.
        game: Answers actions.
        controls: What was set; applied again in a new conversation.
    """

    def __init__(
        self, client: Client, character: str, *, player: str, game: Game, console: Console, seed: int | None = None
    ) -> None:
        self.said: list[Said] = []
        self._before_loss: list[Said] = []
        self.player = player
        self.character = character
        self.game = game
        self.controls: dict[str, Any] = {}
        self._client = client
        self._seed = seed
        self._console = console
        self._opening: dict[str, Any] = {}
        self._pending = Said(HeardTurn(line=""))
        self._conversation: Conversation | None = None
        names = {entry.id: entry.name for entry in client.characters()}
        if character not in names:
            raise UnknownCharacter(f"no character {character!r}", hint=f"loaded are: {', '.join(names) or 'none'}")
        self.name = names[character]
        self.greeting = self._open().greeting

    @property
    def last(self) -> Said | None:
        """The last turn."""
        return self.said[-1] if self.said else None

    @property
    def greetings(self) -> list[tuple[str, str]]:
        """Who said what first."""
        return [(self.name, self.greeting)]

    @property
    def everything(self) -> list[Said]:
        """Also the turns of talks that a lost connection ended."""
        return [*self._before_loss, *self.said]

    @property
    def opening_state(self) -> GameState:
        """The game's state when the talk began, as far as this talk was told."""
        return GameState.parse(self._opening)

    @property
    def state(self) -> dict[str, Any]:
        """The game's state now, as far as this talk was told."""
        changes: dict[str, Any] = dict(self._opening)
        for one in (*self.said, self._pending):
            changes |= one.changes
        return changes

    def heard(self, who: str = "") -> HeardTurn | None:
        """The last turn; None before the first.

        Raises:
            RequestError: Somebody else is meant.
        """
        if who and who.casefold() not in (self.character, self.name.casefold(), self.name.split()[0].casefold()):
            raise RequestError(f"{who[:60]} is not here", hint=f"you talk to {self.name} alone")
        return self.last.heard if self.last else None

    def save(self, path: Path) -> int:
        """Write the talk; returns the number of its turns.

        Raises:
            ReportNotWritten: The file exists, or cannot be written.
        """
        save_talk(path, self.everything, name=self.name, player=self.player, greeting=self.greeting)
        return len(self.everything)

    def keep_bad(self, path: Path, wrong: str) -> str:
        """Keep the talk as a scenario in this file; returns its name. Raises as `save_bad_talk`."""
        return save_bad_talk(path, self.said, character=self.character, wrong=wrong, state=self.opening_state)

    def close(self) -> None:
        """End the conversation."""
        if self._conversation is not None:
            self._conversation.close()
            self._conversation = None

    def say(self, line: str, *, seed: int | None = None) -> None:
        """Speak, and show the reply as it comes. Ctrl+C cancels the reply; what was heard of it stays.

        Raises:
            NpcEngineError: The server refused the line, or is gone.
        """
        talk = self._open()
        if seed is None and self._seed is not None:
            seed = (self._seed + len(self.said)) & MAX_SEED
        heard = HeardTurn(line=line)
        said = Said(heard, changes=self._pending.changes, events=self._pending.events)
        self._console.print(f"{self.name}: ", style="bold", end="", markup=False)
        begun = time.perf_counter()
        turn = talk.say(line, seed=seed)
        try:
            for event in follow(turn, heard, begun=begun):
                if isinstance(event, Token):
                    self._console.out(event.text, end="", highlight=False)
                elif isinstance(event, ActionCall):
                    self._console.print()
                    self._answer(talk, event, said)
        except KeyboardInterrupt:
            heard.count(turn.cancel(), time.perf_counter() - begun)
            self._console.print(" (cancelled)", style="yellow", end="", markup=False)
        except Exception:
            self._console.print()
            raise
        self._console.print()
        self._console.print(f"  {figures(heard)}", style="dim", markup=False)
        self.said.append(said)
        self._pending = Said(HeardTurn(line=""))

    def retry(self, seed: int | None = None) -> None:
        """Take the last turn back and say its line again, by this seed or any other than before.

        Raises:
            NothingToUndo: Nothing has been said.
            NpcEngineError: As `say`; the turn is then taken back.
        """
        line = self._last_line("/retry")
        self.undo()
        self.say(line, seed=secrets.randbelow(MAX_SEED) if seed is None else seed)

    def undo(self, turns: int = 1) -> int:
        """Take back the last turns; what the game told stays told. Returns how many are left.

        Raises:
            NothingToUndo: There are fewer; nothing has changed.
        """
        if turns > len(self.said):
            raise NothingToUndo(f"{len(self.said)} turns were said", hint="say something first")
        remaining = self._open().undo(turns)
        taken, self.said = self.said[-turns:], self.said[:-turns]
        changes: dict[str, Any] = {}
        events: list[str] = []
        for one in (*taken, self._pending):
            changes |= one.changes
            events += one.events
        self._pending = Said(HeardTurn(line=""), changes=changes, events=events)
        return remaining

    def tell(self, event: str) -> None:
        """Let the character learn something."""
        self._open().world_event(event)
        self._pending.events.append(event)

    def change_state(self, changes: Mapping[str, Any]) -> None:
        """Change the game's state.

        Raises:
            InvalidState: Nothing has changed.
        """
        self._open().set_state(changes)
        if self.said or self._pending.events:
            self._pending.changes |= changes
        else:
            self._opening |= changes

    def set_controls(self, controls: Mapping[str, Any]) -> ControlsSet:
        """Change controls; None gives one back. Without any, only says what is in force.

        Raises:
            InvalidControls: Nothing has changed.
        """
        now = self._open().set_controls(controls)
        self.controls = {name: value for name, value in now.controls.items() if value is not None}
        return now

    def become(self, player: str) -> None:
        """Go on as another player, in a talk of its own, which greets; the state and controls stay."""
        self.close()
        self._opening, self._before_loss = self.state, []
        self.player, self.said, self._pending = player, [], Said(HeardTurn(line=""))
        self.greeting = self._open().greeting

    def lose(self) -> None:
        """The connection is gone; the next line connects anew. What was said is kept."""
        self._conversation = None

    def _last_line(self, command: str) -> str:
        if self.last is None:
            raise NothingToUndo(f"{command}: nothing has been said yet", hint="say something first")
        return self.last.heard.line

    def _open(self) -> Conversation:
        """The conversation; a new one where there is none, with the state and controls of this talk."""
        if self._conversation is not None:
            return self._conversation
        is_anew = bool(self.said)
        self._conversation = self._connected(
            lambda: self._client.open(
                self.character,
                player_id=self.player,
                player_name=self.player,
                state=self.state,
                actions=self.game.actions,
            )
        )
        if self.controls:
            self._conversation.set_controls(self.controls)
        if is_anew:
            self._before_loss += self.said
            self._opening, self.said, self._pending = self.state, [], Said(HeardTurn(line=""))
            self._console.print("  a new talk: what was said before is forgotten", style="yellow", markup=False)
        return self._conversation

    def _connected(self, work: Callable[[], Conversation]) -> Conversation:
        try:
            return work()
        except ConnectionLost:
            self._client.connect()
            return work()

    def _answer(self, talk: Conversation, call: ActionCall, said: Said) -> None:
        self._show(call_line(call))
        outcome: dict[str, Any] | str
        try:
            outcome = self.game.run(call)
        except ActionFailed as failure:
            outcome = failure.reason
        try:
            if isinstance(outcome, str):
                talk.refuse(call, outcome)
            else:
                talk.answer(call, outcome)
        except UnknownActionCall:
            self._show("[game] answered too late: the turn went on without it")
            return
        said.results.append(outcome)
        self._show(outcome_line(outcome))

    def _show(self, text: str) -> None:
        self._console.print(f"  {text}", style="yellow", markup=False)
