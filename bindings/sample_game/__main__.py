"""The command: `python -m bindings.sample_game`, from the repository's root."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from npc_engine.client.blocking import Client
from npc_engine.client.turn import DEFAULT_ADDRESS
from npc_engine.errors import NpcEngineError

from .talk import HELP, Game
from .village import Village


def main(arguments: list[str]) -> int:
    """Plays from the terminal or a script; returns the exit status, 1 where the server or the script is missing."""
    parser = argparse.ArgumentParser(prog="sample_game", description="A village with three characters.")
    parser.add_argument("--address", default=DEFAULT_ADDRESS, help="the server's address (default: %(default)s)")
    parser.add_argument("--player", default="Ada", help="your name (default: %(default)s)")
    parser.add_argument("--script", type=Path, help="play the lines of this file instead of the terminal's")
    options = parser.parse_args(arguments)
    try:
        script = options.script and options.script.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        print(f"cannot read the script {options.script}: {error}", file=sys.stderr)
        return 1
    lines = _typed() if script is None else _scripted(script)
    try:
        with Client(options.address) as client:
            print(HELP)
            Game(client, Village(options.player)).play(lines)
    except NpcEngineError as error:
        print(f"{error.code}: {error.message}. {error.hint}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _typed() -> Iterator[str]:
    while True:
        try:
            yield input("> ")
        except EOFError:
            return


def _scripted(lines: list[str]) -> Iterator[str]:
    for line in lines:
        print(f"> {line}")
        yield line


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
