"""The loop of a talk: a line is said, a command is carried out, a wrong one is explained and nothing is lost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from npc_engine.client.blocking import Client
from npc_engine.errors import ConnectionLost, NpcEngineError
from npc_engine.playtest.terminal.commands import COMMANDS
from npc_engine.playtest.terminal.desk import Desk, run_command, show_greetings
from npc_engine.playtest.terminal.game import GameKind, make_game
from npc_engine.playtest.terminal.reading import Lines, standard_input
from npc_engine.playtest.terminal.scene_commands import SCENE_COMMANDS
from npc_engine.playtest.terminal.scene_session import SceneSession
from npc_engine.playtest.terminal.session import Session


def talk(
    client: Client,
    character: str,
    *,
    player: str,
    others: Sequence[str] = (),
    console: Console | None = None,
    seed: int | None = None,
    game: GameKind = GameKind.STUB,
    scenarios: Path | None = None,
    history: Path | None = None,
    lines: Lines | None = None,
) -> None:
    """Talk until the input ends.

    Args:
        client: Connected.
        character: The character's id.
        player: The player's name.
        others: Ids of further characters who are there: the talk is a scene, over a connection of its own.
        console: Where everything is shown.
        seed: What the first line draws by, the next one by the next number; None leaves it to the server.
        game: Who answers actions.
        scenarios: The file that `/bad` adds to; one in the folder `scenarios` here where none is given.
        history: File of what was typed before; None keeps it for this talk.
        lines: What is typed; standard input where none is given.

    Raises:
        NpcEngineError: A character is not loaded; or the server is gone and nobody sits there to go on.
    """
    console = console or Console(highlight=False)
    commands = SCENE_COMMANDS if others else COMMANDS
    lines = lines or standard_input((*commands, "/quit"), history)
    the_game = make_game(game, lines.ask)
    session: Session | SceneSession
    if others:
        everybody = (character, *others)
        session = SceneSession(client.address, everybody, player=player, game=the_game, console=console, seed=seed)
    else:
        session = Session(client, character, player=player, game=the_game, console=console, seed=seed)
    kept = scenarios or Path("scenarios") / f"{character}.yaml"
    _run(Desk(session=session, console=console, scenarios=kept, commands=commands), lines)


def _run(desk: Desk[Any], lines: Lines) -> None:
    session, console = desk.session, desk.console
    try:
        show_greetings(session, console)
        if lines.is_interactive:
            console.print("  /help lists the commands; Ctrl+C stops a reply, Ctrl+D leaves", style="dim")
        for line in lines:
            if line.split()[0] in ("/quit", "/exit"):
                return
            try:
                if line.startswith("/"):
                    run_command(line, desk)
                else:
                    session.say(line)
            except ConnectionLost as error:
                if not lines.is_interactive:
                    raise
                session.lose()
                _explain(error, console)
                console.print("  the next line connects again; what was said is kept", style="yellow")
            except NpcEngineError as error:
                _explain(error, console)
    finally:
        session.close()


def _explain(error: NpcEngineError, console: Console) -> None:
    console.print(str(error), style="red", markup=False, soft_wrap=True)
