"""The commands of a talk: a name, what follows it, what it does, in one table that `/help` prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

from rich.console import Console

from npc_engine.errors import RequestError
from npc_engine.playtest.terminal.keeping import save_bad_talk, save_talk
from npc_engine.playtest.terminal.session import Session
from npc_engine.playtest.terminal.why import plain_table, why
from npc_engine.playtest.terminal.words import parse_count, parse_state, parse_value
from npc_engine.protocol.messages import MAX_SEED, ControlsSet


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What commands work with.

    Attributes:
        session: The talk.
        console: Where answers go.
        scenarios: The file that `/bad` adds to.
    """

    session: Session
    console: Console
    scenarios: Path

    def told(self, text: str) -> None:
        """Say what has happened."""
        self.console.print(f"  {text}", style="yellow", markup=False)


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        run: Carries it out with what follows the name.
        usage: What follows the name.
        help: What it does.
        needs_words: Whether something must follow.
    """

    run: Callable[[Desk, str], None]
    usage: str
    help: str
    needs_words: bool = False


def run_command(line: str, desk: Desk) -> None:
    """Carry out a line that begins with `/`.

    Raises:
        RequestError: There is no such command, or it lacks something.
        NpcEngineError: What it came to.
    """
    name, _, words = line.partition(" ")
    command = COMMANDS.get(name)
    if command is None:
        near = get_close_matches(name, COMMANDS, n=1)
        raise RequestError(
            f"unknown command {name[:40]}", hint=f"did you mean {near[0]}?" if near else "/help lists the commands"
        )
    words = words.strip()
    if command.needs_words and not words:
        raise RequestError(f"{name} needs {command.usage}", hint=f"{name} {command.usage}: {command.help}")
    command.run(desk, words)


def _why(desk: Desk, words: str) -> None:
    last = desk.session.last
    why(last.heard if last else None, desk.console)


def _set(desk: Desk, words: str) -> None:
    if not words:
        _show_controls(desk, desk.session.set_controls({}))
        return
    name, _, value = words.replace("=", " ").partition(" ")
    if not value.strip():
        raise RequestError(f"/set {name} needs a value", hint="for example: /set role_play 0.2")
    _show_controls(desk, desk.session.set_controls({name: parse_value(value.strip())}), only=name)


def _reset(desk: Desk, words: str) -> None:
    names = words.split() or list(desk.session.controls)
    now = desk.session.set_controls(dict.fromkeys(names))
    desk.told(f"back to the sheet and the engine: {', '.join(names) or 'nothing was set'}")
    _show_controls(desk, now)


def _show_controls(desk: Desk, now: ControlsSet, *, only: str | None = None) -> None:
    in_force = cast("dict[str, dict[str, float | None]]", now.in_force)
    routes = list(in_force)
    table = plain_table("", "control", "set here", *routes)
    for name, own in now.controls.items():
        if only in (None, name):
            values: list[Any] = [own, *(in_force[route].get(name) for route in routes)]
            cells = ["" if value is None else f"{value:g}" for value in values]
            table.add_row(name, *cells, style="bold" if own is not None else None)
    desk.console.print(table)


def _event(desk: Desk, words: str) -> None:
    desk.session.tell(words.strip('"'))
    desk.told("[game] the character knows")


def _state(desk: Desk, words: str) -> None:
    if words:
        desk.session.change_state(parse_state(words))
        desk.told("[game] the state has changed")
    desk.told(f"[game] told so far: {desk.session.state or 'nothing'}")


def _undo(desk: Desk, words: str) -> None:
    turns = parse_count("/undo", words, default=1)
    remaining = desk.session.undo(turns)
    desk.told(f"taken back: {turns}; {remaining} left that can be taken back")


def _retry(desk: Desk, words: str) -> None:
    seed = parse_count("/retry", words, default=-1) if words else None
    if seed is not None and not 0 <= seed <= MAX_SEED:
        raise RequestError(f"/retry: a seed of {seed}", hint=f"a seed is a whole number from 0 to {MAX_SEED}")
    desk.session.retry(seed)


def _save(desk: Desk, words: str) -> None:
    session = desk.session
    path = Path(words).expanduser()
    save_talk(path, session.everything, name=session.name, player=session.player, greeting=session.greeting)
    desk.told(f"written to {path}, turns: {len(session.everything)}")


def _as(desk: Desk, words: str) -> None:
    greeting = desk.session.become(words)
    desk.told(f"you are {words}; a talk of its own begins")
    desk.console.print(f"{desk.session.name}: {greeting}", style="bold", markup=False)


def _bad(desk: Desk, words: str) -> None:
    session = desk.session
    name = save_bad_talk(
        desk.scenarios, session.said, character=session.character, wrong=words, state=session.opening_state
    )
    desk.told(f"kept as the scenario {name!r} in {desk.scenarios}; say there what must come instead")
    desk.told(f"next: npc-engine playtest run {desk.scenarios} --only {name!r}")


def _actions(desk: Desk, words: str) -> None:
    desk.told(f"[game] {desk.session.game.changes}")


def _help(desk: Desk, words: str) -> None:
    desk.console.print(help_text(), markup=False, soft_wrap=True)


def help_text() -> str:
    """Every command with what it does."""
    heads = {name: f"{name} {command.usage}".strip() for name, command in COMMANDS.items()}
    width = max(map(len, heads.values()))
    rows = [f"{heads[name]:<{width}}  {command.help}" for name, command in COMMANDS.items()]
    return "\n".join([*rows, f"{'/quit':<{width}}  leave (so does the end of input)"])


COMMANDS: dict[str, Command] = {
    "/why": Command(_why, "", "the last reply's premises, candidates, verdicts, controls, and where its time went"),
    "/set": Command(_set, "[CONTROL VALUE]", "change a control of this talk: role_play 0.2; alone, list all"),
    "/reset": Command(_reset, "[CONTROL ...]", "give controls back to the sheet and the engine; alone, all of them"),
    "/event": Command(_event, "TEXT", "the character learns that something happened", needs_words=True),
    "/state": Command(
        _state,
        "[KEY=VALUE ...]",
        "change the game's state: trust=60 place=mill hour=9 flags=rain,fair quests=siege:2",
    ),
    "/actions": Command(_actions, "", "what the actions have changed"),
    "/undo": Command(_undo, "[TURNS]", "take the last turns back; what the game told stays told"),
    "/retry": Command(_retry, "[SEED]", "hear the last line answered again"),
    "/save": Command(_save, "FILE", "write the talk; with every trace where FILE ends in .json", needs_words=True),
    "/as": Command(_as, "PLAYER", "go on as another player, in a talk of its own", needs_words=True),
    "/bad": Command(_bad, "[WHAT IS WRONG]", "keep the talk as a scenario to fix"),
    "/help": Command(_help, "", "this list"),
}
NAMES = (*COMMANDS, "/quit")
