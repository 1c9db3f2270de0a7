"""Pages that are generated are up to date, and pages name what exists."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#]+)")


@pytest.mark.parametrize("tool", ["settings_reference.py"])
def test_generated_pages_are_up_to_date(tool):
    checked = subprocess.run([sys.executable, str(ROOT / "tools" / tool), "--check"], cwd=ROOT, check=False)
    assert checked.returncode == 0, f"run: python tools/{tool}"


PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    missing = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if not (page.parent / link).exists()]
    assert not missing


def test_no_file_is_too_large_for_the_repository():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    for name in listed.decode("utf-8").split("\0"):
        if name and (ROOT / name).exists():
            assert (ROOT / name).stat().st_size < 30_000_000, name
