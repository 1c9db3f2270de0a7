import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from npc_engine.cli.sheet import app, json_schema
from npc_engine.cli.sheet_schema import SCHEMA_FILE
from npc_engine.errors import SheetError, SheetNotFound
from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.templates import template_names, template_path

RUNNER = CliRunner()


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    text = (shipped_sheets_dir() / "hesta.yaml").read_text(encoding="utf-8")
    text = text.replace("\ngoals:", "\ngaols:").replace("when: trust >= 50", "when: trst >= 50")
    file = tmp_path / "broken.yaml"
    file.write_text(text.replace("lore: lore/kettlewick.yaml", "lore: kettlewick.yaml"), encoding="utf-8")
    return file


def test_validate_sums_up_each_good_sheet() -> None:
    result = RUNNER.invoke(app, ["validate", str(shipped_sheets_dir())])
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert len(lines) == 12
    (hesta,) = (line for line in lines if line.startswith(f"{shipped_sheets_dir() / 'hesta.yaml'}: ok: Hesta Varrow: "))
    assert "4 secrets, 3 actions, 5 tests" in hesta


def test_validate_prints_each_problem_with_its_place_and_hint(broken: Path) -> None:
    result = RUNNER.invoke(app, ["validate", str(broken)])
    text = broken.read_text(encoding="utf-8").splitlines()
    condition, goals = text.index("    when: trst >= 50") + 1, text.index("gaols:") + 1
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        f"{broken}:{condition}:11: NPC104: facts[40].when: unknown name 'trst'",
        "  hint: did you mean `trust`?",
        f"{broken}:{goals}:1: NPC103: gaols: unknown key `gaols`",
        "  hint: did you mean `goals`?",
    ]


def test_validate_as_json(broken: Path) -> None:
    result = RUNNER.invoke(app, ["validate", "--json", str(shipped_sheets_dir() / "corin.yaml"), str(broken)])
    good, bad = json.loads(result.output)["files"]
    assert result.exit_code == 1
    assert good["problems"] == []
    assert good["summary"]["id"] == "corin"
    assert [problem["code"] for problem in bad["problems"]] == ["NPC104", "NPC103"]
    assert bad["problems"][1]["key"] == "gaols"
    assert "summary" not in bad


def test_validate_finds_one_id_in_two_files(tmp_path: Path) -> None:
    original = shipped_sheets_dir() / "hesta.yaml"
    (tmp_path / "lore").mkdir()
    lore = shipped_sheets_dir() / "lore" / "kettlewick.yaml"
    (tmp_path / "lore" / "kettlewick.yaml").write_bytes(lore.read_bytes())
    copy = tmp_path / "copy.yaml"
    copy.write_bytes(original.read_bytes())
    result = RUNNER.invoke(app, ["validate", str(original), str(copy)])
    assert result.exit_code == 1
    assert f"{copy}: NPC103: id: the id 'hesta' is also that of {original}" in result.output


def test_validate_names_a_missing_file(tmp_path: Path) -> None:
    result = RUNNER.invoke(app, ["validate", str(tmp_path / "none.yaml")])
    assert isinstance(result.exception, SheetNotFound)


def test_schema_prints_the_published_document() -> None:
    result = RUNNER.invoke(app, ["schema"])
    assert result.output == json_schema()


def test_show_raises_what_the_edge_prints(broken: Path) -> None:
    result = RUNNER.invoke(app, ["show", str(broken)])
    assert isinstance(result.exception, SheetError)


@pytest.mark.parametrize("path", sorted(shipped_sheets_dir().glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_sheet_tells_editors_its_schema(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    schema = path.parent / first.removeprefix("# yaml-language-server: $schema=")
    assert schema.read_text(encoding="utf-8") == json_schema()


@pytest.mark.parametrize("name", template_names())
def test_every_template_names_the_schema_that_new_writes_beside_it(name: str) -> None:
    first = template_path(name).read_text(encoding="utf-8").splitlines()[0]
    assert first == f"# yaml-language-server: $schema={SCHEMA_FILE}"
