"""tools/README.md names every program and module of the folder."""

from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"
PAGE = (TOOLS / "README.md").read_text(encoding="utf-8")
PROGRAMS = [
    path.relative_to(TOOLS)
    for path in sorted(TOOLS.rglob("*.py"))
    if path.parent == TOOLS or "__main__" in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("program", [path for path in PROGRAMS if "workers" not in path.parts], ids=str)
def test_the_page_names_it(program):
    dotted = ".".join(("tools", *program.with_suffix("").parts))
    assert f"tools/{program.as_posix()}" in PAGE or dotted in PAGE
