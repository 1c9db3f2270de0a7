"""Plays the demonstration and saves what the terminal showed as docs/images/demo.svg.

python tools/picture.py [MODEL]
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from rich.console import Console

from npc_engine.cli.local import local_client, wait_until_warm
from npc_engine.config import load_config
from npc_engine.playtest.demo import CHARACTER, play_demo
from npc_engine.sheets.library import shipped_sheets_dir

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "demo.svg"


def main(model: str) -> None:
    """Play and save."""
    console = Console(record=True, width=100, highlight=False)
    sheet = shipped_sheets_dir() / f"{CHARACTER}.yaml"
    with local_client(load_config(model=model, seed=1, sheets=(sheet,)), ask=False) as client:
        wait_until_warm(client)
        play_demo(client, console=console)
    # The drawing names fonts at an outside address; a reader's own fixed-width font does.
    picture = console.export_svg(title=f"npc-engine demo --model {model}")
    PICTURE.write_text(re.sub(r"@font-face \{.*?\}", "", picture, flags=re.S), encoding="utf-8")


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["base"]))
