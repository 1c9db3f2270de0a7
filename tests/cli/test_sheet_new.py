"""`npc-engine sheet new`: templates as they stand, and the guided way with going back and skipping."""

import json

import pytest
from typer.testing import CliRunner

from npc_engine.cli.main import app
from npc_engine.cli.sheet_new import BACK, Interview
from npc_engine.cli.sheet_schema import json_schema
from npc_engine.sheets.format import formatted
from npc_engine.sheets.lint.rules import lint
from npc_engine.sheets.lint.subject import Subject
from npc_engine.sheets.loader import load_sheet
from npc_engine.sheets.templates import Answers, NewFact, filled, slug, template_names

ROLES = {"merchant", "innkeeper", "guard", "quest-giver", "healer", "companion"}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_is_a_template_for_each_role(command):
    assert set(template_names()) >= ROLES
    listed = command("sheet", "new", "--list")[1].splitlines()
    assert [line.split()[0] for line in listed] == list(template_names())


@pytest.mark.parametrize("name", template_names())
def test_a_new_sheet_loads_is_formatted_and_without_findings(name, here, command):
    code, out, _ = command("sheet", "new", "--from", name, "--name", "Mira Oss")
    path = here / "mira-oss.yaml"
    assert code == 0
    assert out.splitlines()[0].startswith(f"mira-oss.yaml: written from the template {name}")
    sheet = load_sheet(path)
    assert (sheet.id, sheet.identity.name) == ("mira-oss", "Mira Oss")
    assert lint(Subject(path)) == []
    assert formatted(path) == path.read_text(encoding="utf-8")
    assert json.loads((here / "character-1.json").read_text(encoding="utf-8")) == json.loads(json_schema())


def test_nothing_is_overwritten(here, command):
    command("sheet", "new", "--from", "guard", here / "guard.yaml")
    before = (here / "guard.yaml").read_bytes()
    code, _, err = command("sheet", "new", "--from", "healer", here / "guard.yaml")
    assert (code, "NPC118" in err) == (1, True)
    assert (here / "guard.yaml").read_bytes() == before


def guided(*answers):
    result = CliRunner().invoke(app, ["sheet", "new"], input="\n".join(answers) + "\n")
    assert result.exit_code == 0, result.output
    return result


def test_empty_answers_keep_the_template(here):
    guided("healer", *[""] * 10)
    template = load_sheet(here / "healer.yaml")
    assert template.identity.name == "Sister Aveline"
    assert template.id == "healer"


def test_answers_go_where_they_belong(here):
    guided(
        "innkeeper",
        "Mira Oss",
        "",
        "keeper of the Ferry House: no other",
        "Widow.",
        "",
        "",
        "",
        "Crossing, or a bed?",
        "I charge 2 pennies for a towel.",
        "towel, cost",
        "",
        "I burned the old inn down.",
        "70",
    )
    sheet = load_sheet(here / "mira-oss.yaml")
    assert sheet.identity.role == "keeper of the Ferry House: no other"
    assert sheet.identity.social == "Widow."
    assert sheet.greeting == "Crossing, or a bed?"
    towel, secret = sheet.facts[-2:]
    assert (towel.text, towel.tags, towel.when) == ("I charge 2 pennies for a towel.", ("towel", "cost"), None)
    assert (secret.secret, secret.when.text) == (True, "trust >= 70")
    assert "# The house" in (here / "mira-oss.yaml").read_text(encoding="utf-8")


def ask_from(*answers):
    left = list(answers)
    asked = []

    def ask(question, default):
        asked.append((question, default))
        return left.pop(0) if left else ""

    return ask, asked


def test_going_back_asks_again_with_what_was_said():
    ask, asked = ask_from("guard", "Ana", BACK, "Anna")
    template, answers = Interview(ask, lambda line: None).run()
    assert (template, answers.name, answers.id) == ("guard", "Anna", "anna")
    names = [default for question, default in asked if question == "Name"]
    assert names == ["Sergeant Ilse Brandt", "Ana"]


def test_going_back_at_the_start_stays_there():
    ask, _ = ask_from(BACK, BACK, "guard")
    assert Interview(ask, lambda line: None).run()[0] == "guard"


def test_a_fact_can_be_taken_back():
    ask, _ = ask_from("guard", *[""] * 8, "I am 40.", "", BACK, "I am 41.", "age", "")
    _, answers = Interview(ask, lambda line: None).run()
    assert answers.facts == [NewFact(text="I am 41.", tags=("age",))]


def test_wrong_answers_are_asked_again():
    said = []
    ask, _ = ask_from("gard", "guard", "x" * 61, "Ana", "An A", "an-a", *[""] * 7, "A secret.", "0", "abc", "35")
    _, answers = Interview(ask, said.append).run()
    assert (answers.name, answers.id) == ("Ana", "an-a")
    assert answers.facts == [NewFact(text="A secret.", trust=35)]
    assert len(said) >= 5


def test_the_end_of_input_writes_nothing(here):
    result = CliRunner().invoke(app, ["sheet", "new"], input="guard\nAna\n")
    assert result.exit_code == 1
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["yes", "a: b", "# no", "- x", "'", '"q"', "[x]", "{a}", "&a", "*a", "!t", "%", "@", "`", "null"]
)
def test_any_text_may_be_answered(text, here):
    path = here / "x.yaml"
    path.write_text(
        filled("guard", Answers(id="x", name=text, facts=[NewFact(text=text, tags=(text,))])), encoding="utf-8"
    )
    sheet = load_sheet(path)
    assert (sheet.identity.name, sheet.facts[-1].text, sheet.facts[-1].tags) == (text, text, (text,))


def test_ids_of_new_facts_are_unique(here):
    path = here / "x.yaml"
    path.write_text(
        filled("guard", Answers(id="x", facts=[NewFact(text="I am so."), NewFact(text="I am so!")])), encoding="utf-8"
    )
    assert [fact.id for fact in load_sheet(path).facts][-2:] == ["i-am-so", "i-am-so-2"]


@pytest.mark.parametrize(
    ("text", "expected"), [("Mira Oss", "mira-oss"), ("  Über! ", "ber"), ("...", "character"), ("a" * 90, "a" * 60)]
)
def test_slugs(text, expected):
    assert slug(text) == expected


def test_a_folder_that_is_not_there(here, command):
    code, _, err = command("sheet", "new", "--from", "guard", here / "none" / "x.yaml")
    assert (code, "NPC118" in err) == (1, True)
    assert list(here.iterdir()) == []
