"""The commands of a talk: a name, what follows it, what it does, in one table that `/help` prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from npc_engine.errors import RequestError
from npc_engine.playtest.terminal.desk import Command, Desk, Talk, help_text, show_greetings
from npc_engine.playtest.terminal.session import Session
from npc_engine.playtest.terminal.why import plain_table, why
from npc_engine.playtest.terminal.words import parse_count, parse_state, parse_value
from npc_engine.protocol.messages import MAX_SEED, ControlsSet


def _why(desk: Desk[Talk], words: str) -> None:
    why(desk.session.heard(words), desk.console)


def _set(desk: Desk[Talk], words: str) -> None:
    if not words:
        _show_controls(desk, desk.session.set_controls({}))
        return
    name, _, value = words.replace("=", " ").partition(" ")
    if not value.strip():
        raise RequestError(f"/set {name} needs a value", hint="for example: /set role_play 0.2")
    _show_controls(desk, desk.session.set_controls({name: parse_value(value.strip())}), only=name)


def _reset(desk: Desk[Talk], words: str) -> None:
    names = words.split() or list(desk.session.controls)
    now = desk.session.set_controls(dict.fromkeys(names))
    desk.told(f"back to the sheet and the engine: {', '.join(names) or 'nothing was set'}")
    _show_controls(desk, now)


def _show_controls(desk: Desk[Talk], now: ControlsSet, *, only: str | None = None) -> None:
    in_force = cast("dict[str, dict[str, float | None]]", now.in_force)
    routes = list(in_force)
    table = plain_table("", "control", "set here", *routes)
    for name, own in now.controls.items():
        if only in (None, name):
            values: list[Any] = [own, *(in_force[route].get(name) for route in routes)]
            cells = ["" if value is None else f"{value:g}" for value in values]
            table.add_row(name, *cells, style="bold" if own is not None else None)
    desk.console.print(table)


def _event(desk: Desk[Talk], words: str) -> None:
    desk.session.tell(words.strip('"'))
    desk.told("[game] the character knows")


def _state(desk: Desk[Talk], words: str) -> None:
    if words:
        desk.session.change_state(parse_state(words))
        desk.told("[game] the state has changed")
    desk.told(f"[game] told so far: {desk.session.state or 'nothing'}")


def _undo(desk: Desk[Session], words: str) -> None:
    turns = parse_count("/undo", words, default=1)
    remaining = desk.session.undo(turns)
    desk.told(f"taken back: {turns}; {remaining} left that can be taken back")


def _retry(desk: Desk[Session], words: str) -> None:
    seed = parse_count("/retry", words, default=-1) if words else None
    if seed is not None and not 0 <= seed <= MAX_SEED:
        raise RequestError(f"/retry: a seed of {seed}", hint=f"a seed is a whole number from 0 to {MAX_SEED}")
    desk.session.retry(seed)


def _save(desk: Desk[Talk], words: str) -> None:
    path = Path(words).expanduser()
    desk.told(f"written to {path}, turns: {desk.session.save(path)}")


def _as(desk: Desk[Talk], words: str) -> None:
    desk.session.become(words)
    desk.told(f"you are {words}; a talk of its own begins")
    show_greetings(desk.session, desk.console)


def _bad(desk: Desk[Session], words: str) -> None:
    name = desk.session.keep_bad(desk.scenarios, words)
    desk.told(f"kept as the scenario {name!r} in {desk.scenarios}; say there what must come instead")
    desk.told(f"next: npc-engine playtest run {desk.scenarios} --only {name!r}")


def _actions(desk: Desk[Talk], words: str) -> None:
    desk.told(f"[game] {desk.session.game.changes}")


def _help(desk: Desk[Talk], words: str) -> None:
    desk.console.print(help_text(desk.commands), markup=False, soft_wrap=True)


# What can be done in a talk of any kind.
SHARED: dict[str, Command[Talk]] = {
    "/why": Command(
        _why, "[NAME]", "the last reply's premises, candidates, verdicts, controls, and where its time went"
    ),
    "/set": Command(_set, "[CONTROL VALUE]", "change a control of this talk: role_play 0.2; alone, list all"),
    "/reset": Command(_reset, "[CONTROL ...]", "give controls back to the sheet and the engine; alone, all of them"),
    "/event": Command(_event, "TEXT", "the character learns that something happened", needs_words=True),
    "/state": Command(
        _state,
        "[KEY=VALUE ...]",
        "change the game's state: trust=60 place=mill hour=9 flags=rain,fair quests=siege:2",
    ),
    "/actions": Command(_actions, "", "what the actions have changed"),
    "/save": Command(_save, "FILE", "write the talk; with every trace where FILE ends in .json", needs_words=True),
    "/as": Command(_as, "PLAYER", "go on as another player, in a talk of its own", needs_words=True),
}
HELP: dict[str, Command[Talk]] = {"/help": Command(_help, "", "this list")}
# What can be done in a talk with one character.
COMMANDS: dict[str, Command[Session]] = {
    **cast("dict[str, Command[Session]]", SHARED),
    "/undo": Command(_undo, "[TURNS]", "take the last turns back; what the game told stays told"),
    "/retry": Command(_retry, "[SEED]", "hear the last line answered again"),
    "/bad": Command(_bad, "[WHAT IS WRONG]", "keep the talk as a scenario to fix"),
    **cast("dict[str, Command[Session]]", HELP),
}
