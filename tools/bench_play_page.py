"""Whether the playtest page slows down: the time from a key to the frame that shows it, at turn 1 and later.

python -m tools.bench_play_page [TURNS]     needs Chromium; prints a table

A real engine of tiny models answers, the twelve shipped characters are loaded; the page in the browser is measured.
"""

from __future__ import annotations

import json
import sys
import tempfile
from itertools import chain
from pathlib import Path

from npc_engine.config import EngineConfig
from npc_engine.dialogue.engine import build_dialogue
from npc_engine.models.build import build_decoder, build_encoder
from npc_engine.playtest.web import page_files
from npc_engine.server.background import BackgroundServer
from npc_engine.server.site import Site
from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheets
from tests.recital import write_brancher, write_word_bert
from tests.talk import SETTINGS
from tools.chromium import Page, chromium_page, find_chromium

KEYS = 20
ROUNDS = 4
HEARD = "document.querySelector('.turn.last .foot') && !document.querySelector('.caret')"
# From the key's own time stamp to a message that is handled after the frame was drawn.
WATCH = """(() => {
    window.times = [];
    document.getElementById('line').addEventListener('keydown', (event) => {
        const channel = new MessageChannel();
        channel.port1.onmessage = () => window.times.push(performance.now() - event.timeStamp);
        requestAnimationFrame(() => channel.port2.postMessage(0));
    }, true);
})()"""


def main(turns: str = "200") -> None:
    """Measure and print."""
    program = find_chromium()
    if program is None:
        raise SystemExit("no Chromium; install Debian's package chromium, or name its program in CHROMIUM")
    with (
        tempfile.TemporaryDirectory() as folder,
        _server(Path(folder)) as server,
        chromium_page(program) as page,
        chromium_page(program) as fresh,
    ):
        for each in (page, fresh):
            _enter(each, server.websocket_address.replace("ws://", "http://", 1))
        print(
            f"{'turns':>6} {'key to frame ms, p50':>22} {'p95':>6} {'of a fresh page':>16} {'p95':>6} {'elements':>9}"
        )
        for number in range(1, int(turns) + 1):
            page.focus("#line")
            page.type(f"Line {number}: where does your iron come from, and who is the boy at the forge?")
            page.press("Enter")
            said = f"[...document.querySelectorAll('.turn .line')].at(-1)?.innerText.includes('Line {number}:')"
            page.until(f"{said} && {HEARD}", timeout_s=120)
            if number in (1, int(turns) // 2, int(turns)):
                # A page without turns at the same time, so that the machine's load shows in both.
                rounds = [(_type(page), _type(fresh)) for _ in range(ROUNDS)]
                times, others = (sorted(chain.from_iterable(one)) for one in zip(*rounds, strict=True))
                size = page.js("document.querySelectorAll('*').length")
                half, most = len(times) // 2, int(0.95 * len(times))
                print(
                    f"{number:>6} {times[half]:>22.1f} {times[most]:>6.1f} {others[half]:>16.1f} {others[most]:>6.1f}",
                    f"{size:>9}",
                    flush=True,
                )
        if page.errors:
            raise RuntimeError(json.dumps(page.errors))


def _server(folder: Path) -> BackgroundServer:
    sheets = list(load_sheets([shipped_sheets_dir()]).values())
    lines = (["From", " Karth,", " by barge."], ["Tam", " is my", " apprentice."])
    for name in ("model", "encoder"):
        (folder / name).mkdir()
    build_decoder(write_brancher(folder / "stub.gguf", *lines), folder / "model", precision="fp32")
    texts = [path.read_text(encoding="utf-8") for path in sorted(shipped_sheets_dir().rglob("*.yaml"))]
    build_encoder(write_word_bert(folder / "bert", texts), folder / "encoder")
    config = EngineConfig(
        **(SETTINGS | {"guard": "judge", "prefix_store_disk_bytes": 0}),
        address="tcp://127.0.0.1:*",
        websocket_address="ws://127.0.0.1:0",
    )
    dialogue = build_dialogue(sheets, model_folder=folder / "model", encoder_folder=folder / "encoder", config=config)
    return BackgroundServer(dialogue, config=config, site=Site(page_files()))


def _enter(page: Page, address: str) -> None:
    page.resize(1280, 800)
    page.go(address)
    page.until("document.querySelectorAll('.card[data-character]').length === 12", timeout_s=120)
    page.click("[data-character=hesta]")
    page.until("!document.getElementById('stage').hidden", timeout_s=120)
    page.js(WATCH)


def _type(page: Page) -> list[float]:
    page.js("window.times.length = 0")
    page.focus("#line")
    for _ in range(KEYS):
        page.press("a")
    page.until(f"window.times.length >= {KEYS}")
    page.js("document.getElementById('line').value = ''")
    return list(page.js("window.times"))


if __name__ == "__main__":
    main(*sys.argv[1:])
