"""`npc-engine play`: talk to a character in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def play(
    character: Annotated[str, typer.Argument(help="A character's id, such as hesta.", show_default=False)],
    *,
    address: Annotated[
        str | None, typer.Option(help="A running server; without it, one is started in this process.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Dialogue model: a profile or an installed model's name.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    threads: Annotated[int | None, typer.Option(help="Inference threads.")] = None,
    sheets: Annotated[list[Path] | None, typer.Option(help="Sheet file or folder; may be given again.")] = None,
    player: Annotated[str, typer.Option(help="Your name.")] = "Traveller",
    seed: Annotated[int | None, typer.Option(help="Makes replies repeatable.")] = None,
) -> None:
    """Talk to a character. Lines that begin with / are commands; /help lists them. Pipes work too."""
    from npc_engine.cli.local import local_client
    from npc_engine.client.blocking import Client
    from npc_engine.config import load_config
    from npc_engine.playtest.terminal import talk

    if address is not None:
        with Client(address) as client:
            talk(client, character, player=player)
        return
    settings = load_config(
        model=model, device=device, threads=threads, sheets=tuple(sheets) if sheets else None, seed=seed
    )
    with local_client(settings, ask=True) as client:
        talk(client, character, player=player)
