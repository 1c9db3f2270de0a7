"""The command `npc-engine`: one module a sub-command, each importing what it needs when it runs.

Exit codes: 0 done; 1 a deliberate error, printed as code, message and hint; 2 the command line itself is wrong;
130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

import npc_engine
from npc_engine.cli import bench, conformance, demo, doctor, models, play, playtest, serve, sheet
from npc_engine.cli.console import print_error
from npc_engine.errors import NpcEngineError

app = typer.Typer(
    name="npc-engine",
    help="Local, grounded dialogue for game characters.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"npc-engine {npc_engine.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Local, grounded dialogue for game characters."""


app.command("demo")(demo.demo)
app.command("play")(play.play)
app.command("serve")(serve.serve)
app.command("doctor")(doctor.doctor)
app.command("conformance-server")(conformance.conformance_server)
models.app.command("bench")(bench.bench)
app.add_typer(models.app, name="models")
app.add_typer(sheet.app, name="sheet")
app.add_typer(playtest.app, name="playtest")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process.

    Args:
        arguments: What follows `npc-engine`; None means the process's own.
    """
    try:
        app(args=arguments)
    except NpcEngineError as error:
        print_error(error)
        sys.exit(1)
