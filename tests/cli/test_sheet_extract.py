"""`npc-engine sheet extract` as a writer runs it, and the review that `expand` shares."""

import json
import shutil
from pathlib import Path

import pytest

from npc_engine.cli.sheet_review import BACK, Item, review
from npc_engine.sheets.lint.rules import lint
from npc_engine.sheets.lint.subject import Subject
from npc_engine.sheets.loader import load_sheet

DATA = Path(__file__).parents[1] / "data" / "extract"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        shutil.copy(DATA / f"ferrywoman_{number}.txt", tmp_path / f"{number}.txt")
    return tmp_path


@pytest.fixture
def extract(command):
    def extract(*arguments):
        return command("sheet", "extract", *arguments, "--no-models")

    return extract


def test_a_first_sheet(here, extract):
    code, out, _ = extract("1.txt", "--yes")
    assert (code, out.splitlines()[1]) == (0, "mira-oss.yaml: written")
    sheet = load_sheet(here / "mira-oss.yaml")
    assert (sheet.identity.name, len(sheet.facts)) == ("Mira Oss", 10)
    assert sheet.relationships[0].name == "Anna Reed"
    marks = sheet.extensions["extracted"]["facts"]
    assert set(marks) == {fact.id for fact in sheet.facts}
    assert marks["born-ferry-night-high"] == "1.txt:3, characters 12-69"
    assert [one.code for one in lint(Subject(here / "mira-oss.yaml"))] == ["SL014"]
    assert (here / "character-1.json").is_file()


def test_the_sheet_grows_with_the_next_chapter(here, extract):
    extract("1.txt", "--yes")
    path = here / "mira-oss.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("facts:\n", "facts:\n  # Mine\n"), encoding="utf-8")
    code, _, _ = extract("2.txt", "--into", path, "--yes")
    texts = {fact.id: fact.text for fact in load_sheet(path).facts}
    assert code == 0
    assert "# Mine" in path.read_text(encoding="utf-8")
    assert texts["charge-2-pennies-crossing"] == "I charge 3 pennies for a crossing."
    assert "I used to live in the ferry house at Harrow Ford." in texts.values()
    assert "I am afraid of bridges." not in texts.values()
    before = path.read_bytes()
    code, out, _ = extract("2.txt", "--into", path, "--yes")
    assert (code, path.read_bytes()) == (0, before)
    assert "0 of that new" in out


def test_another_file_leaves_the_first_alone(here, extract):
    extract("1.txt", "--yes")
    before = (here / "mira-oss.yaml").read_bytes()
    assert extract("2.txt", "--into", "mira-oss.yaml", "--out", "later.yaml", "--yes")[0] == 0
    assert (here / "mira-oss.yaml").read_bytes() == before
    assert len(load_sheet(here / "later.yaml").facts) > 10


def test_a_dry_run_writes_nothing(here, extract):
    code, out, _ = extract("1.txt", "2.txt", "--dry-run")
    assert code == 0
    assert "I charge 3 pennies for a crossing.\n    2.txt:4" in out
    assert "    - I charge 2 pennies for a crossing.  [text]" in out
    assert sorted(path.name for path in here.iterdir()) == ["1.txt", "2.txt"]


def test_json(here, extract):
    code, out, _ = extract("1.txt", "--yes", "--json")
    document = json.loads(out)
    assert (code, document["file"], document["character"]) == (0, "mira-oss.yaml", "Mira Oss")
    first = document["proposals"][0]
    source = (here / "1.txt").read_text(encoding="utf-8")
    assert source[first["start"] : first["end"]] == first["evidence"]
    assert first["taken"] == first["text"]


def test_without_a_terminal_nothing_is_taken_for_granted(here, extract):
    code, _, err = extract("1.txt")
    assert (code, "NPC122" in err) == (1, True)
    assert not list(here.glob("*.yaml"))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["none.txt", "--yes"], "NPC120"),
        (["1.txt", "--name", "Berta", "--yes"], "NPC121"),
        (["1.txt", "--into", "none.yaml", "--yes"], "NPC101"),
        (["1.txt", "--out", "2.txt", "--yes"], "NPC118"),
    ],
)
def test_what_cannot_be_done(here, extract, arguments, error):
    before = sorted(here.iterdir())
    code, _, err = extract(*arguments)
    assert (code, error in err) == (1, True)
    assert sorted(here.iterdir()) == before


def test_a_condition_is_never_written_over(here, extract):
    extract("1.txt", "--yes")
    path = here / "mira-oss.yaml"
    text = path.read_text(encoding="utf-8")
    fact = "    text: I charge 2 pennies for a crossing.\n"
    path.write_text(text.replace(fact, f"{fact}    when: trust >= 10\n"), encoding="utf-8")
    extract("2.txt", "--into", path, "--yes")
    texts = [fact.text for fact in load_sheet(path).facts]
    assert "I charge 2 pennies for a crossing." in texts
    assert "I charge 3 pennies for a crossing." not in texts


ITEMS = [Item(text="I fish.", notes=("1.txt:1",)), Item(text="I sing."), Item(text="I run.")]


def answering(*answers):
    left = list(answers)
    return lambda question, default: left.pop(0)


@pytest.mark.parametrize(
    ("answers", "taken"),
    [
        (["", "", ""], ["I fish.", "I sing.", "I run."]),
        (["d", "y", "d"], [None, "I sing.", None]),
        (["a"], ["I fish.", "I sing.", "I run."]),
        (["", "q"], ["I fish.", None, None]),
        (["e", "I fish at night.", "q"], ["I fish at night.", None, None]),
        (["e", "", "q"], ["I fish.", None, None]),
        (["e", "x" * 301, "I fish!", "q"], ["I fish!", None, None]),
        (["d", BACK, "", "q"], ["I fish.", None, None]),
        ([BACK, "x", "", "e", "I hum.", BACK, "", "d"], ["I fish.", "I hum.", None]),
    ],
)
def test_review(answers, taken):
    assert review(ITEMS, answering(*answers), lambda line: None) == taken


def test_review_shows_where_it_comes_from():
    said = []
    review(ITEMS[:1], answering("q"), said.append)
    assert said[1:] == ["\n1 of 1  I fish.", "    1.txt:1"]
