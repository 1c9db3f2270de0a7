"""A server in this process for the commands that talk: install what is missing, load, serve, connect."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from npc_engine.cli.console import err, progress_sink
from npc_engine.client.blocking import Client
from npc_engine.config import EngineConfig
from npc_engine.errors import ModelNotInstalled
from npc_engine.models.progress import human_bytes

# Seconds a gigabyte of source takes to build on 2 cores: see docs/benchmarks/README.md.
_BUILD_S_PER_GB = 20
_BYTES_PER_S_AT_100_MBIT = 12_500_000
_POLL_S = 0.2


@contextmanager
def local_client(settings: EngineConfig, *, ask: bool) -> Iterator[Client]:
    """A client of a server that runs in this process on a free port until the block ends.

    Args:
        settings: The engine's; the address is replaced.
        ask: Ask before a download, where there is somebody to ask.

    Raises:
        NpcEngineError: A model or sheet does not load, or the device cannot be had.
    """
    for name in (settings.model, settings.encoder):
        install_if_missing(name, settings.cache_dir, ask=ask)
    err.print(f"loading {settings.model} ...", markup=False)
    from npc_engine.dialogue.engine import load_dialogue
    from npc_engine.server.background import BackgroundServer

    dialogue = load_dialogue(settings)
    free_port = settings.model_copy(update={"address": "tcp://127.0.0.1:*"})
    with BackgroundServer(dialogue, config=free_port) as server, Client(server.address) as client:
        yield client


def wait_until_warm(client: Client) -> None:
    """Wait until every character's prompt prefix is computed, as it is in a server that has been up for a while."""
    with err.status("reading the character sheets into the model ...") as status:
        while (engine := client.health().engine)["is_warming"]:
            status.update(f"reading the character sheets ({engine['characters_warm']} of {engine['characters']}) ...")
            time.sleep(_POLL_S)


def install_if_missing(name: str, cache_dir: Path, *, ask: bool) -> None:
    """Install a model of the catalogue unless it is there; says size and time before it downloads.

    Raises:
        ModelError: It is in no catalogue, or could not be fetched or built.
    """
    from npc_engine.models.catalogue import load_catalogue
    from npc_engine.models.install import find_installed, pull

    try:
        find_installed(name, cache_dir)
        return
    except ModelNotInstalled:
        entry = load_catalogue()[name]
    size = entry.download_bytes or 0
    build_s = max(5, round(size / 1e9 * _BUILD_S_PER_GB))
    err.print(
        f"{name} ({entry.title}, {entry.licence.spdx}) is not installed yet: {human_bytes(size)} to download into "
        f"{cache_dir} ({size / _BYTES_PER_S_AT_100_MBIT:.0f} s at 100 Mbit/s), then about {build_s} s to build.",
        markup=False,
        soft_wrap=True,
    )
    if ask and sys.stdin.isatty() and not typer.confirm("Download it now?", default=True, err=True):
        raise typer.Abort
    with progress_sink() as progress:
        pull(name, cache_dir, progress=progress)
