"""`npc-engine play`: talk to a character in the terminal, or to all of them in a page of this machine's browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from npc_engine.playtest.terminal.game import GameKind

if TYPE_CHECKING:
    from npc_engine.config import EngineConfig

# Somebody who answers for the game by hand is slower than a game.
HAND_TIMEOUT_S = 300.0
DEFAULT_PORT = 5572


def play(
    character: Annotated[
        str | None, typer.Argument(help="A character's id, such as hesta; the page needs none.", show_default=False)
    ] = None,
    *,
    with_: Annotated[
        list[str] | None,
        typer.Option("--with", help="Somebody else who is there, by id; may be given again.", show_default=False),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(help="A running server, such as tcp://127.0.0.1:5570; else one is started in this process."),
    ] = None,
    web: Annotated[bool, typer.Option("--web", help="Serve a page to talk in, on this machine only.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The page's port; 0 takes a free one.")] = DEFAULT_PORT,
    model: Annotated[str | None, typer.Option(help="Dialogue model: a profile or an installed model's name.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    threads: Annotated[int | None, typer.Option(help="Inference threads.")] = None,
    sheets: Annotated[list[Path] | None, typer.Option(help="Sheet file or folder; may be given again.")] = None,
    player: Annotated[str, typer.Option(help="Your name.")] = "Traveller",
    seed: Annotated[int | None, typer.Option(min=0, max=(1 << 32) - 1, help="Makes replies repeatable.")] = None,
    game: Annotated[
        GameKind,
        typer.Option(help="Who answers actions: a small shop (stub), you (hand), or nobody, and none are offered."),
    ] = GameKind.STUB,
) -> None:
    """Talk to a character. Lines that begin with / are commands; /help lists them. Pipes work too.

    With --with there are several: each hears what is said to the others, and a line is meant for whom it names.
    With --web a browser on this machine talks to every loaded character, and shows each reply's trace beside it.
    """
    from npc_engine.config import load_config

    if web and endpoint is not None:
        raise typer.BadParameter("--web serves its page from an engine of its own; leave --endpoint out")
    if endpoint is not None and (model or device or threads):
        raise typer.BadParameter("--model, --device and --threads are the server's own; leave them or --endpoint out")
    if web and with_:
        raise typer.BadParameter("the page talks to one character at a time; leave --with or --web out")
    if not web and character is None:
        raise typer.BadParameter("name a character, such as hesta, or give --web", param_hint="CHARACTER")
    by_hand: dict[str, Any] = {"action_timeout_s": HAND_TIMEOUT_S, "turn_deadline_s": 2 * HAND_TIMEOUT_S}
    settings = load_config(
        model=model,
        device=device,
        threads=threads,
        sheets=tuple(sheets) if sheets else None,
        seed=seed,
        **(by_hand if game is GameKind.HAND and not web else {}),
    )
    if web:
        _web(settings, port)
        return
    assert character is not None
    _terminal(settings, character, endpoint=endpoint, player=player, others=with_ or (), seed=seed, game=game)


def _terminal(
    settings: EngineConfig, character: str, *, endpoint: str | None, seed: int | None, **options: Any
) -> None:
    from npc_engine.cli.local import local_client
    from npc_engine.client.blocking import Client
    from npc_engine.playtest.terminal import talk

    history = settings.cache_dir / "play-history"
    if endpoint is not None:
        with Client(endpoint) as client:
            # The server's sheets are not known here, unless they are named too.
            scenarios = _scenarios_of(settings, character) if settings.sheets else None
            talk(client, character, scenarios=scenarios, history=history, seed=seed, **options)
        return
    with local_client(settings, ask=True) as client:
        talk(client, character, scenarios=_scenarios_of(settings, character), history=history, seed=seed, **options)


def _scenarios_of(settings: EngineConfig, character: str) -> Path | None:
    """The scenario file beside a character's sheet; None where no sheet has this id."""
    from npc_engine.playtest.scenarios.loading import scenario_path
    from npc_engine.sheets.library import shipped_sheets_dir
    from npc_engine.sheets.loader import load_sheet, sheet_files

    for file in sheet_files(settings.sheets or (shipped_sheets_dir(),)):
        if load_sheet(file).id == character:
            return scenario_path(file)
    return None


def _web(settings: EngineConfig, port: int) -> None:
    from npc_engine.cli.console import err, out
    from npc_engine.cli.local import install_if_missing

    for name in (settings.model, settings.encoder):
        install_if_missing(name, settings.cache_dir, ask=True)
    err.print(f"loading {settings.model} ...", markup=False)
    from npc_engine.dialogue.engine import load_dialogue
    from npc_engine.playtest.web import page_files
    from npc_engine.server.background import BackgroundServer
    from npc_engine.server.site import Site

    config = settings.model_copy(
        update={
            "address": "tcp://127.0.0.1:*",
            "websocket_address": f"ws://127.0.0.1:{port}",
            # Sheets are edited while one talks, and a page may answer actions by hand.
            "watch_sheets": True,
            "action_timeout_s": HAND_TIMEOUT_S,
            "turn_deadline_s": 2 * HAND_TIMEOUT_S,
        }
    )
    with BackgroundServer(load_dialogue(config), config=config, site=Site(page_files())) as server:
        out.print(f"talk at {server.websocket_address.replace('ws://', 'http://', 1)}", markup=False, highlight=False)
        out.print("Ctrl+C stops; changed sheets are taken while it runs", markup=False)
        try:
            server.wait()
        except KeyboardInterrupt:
            err.print("stopping ...", markup=False)
