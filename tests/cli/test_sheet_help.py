"""docs/cli.md is what the commands' `--help` prints."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_up_to_date():
    checked = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "help_reference.py"), "--check"], cwd=ROOT, check=False
    )
    assert checked.returncode == 0, "run: python tools/help_reference.py"


def test_every_sheet_command_is_on_the_page():
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for name in ("new", "validate", "lint", "show", "ask", "diff", "rename", "format", "schema"):
        assert f"\n### `npc-engine sheet {name}`\n" in page
