"""Plays `npc-engine play` in a terminal and in a browser, and saves what they showed in docs/images/.

python -m tools.play_pictures [MODEL] [terminal|page]     needs a system with pseudo-terminals; the page needs Chromium
"""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

from npc_engine.sheets.library import shipped_sheets_dir
from tools.chromium import Page, chromium_page, find_chromium

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
COLUMNS = 110
MAX_LINES = 74
PATIENCE_S = 500.0
QUIET_S = 3.0
# The prompt asks the terminal to mark what is pasted; it says so each time that it waits for a line.
PROMPTED = b"\x1b[?2004h"
HEARD = "document.querySelector('.turn.last .foot') && !document.querySelector('.caret')"
TYPED = (
    "Who is the boy at the forge?",
    "/set role_play 0.1",
    "/retry 1",
    "/why",
    "/bad not what her sheet says",
    "/quit",
)
CAST = ("ambrose", "corin", "gil", "hesta")
LINES = ("Who is the boy at the forge?", "What does a short sword cost?", "Where does your iron come from?")


def main(model: str = "base", part: str = "") -> None:
    """Take the pictures."""
    if part in ("", "terminal"):
        terminal(model)
    if part in ("", "page"):
        page(model)


def terminal(model: str) -> None:
    """A talk in the terminal, as docs/images/play-terminal.svg."""
    with tempfile.TemporaryDirectory() as folder:
        sheet = Path(folder) / "hesta.yaml"
        sheet.write_bytes((shipped_sheets_dir() / "hesta.yaml").read_bytes())
        lore = shipped_sheets_dir() / "lore"
        (Path(folder) / "lore").symlink_to(lore, target_is_directory=True)
        arguments = ["play", "hesta", "--model", model, "--seed", "1", "--sheets", "hesta.yaml"]
        shown = _typed(arguments, Path(folder), list(TYPED))
    lines = _as_read(shown)
    if len(lines) > MAX_LINES:
        lines = [*lines[:MAX_LINES], "..."]
    console = Console(record=True, width=COLUMNS, highlight=False, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(Text.from_ansi("\n".join([f"$ npc-engine {' '.join(arguments[:2])}", *lines])))
    # The drawing names fonts at an outside address; a reader's own fixed-width font does.
    drawing = console.export_svg(title="npc-engine play hesta")
    (IMAGES / "play-terminal.svg").write_text(re.sub(r"@font-face \{.*?\}", "", drawing, flags=re.S), encoding="utf-8")


def _typed(arguments: list[str], home: Path, answers: list[str]) -> str:
    """What a terminal shows while the lines are typed, each when nothing has moved for a while."""
    process, fd = pty.fork()
    if process == 0:
        os.chdir(home)
        os.environ |= {"COLUMNS": str(COLUMNS), "LINES": "60", "TERM": "xterm-256color"}
        os.execv(sys.executable, [sys.executable, "-m", "npc_engine", *arguments])
    shown, typed_at, moved = b"", 0, time.monotonic()
    end = moved + PATIENCE_S
    while time.monotonic() < end:
        if select.select([fd], [], [], 0.3)[0]:
            try:
                piece = os.read(fd, 65536)
            except OSError:  # the other side has closed
                break
            if not piece:
                break
            shown, moved = shown + piece, time.monotonic()
            if b"\x1b[6n" in piece:  # where is the cursor?
                os.write(fd, b"\x1b[1;1R")
        elif answers and PROMPTED in shown[typed_at:] and time.monotonic() - moved > QUIET_S:
            typed_at, moved = len(shown), time.monotonic()
            os.write(fd, answers.pop(0).encode() + b"\r")
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if answers or status != 0:
        raise RuntimeError(f"ended with {status}, {len(answers)} lines left:\n{shown.decode(errors='replace')}")
    return shown.decode("utf-8", errors="replace")


def _as_read(shown: str) -> list[str]:
    """The lines of a terminal without what the prompt drew on the way to them."""
    # Colours stay; moves of the cursor, and what switches modes, go.
    plain = re.sub(r"\x1b\[[0-9;?]*[A-LN-Za-ln-z]|\x1b[=>]|\x1b\][^\x07]*\x07|\x08", "", shown)
    lines: list[str] = []
    for line in re.split(r"[\r\n]+", plain):
        bare = re.sub(r"\x1b\[[0-9;]*m", "", line).strip()
        if not bare or set(bare) <= {">"}:
            continue
        is_drawn_again = bare.startswith("> ") and lines and re.sub(r"\x1b\[[0-9;]*m", "", lines[-1]).strip() == bare
        if not is_drawn_again:
            lines.append(bare if bare.startswith("> ") else line.rstrip())
    return lines


def page(model: str) -> None:
    """The page at 1280 and at 390 pixels, as docs/images/play-*.png."""
    program = find_chromium()
    if program is None:
        raise SystemExit("no Chromium; install Debian's package chromium, or name its program in CHROMIUM")
    # One process of the engine; its first line on stdout names the address.
    command = [sys.executable, "-u", "-m", "npc_engine", "play", "--web", "--port", "0", "--model", model]
    command += [word for name in CAST for word in ("--sheets", str(shipped_sheets_dir() / f"{name}.yaml"))]
    engine = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"COLUMNS": "200"})
    assert engine.stdout is not None
    try:
        address = engine.stdout.readline().split()[-1]
        with chromium_page(program) as tab:
            _talk(tab, address)
            if tab.errors:
                raise RuntimeError(f"the page complained: {tab.errors}")
    finally:
        engine.terminate()
        engine.wait()


def _talk(tab: Page, address: str) -> None:
    tab.resize(1280, 800)
    tab.go(address)
    tab.until("document.querySelector('.card[data-character]')")
    _save(tab, "play-cast")
    tab.click("[data-character=hesta]")
    tab.until("!document.getElementById('stage').hidden", timeout_s=PATIENCE_S)
    for number, line in enumerate(LINES, start=1):
        tab.focus("#line")
        tab.type(line)
        tab.press("Enter")
        tab.until(f"document.querySelectorAll('.turn .line').length === {number} && {HEARD}", timeout_s=PATIENCE_S)
        if number == 1:
            _save(tab, "play-trace")
    tab.click("#tab-controls")
    for name, value in (("role_play", 1), ("max_words", 60)):
        tab.js(
            f"(() => {{ const slider = document.getElementById('control-{name}'); slider.value = {value};"
            " slider.dispatchEvent(new Event('change')); })()"
        )
        tab.until(f"document.getElementById('control-{name}').closest('.control').classList.contains('own')")
    tab.click("#controls .primary")
    tab.until(f"document.querySelectorAll('.column').length === 2 && {HEARD}", timeout_s=PATIENCE_S)
    tab.js("document.getElementById('controls').scrollTop = 0")
    _save(tab, "play-side-by-side")
    tab.click("#theme")
    tab.click("#tab-trace")
    _save(tab, "play-dark")
    tab.click("#theme")
    tab.resize(390, 844, is_phone=True, scale=1.5)
    tab.click("#tab-talk")
    tab.js("(() => { const log = document.getElementById('log'); log.scrollTop = log.scrollHeight; })()")
    _save(tab, "play-phone-talk")
    tab.click("#tab-trace")
    tab.js("document.getElementById('trace').scrollTop = 0")
    _save(tab, "play-phone-trace")


def _save(tab: Page, name: str) -> None:
    # Two frames, so that what was just changed is drawn.
    tab.js("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    tab.picture(IMAGES / f"{name}.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
