"""Writes docs/cli.md: what `npc-engine COMMAND --help` says, for every command.

python tools/help_reference.py            write
python tools/help_reference.py --check    exit with 1 where the page is out of date
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

# Before typer and rich are imported: the page must not depend on the terminal it was written in.
os.environ |= {"COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1", "TERMINAL_WIDTH": "100"}
for name in ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS"):
    os.environ.pop(name, None)

import typer  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from npc_engine.cli.main import app  # noqa: E402

PAGE = Path(__file__).resolve().parents[1] / "docs" / "cli.md"
PROGRAM = "npc-engine"
INTRODUCTION = f"""# The command line

What `{PROGRAM} COMMAND --help` prints, written by `tools/help_reference.py`; a test holds that it is up to date.
Results go to standard output, everything else to standard error. Exit codes: 0 done; 1 a deliberate error, printed as
code, message and hint ([errors](errors/README.md)), or findings that a check was asked to fail for; 2 the command line
itself is wrong; 130 interrupted.

`{PROGRAM} --install-completion` teaches the shell to complete commands and options (bash, zsh, fish, PowerShell);
`{PROGRAM} --show-completion` prints the same script for your own start-up file. Open a new shell afterwards.
"""


def commands() -> Iterator[tuple[str, ...]]:
    """The words of every command, groups before what is in them."""

    def below(command: object, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield words
        for name, inner in sorted(getattr(command, "commands", {}).items()):
            if not inner.hidden:
                yield from below(inner, (*words, name))

    yield from below(typer.main.get_command(app), ())


def help_of(words: tuple[str, ...]) -> str:
    """What a command's `--help` prints, without white space at line ends.

    Raises:
        RuntimeError: The command failed.
    """
    result = CliRunner().invoke(app, [*words, "--help"], prog_name=PROGRAM)
    if result.exit_code:
        raise RuntimeError(f"{' '.join(words)} --help ended with {result.exit_code}: {result.output}")
    return "\n".join(line.rstrip() for line in result.output.strip().splitlines())


def rendered() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    for words in commands():
        heading = " ".join((PROGRAM, *words))
        parts.append(f"{'#' * min(4, 2 + max(0, len(words) - 1))} `{heading}`\n\n```text\n{help_of(words)}\n```\n")
    return "\n".join(parts)


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where the page is out of date")
    is_current = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == rendered()
    if parser.parse_args().check:
        return int(not is_current)
    PAGE.write_text(rendered(), encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
