"""Writes the table of settings in docs/operations.md from `EngineConfig`.

python tools/settings_reference.py            write
python tools/settings_reference.py --check    exit with 1 where the page is out of date
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from npc_engine.config import EngineConfig

PAGE = Path(__file__).resolve().parents[1] / "docs" / "operations.md"
BEGIN, END = "<!-- settings: generated -->", "<!-- /settings -->"


def table() -> str:
    """The settings as a Markdown table."""
    rows = ["| setting | default | range | what it does |", "|---|---|---|---|"]
    rows += [
        f"| `{name}` | {default(field)} | {bounds(field)} | {field.description} |"
        for name, field in EngineConfig.model_fields.items()
    ]
    return "\n".join(rows)


def default(field: FieldInfo) -> str:
    """The default as a reader would write it; what the machine decides is said so."""
    if field.default is PydanticUndefined:
        return "by the machine"
    return "none" if field.default is None or field.default == () else f"`{field.default}`"


def bounds(field: FieldInfo) -> str:
    """The range, from the field's constraints."""
    signs: dict[str, str] = {"ge": "≥ ", "gt": "> ", "le": "≤ ", "lt": "< "}
    found: list[Any] = [
        f"{sign}{getattr(item, name)}" for item in field.metadata for name, sign in signs.items() if hasattr(item, name)
    ]
    return ", ".join(found)


def rendered() -> str:
    """The page with a fresh table."""
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where the page is out of date")
    if parser.parse_args().check:
        return int(rendered() != PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(rendered(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
