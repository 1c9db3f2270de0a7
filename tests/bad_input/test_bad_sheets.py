"""Wrong sheets, as a writer meets them: `npc-engine sheet validate`, with the line that is wrong."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from npc_engine.sheets.yaml_reader import MAX_FILE_BYTES
from tests.bad_input.boundary import refused, run, tree

SHEET = (
    (Path(__file__).parents[2] / "docs" / "sheets.md").read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]
)


@dataclass(frozen=True)
class Row:
    """A change to a good sheet.

    Attributes:
        what: What is wrong.
        old: A text of the good sheet; empty means that `new` is the whole file.
        new: What stands there instead.
        at: A text of the changed file; the error must name its line and column. Empty: no line can be known.
    """

    what: str
    old: str
    new: str | bytes
    code: str
    says: str
    at: str = ""


ROWS = (
    Row("a key with a typo", "facts:", "fcats:", "NPC103", "did you mean `facts`?", at="fcats:"),
    Row("a missing key", "greeting: Crossing?\n", "", "NPC103", "missing key `greeting`", at="schema:"),
    Row(
        "a wrong type", "greeting: Crossing?", "greeting: 3", "NPC103", "expected text, found a whole number", at="3\n"
    ),
    Row("a key without a value", "secret: true", "secret:", "NPC103", "nothing is written here", at="secret:"),
    Row(
        "a lore file that is not there",
        "greeting:",
        "knowledge: [{lore: vale.yaml}]\ngreeting:",
        "NPC101",
        "vale.yaml",
        at="vale.yaml",
    ),
    Row("a bracket left open", "broken]", "broken", "NPC102", "expected ',' or ']'"),
    Row("an open quote", "Crossing?", '"Crossing?', "NPC102", "found unexpected end of stream"),
    Row("a key twice", "greeting: Crossing?", "id:  mira", "NPC102", "key `id` again, first on line 3", at="id:  mira"),
    Row("a tab", "  name: Mira", "\tname: Mira", "NPC102", "indent with spaces, not tabs", at="\tname"),
    Row(
        "an anchor and its alias",
        "Crossing?",
        "&hi Crossing?",
        "NPC102",
        "anchors (&) and aliases (*) are not read",
        at="&hi",
    ),
    Row(
        "an alias bomb",
        "",
        "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n",
        "NPC102",
        "anchors (&) and aliases",
        at="&a",
    ),
    Row(
        "a tag that would run code",
        "Crossing?",
        "!!python/object/apply:os.system [ls]",
        "NPC102",
        "is not read",
        at="!!",
    ),
    Row(
        "a second sheet in the file", "greeting:", "---\ngreeting:", "NPC102", "a second document starts here", at="---"
    ),
    Row("very deep nesting", "", "[" * 5000, "NPC102", "nested deeper than"),
    Row("text that is not UTF-8", "Mira Oss", b"Mira \xd6ss", "NPC102", "save the file as UTF-8"),
    Row("not a text file at all", "", bytes(range(256)) * 8, "NPC102", "not UTF-8 text"),
    Row("an empty file", "", "", "NPC103", "expected keys and values, found nothing", at=" "),
    Row("a list", "", "- mira\n", "NPC103", "found a list or a single text", at="- mira"),
    Row("a condition that names nothing", "trust >= 40", "trst >= 40", "NPC104", "did you mean `trust`?", at="trst"),
    Row("a condition that breaks off", "trust >= 40", "trust >=", "NPC104", "found the end"),
    Row("a condition out of range", "trust >= 40", "trust >= 400", "NPC104", "goes from 0 to 100", at="400"),
    Row(
        "a condition that is code",
        "trust >= 40",
        "__import__('os').getcwd()",
        "NPC104",
        "unexpected character",
        at=".getcwd",
    ),
    Row(
        "another version of the schema",
        "character@1",
        "character@2",
        "NPC105",
        "another version",
        at="npc-engine/character@2",
    ),
    Row(
        "no schema", "schema: npc-engine/character@1\n", "", "NPC105", "write as the first line: schema:", at="id: mira"
    ),
    Row("a file that is too large", "", "# " + "x" * MAX_FILE_BYTES, "NPC106", "larger than 1000000 bytes"),
)


def write(row, folder):
    raw = SHEET.encode("utf-8")
    new = row.new if isinstance(row.new, bytes) else row.new.encode("utf-8")
    assert row.old.encode("utf-8") in raw
    path = folder / "mira.yaml"
    path.write_bytes(raw.replace(row.old.encode("utf-8"), new) if row.old else new)
    return path


def place_of(text, path):
    before = path.read_text(encoding="utf-8").partition(text)[0] if text.strip() else ""
    return f"{path}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_a_wrong_sheet_is_refused_at_its_place(row, tmp_path):
    path = write(row, tmp_path)
    printed = run("sheet", "validate", path)
    seen = printed.error
    assert (printed.exit_code, printed.err, seen.code) == (1, "", row.code)
    assert row.says in seen.message
    assert seen.hint
    assert seen.place.startswith(place_of(row.at, path) if row.at else str(path))


def test_the_server_does_not_start_with_a_sheet_that_validate_refuses(tmp_path):
    for row in ROWS:
        seen = refused("serve", "--sheets", write(row, tmp_path), "--address", "tcp://127.0.0.1:0")
        # NPC103 lists the problems of a sheet, each with its own code.
        assert seen.code == row.code or (seen.code == "NPC103" and row.code in seen.message)
        assert row.says in seen.message + seen.hint


def test_a_good_sheet_beside_a_wrong_one_is_told_apart(tmp_path):
    (tmp_path / "good.yaml").write_text(SHEET.replace("id: mira", "id: good"), encoding="utf-8")
    write(ROWS[0], tmp_path)
    printed = run("sheet", "validate", tmp_path)
    assert printed.exit_code == 1
    assert f"{tmp_path / 'good.yaml'}: ok:" in printed.out
    assert printed.error.place.startswith(str(tmp_path / "mira.yaml"))


def test_one_id_twice_in_a_folder(tmp_path):
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(SHEET, encoding="utf-8")
    before = tree(tmp_path)
    for command in (("sheet", "validate", tmp_path), ("serve", "--sheets", tmp_path)):
        seen = refused(*command)
        assert (seen.code, seen.hint) == ("NPC103", "rename one")
        assert f"the id 'mira' is also that of {tmp_path / 'a.yaml'}" in seen.message
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", ["none.yaml", "empty-folder", "x" * 5000])
@pytest.mark.parametrize("command", [("sheet", "validate"), ("sheet", "show"), ("serve", "--sheets")], ids=" ".join)
def test_no_sheet_there(name, command, tmp_path):
    (tmp_path / "empty-folder").mkdir()
    seen = refused(*command, tmp_path / name)
    assert (seen.code, ".yaml" in seen.hint or "folder" in seen.hint) == ("NPC101", True)
