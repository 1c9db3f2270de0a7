"""What the pages show runs as it stands."""

import re
from pathlib import Path

from npc_engine.config import EngineConfig
from npc_engine.dialogue.engine import build_dialogue
from npc_engine.server.background import BackgroundServer
from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheet
from tests.talk import SETTINGS

ROOT = Path(__file__).parents[1]


def program(page: str) -> str:
    """The page's first Python program."""
    return re.search(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.S)[1]


def test_the_client_in_the_readme_talks(reciter, word_encoder, capsys):
    sheet = load_sheet(shipped_sheets_dir() / "hesta.yaml")
    config = EngineConfig(**(SETTINGS | {"address": "tcp://127.0.0.1:*", "max_context_tokens": 4096}))
    model = reciter("The bridge", " is gone.")
    dialogue = build_dialogue([sheet], model_folder=model, encoder_folder=word_encoder, config=config)
    client = program("README.md")
    assert len([line for line in client.splitlines() if line.strip()]) <= 15
    with BackgroundServer(dialogue, config=config) as server:
        exec(client.replace("tcp://127.0.0.1:5570", server.address), {})
    assert capsys.readouterr().out.splitlines() == [sheet.greeting, "The bridge is gone."]
