"""`npc-engine serve`: load the model and the characters, listen, and stop on Ctrl+C."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from npc_engine.cli.console import err, out


def serve(
    *,
    model: Annotated[str | None, typer.Option(help="Dialogue model: a profile or an installed model's name.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    threads: Annotated[int | None, typer.Option(help="Inference threads.")] = None,
    sheets: Annotated[list[Path] | None, typer.Option(help="Sheet file or folder; may be given again.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Take changed sheets while running.")] = False,
    address: Annotated[str | None, typer.Option(help="Where to listen, such as tcp://127.0.0.1:5570.")] = None,
    keys: Annotated[Path | None, typer.Option(help="The server's .key_secret file; needed off loopback.")] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file with any setting.")] = None,
    generate_keys: Annotated[
        Path | None, typer.Option(help="Make CURVE keys in this folder and leave.", metavar="DIR")
    ] = None,
) -> None:
    """Serve the characters to games over ZeroMQ."""
    # What loads models takes seconds to import; `--generate-keys` and `--help` need none of it.
    from npc_engine.config import load_config
    from npc_engine.server.auth import check_listening
    from npc_engine.server.auth import generate_keys as make_keys

    if generate_keys is not None:
        make_keys(generate_keys)
        out.print(f"keys are in {generate_keys}", markup=False)
        out.print(
            "next: `npc-engine serve --keys` with server.key_secret; give server.key and game.key_secret to the game"
        )
        return
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = load_config(
        config,
        model=model,
        device=device,
        threads=threads,
        sheets=tuple(sheets) if sheets else None,
        watch_sheets=True if watch else None,
        address=address,
        curve_secret_key_file=keys,
    )
    check_listening(settings)
    err.print(f"loading {settings.model} ...", markup=False)
    from npc_engine.dialogue.engine import load_dialogue
    from npc_engine.server.run import run_server

    dialogue = load_dialogue(settings)

    def announce(address: str) -> None:
        for name, value in _scalars(dialogue.health()):
            out.print(f"{name + ':':<24} {value}", markup=False, highlight=False, soft_wrap=True)
        for character in dialogue.characters():
            out.print(
                f"{'character:':<24} {character.id} ({character.name}, {character.role})", markup=False, soft_wrap=True
            )
        out.print(f"{'address:':<24} {address}", markup=False, highlight=False, soft_wrap=True)
        out.print("ready; Ctrl+C stops", markup=False)

    report = run_server(dialogue, config=settings, on_ready=announce)
    out.print(f"stopped: {report.num_finished} turns finished, {report.num_cancelled} cancelled", markup=False)


def _scalars(report: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in report.items():
        if isinstance(value, Mapping):
            yield from _scalars(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", value
