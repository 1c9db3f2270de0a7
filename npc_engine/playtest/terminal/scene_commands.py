"""The commands of a talk with several characters: those of any talk, and who is there."""

from __future__ import annotations

from typing import cast

from rich.text import Text

from npc_engine.playtest.terminal.commands import HELP, SHARED
from npc_engine.playtest.terminal.desk import Command, Desk
from npc_engine.playtest.terminal.scene_session import SceneSession
from npc_engine.playtest.terminal.why import plain_table

_SHOWN_CHARS = 100


def _leave(desk: Desk[SceneSession], words: str) -> None:
    member = desk.session.leave(words)
    desk.told(f"{member.name} has gone and hears nothing until /join {member.id}")


def _join(desk: Desk[SceneSession], words: str) -> None:
    member, is_new = desk.session.join(words)
    desk.told(f"{member.name} is here")
    if is_new:
        desk.console.print(f"{member.name}: {member.greeting}", style="bold", markup=False)


def _who(desk: Desk[SceneSession], words: str) -> None:
    table = plain_table("", "who", "", "heard last")
    for member in desk.session.members:
        heard = member.heard[-1].told(max_chars=_SHOWN_CHARS) if member.heard else "nothing"
        table.add_row(Text(member.name), "here" if member.is_present else "away", Text(heard))
    desk.console.print(table)


SCENE_COMMANDS: dict[str, Command[SceneSession]] = {
    **cast("dict[str, Command[SceneSession]]", SHARED),
    "/who": Command(_who, "", "who is here, and what each heard last"),
    "/leave": Command(_leave, "NAME", "somebody goes and hears nothing", needs_words=True),
    "/join": Command(_join, "NAME", "somebody comes, or comes back", needs_words=True),
    **cast("dict[str, Command[SceneSession]]", HELP),
}
