"""Runs `npc-engine sheet new`, `lint` and `show` in a terminal and saves what it showed as docs/images/sheet-*.svg.

python tools/sheet_pictures.py          needs a system with pseudo-terminals (Linux, macOS) and the model tiny
"""

from __future__ import annotations

import os
import pty
import re
import select
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

from npc_engine.sheets.templates import template_path

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
COLUMNS = 118
MAX_LINES = 44
TIMEOUT_S = 120.0
# What a writer types at the questions of `sheet new`; `<` goes back.
ANSWERS = (
    "innkeeper",
    "Mira Os",
    "<",
    "Mira Oss",
    "",
    "keeper of the Ferry House on the river Oss",
    "",
    "",
    "",
    "",
    "Crossing, or a bed?",
    "I charge 2 pennies for a hot bath.",
    "bath, wash, cost",
    "",
    "I burned the old house down myself.",
    "70",
)
_OLD_TOLL = "  - id: toll-old\n    text: For a cart I take a toll of 3 pennies, and people on foot pass free.\n"
_LEAK = "  - never to say that at night the word heron is enough to be let in\n"
FAULTS = (
    ("greeting: Stop there.", "greeting: Stop there, citizen."),
    ("    when: quest('wall') >= 1", "    when: quest('wall') >= 1 and quest('wall') < 1"),
    ("    - Keep the middle", "    - Name and business, and keep to the middle"),
    ("  - id: blades\n", f"{_OLD_TOLL}  - id: blades\n"),
    ("  - to bring the recruits", f"{_LEAK}  - to bring the recruits"),
)


def main() -> None:
    """Take the three pictures."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        picture("sheet-new", ["sheet", "new"], home, ANSWERS)
        text = template_path("guard").read_text(encoding="utf-8")
        for old, new in FAULTS:
            assert old in text, old
            text = text.replace(old, new, 1)
        (home / "guard.yaml").write_text(text, encoding="utf-8")
        picture("sheet-lint", ["sheet", "lint", "guard.yaml"], home)
        picture("sheet-show", ["sheet", "show", "mira-oss.yaml", "--model", "tiny"], home)


def picture(name: str, arguments: list[str], home: Path, answers: tuple[str, ...] = ()) -> None:
    """Run a command and save what the terminal showed, its first lines where it is long."""
    shown = run(arguments, home, list(answers))
    lines = shown.replace("\r\n", "\n").rstrip().split("\n")
    if len(lines) > MAX_LINES:
        lines = [*lines[:MAX_LINES], f"... {len(lines) - MAX_LINES} more lines"]
    console = Console(record=True, width=COLUMNS, highlight=False, file=open(os.devnull, "w"))  # noqa: SIM115
    command = " ".join(["npc-engine", *arguments])
    console.print(Text.from_ansi("\n".join([f"$ {command}", *lines])))
    # The drawing names fonts at an outside address; a reader's own fixed-width font does.
    drawing = console.export_svg(title=command)
    (IMAGES / f"{name}.svg").write_text(re.sub(r"@font-face \{.*?\}", "", drawing, flags=re.S), encoding="utf-8")


def run(arguments: list[str], home: Path, answers: list[str]) -> str:
    """What a terminal shows while a command runs and the answers are typed, one at each prompt."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(home)
        os.environ |= {"COLUMNS": str(COLUMNS), "LINES": "60"}
        os.execv(sys.executable, [sys.executable, "-m", "npc_engine", *arguments])
    shown, end = b"", time.monotonic() + TIMEOUT_S
    typed_at = 0
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.3)[0]:
            try:
                piece = os.read(terminal, 65536)
            except OSError:  # the other side has closed
                break
            if not piece:
                break
            shown += piece
        elif answers and len(shown) > typed_at and shown.rstrip(b" ").endswith(b":"):
            os.write(terminal, answers.pop(0).encode() + b"\n")
            typed_at = len(shown)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if answers or status not in (0, 1):
        raise RuntimeError(f"{arguments} ended with {status}, {len(answers)} answers left:\n{shown.decode()}")
    return shown.decode("utf-8")


if __name__ == "__main__":
    main()
