"""One writer's talk with several characters: the same as `Session` to the loop, over a scene."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from rich.console import Console

from npc_engine.client.asynchronous import AsyncClient
from npc_engine.client.turn import ActionFailed
from npc_engine.errors import NpcEngineError
from npc_engine.playtest.heard import HeardTurn, figures
from npc_engine.playtest.scene import Member, Reply, Round, Scene, Utterance
from npc_engine.playtest.terminal.game import Game, call_line, outcome_line
from npc_engine.playtest.terminal.keeping import turn_data, write_new
from npc_engine.protocol.messages import MAX_SEED, ActionCall, ControlsSet, Token, TurnEnd


class SceneSession:
    """The talk. It opens its scene itself, and again where the connection was lost.

    Args:
        address: The server's address.
        characters: Ids of those who are there, the first being whom one talks to at first.
        player: The player's name and id.
        game: Answers actions.
        console: Where everything is shown.
        seed: What the first reply draws by, the next one by the next number; None leaves it to the server.

    Attributes:
        player: Who talks.
        game: Answers actions.
        controls: What was set, for everybody.
        state: The game's state, as far as this talk was told.

    Raises:
        NpcEngineError: A character is unknown or named twice, or no server is there. Nothing is left open.
    """

    def __init__(
        self,
        address: str,
        characters: Sequence[str],
        *,
        player: str,
        game: Game,
        console: Console,
        seed: int | None = None,
    ) -> None:
        self.player = player
        self.game = game
        self.controls: dict[str, Any] = {}
        self.state: dict[str, Any] = {}
        self._console = console
        self._seed = seed
        self._here = list(characters)
        self._away: list[str] = []
        # Of scenes that are over: a lost connection ended them.
        self._rounds: list[Round] = []
        self._said: list[Utterance] = []
        self._runner = asyncio.Runner()
        self._client = AsyncClient(address)
        self._scene: Scene | None = None
        try:
            self._runner.run(self._client.connect())
            self._open()
        except BaseException:
            self.close()
            raise

    @property
    def members(self) -> list[Member]:
        """Everybody who takes part."""
        return self._open().members

    @property
    def greetings(self) -> list[tuple[str, str]]:
        """Who said what first."""
        return [(member.name, member.greeting) for member in self.members if member.greeting]

    @property
    def rounds(self) -> list[Round]:
        """What was said, also before a connection was lost."""
        return [*self._rounds, *(self._scene.rounds if self._scene else ())]

    def close(self) -> None:
        """End the scene and the connection."""
        if self._scene is not None:
            self._runner.run(self._scene.close())
            self._scene = None
        self._runner.run(self._client.close())
        self._runner.close()

    def say(self, line: str) -> None:
        """Speak, and show each reply as it comes. Ctrl+C cancels what is being said; what was heard of it stays.

        Raises:
            NpcEngineError: The server refused the line, or is gone.
        """
        scene = self._open()
        self._runner.run(self._say(scene, line))

    def heard(self, who: str = "") -> HeardTurn | None:
        """The last turn, of whoever or of one member; None where nothing was said.

        Raises:
            UnknownCharacter: Nobody is called so.
        """
        member = self._open().member(who).id if who else None
        turns = [one for current in self.rounds for one in current.replies if one.heard.end is not None]
        return next((one.heard for one in reversed(turns) if member in (None, one.member)), None)

    def tell(self, event: str) -> None:
        """Let everybody who is there learn something."""
        self._runner.run(self._open().world_event(event))

    def change_state(self, changes: Mapping[str, Any]) -> None:
        """Change the game's state.

        Raises:
            InvalidState: Nothing has changed.
        """
        self._runner.run(self._open().set_state(changes))
        self.state |= changes

    def set_controls(self, controls: Mapping[str, Any]) -> ControlsSet:
        """Change everybody's controls; None gives one back. Returns what the last speaker, else the first, has now.

        Raises:
            InvalidControls: Nothing has changed.
        """
        scene = self._open()
        now = self._runner.run(scene.set_controls(controls))
        spoken = [one.member for current in scene.rounds for one in current.replies if one.member in now]
        shown = now[spoken[-1] if spoken else next(iter(now))]
        self.controls = {name: value for name, value in shown.controls.items() if value is not None}
        return shown

    def become(self, player: str) -> None:
        """Go on as another player, in a scene of its own, which greets; the state and controls stay."""
        scene = self._open()
        self._runner.run(scene.close())
        self._scene, self._rounds, self._said = None, [], []
        self.player = player
        self._open()

    def leave(self, name: str) -> Member:
        """Somebody goes.

        Raises:
            UnknownCharacter, RequestError: It is not there.
        """
        member = self._runner.run(self._open().leave(name))
        self._here.remove(member.id)
        self._away.append(member.id)
        return member

    def join(self, name: str) -> tuple[Member, bool]:
        """Somebody comes; returns it, and whether it greets.

        Raises:
            UnknownCharacter, RequestError: Nobody is called so, or it is there.
        """
        member = self._runner.run(self._open().join(name))
        is_new = member.id not in self._away
        self._here.append(member.id)
        if not is_new:
            self._away.remove(member.id)
        return member, is_new

    def save(self, path: Path) -> int:
        """Write what was said: with every trace as JSON where the file is called .json. Returns the number of replies.

        Raises:
            ReportNotWritten: The file exists, or cannot be written.
        """
        said = [*self._said, *(self._scene.hearing.said if self._scene else ())]
        if path.suffix.lower() == ".json":
            write_new(path, json.dumps(self._as_data(said), indent=1, ensure_ascii=False))
        else:
            write_new(path, "\n".join(f"{one.speaker} to {', '.join(one.to)}: {one.text}" for one in said))
        return sum(len(current.replies) for current in self.rounds)

    def lose(self) -> None:
        """The connection is gone; the next line connects anew. What was said is kept."""
        if self._scene is not None:
            self._rounds += self._scene.rounds
            self._said += self._scene.hearing.said
            self._scene = None

    def _open(self) -> Scene:
        """The scene; a new one where there is none, with the state and controls of this talk."""
        if self._scene is None:
            self._scene = self._runner.run(self._begun())
            if self._rounds:
                self._console.print("  a new talk: what was said before is forgotten", style="yellow", markup=False)
        return self._scene

    async def _begun(self) -> Scene:
        if self._rounds or self._said:
            await self._client.connect()
        scene = Scene(
            self._client,
            player_id=self.player,
            player_name=self.player,
            state=self.state,
            on_action=self._run_action if self.game.actions else None,
            actions=self.game.actions,
        )
        await scene.begin(self._here, absent=self._away)
        if self.controls:
            await scene.set_controls(self.controls)
        return scene

    async def _say(self, scene: Scene, line: str) -> None:
        shown: Reply | None = None
        seed = None
        if self._seed is not None:
            seed = (self._seed + sum(len(current.replies) for current in self.rounds)) & MAX_SEED
        try:
            async with aclosing(scene.say(line, seed=seed)) as events:
                async for one in events:
                    if one.reply is not shown:
                        shown = one.reply
                        self._begin_reply(scene, one.reply)
                    match one.event:
                        case Token():
                            self._console.out(one.event.text, end="", highlight=False)
                        case TurnEnd():
                            self._end_reply(one.reply)
                        case NpcEngineError():
                            self._console.print()
                            self._console.print(str(one.event), style="red", markup=False, soft_wrap=True)
        except asyncio.CancelledError:
            # Ctrl+C: the scene has cancelled the turn.
            task = asyncio.current_task()
            assert task is not None  # this is one
            task.uncancel()
            self._console.print(" (cancelled)", style="yellow", end="", markup=False)
            if shown is not None:
                self._end_reply(shown)
        for member in scene.rounds[-1].absent if scene.rounds else ():
            self._show(f"{scene.member(member).name} is not here; /join {member}")

    def _begin_reply(self, scene: Scene, reply: Reply) -> None:
        to = f" (to {scene.member(reply.to).name})" if reply.to else ""
        self._console.print(f"{scene.member(reply.member).name}{to}: ", style="bold", end="", markup=False)

    def _end_reply(self, reply: Reply) -> None:
        self._console.print()
        self._console.print(f"  {figures(reply.heard)}", style="dim", markup=False)

    async def _run_action(self, member: str, call: ActionCall) -> Mapping[str, Any]:
        self._console.print()
        self._show(call_line(call))
        outcome: dict[str, Any] | str
        try:
            # A game by hand waits for somebody to type.
            outcome = await asyncio.to_thread(self.game.run, call)
        except ActionFailed as failure:
            outcome = failure.reason
            self._show(outcome_line(outcome))
            raise
        self._show(outcome_line(outcome))
        return outcome

    def _show(self, text: str) -> None:
        self._console.print(f"  {text}", style="yellow", markup=False)

    def _as_data(self, said: Sequence[Utterance]) -> dict[str, Any]:
        return {
            "player": self.player,
            "characters": [*self._here, *self._away],
            "said": [
                {"speaker": one.speaker, "to": one.to, "text": one.text, "heard_by": one.heard_by} for one in said
            ],
            "rounds": [
                {
                    "line": current.line,
                    "addressed": current.addressed.members,
                    "how": current.addressed.how,
                    "replies": [
                        {
                            "member": one.member,
                            "to": one.to,
                            "error": f"{one.error.code}: {one.error.message}" if one.error else None,
                            **turn_data(one.heard),
                        }
                        for one in current.replies
                    ],
                }
                for current in self.rounds
            ],
        }
