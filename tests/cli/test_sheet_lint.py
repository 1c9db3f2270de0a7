"""`npc-engine sheet lint` as writers and CI call it."""

import json

import pytest

from npc_engine.sheets.templates import template_path

TOLL = "pass free.\n"


@pytest.fixture
def guard(tmp_path, monkeypatch):
    monkeypatch.setenv("NPC_ENGINE_CACHE_DIR", str(tmp_path / "no-models"))
    path = tmp_path / "guard.yaml"
    path.write_text(template_path("guard").read_text(encoding="utf-8"), encoding="utf-8")
    return path


def change(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def line_of(path, words):
    lines = path.read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if words in line)


def test_a_clean_sheet(guard, command, monkeypatch):
    monkeypatch.setenv("NPC_ENGINE_NLI", "absent")
    code, out, err = command("sheet", "lint", "--strict", guard)
    assert (code, out) == (0, "1 sheet, 9 facts: nothing found\n")
    assert "the encoder 'encoder' is not installed" in err
    assert "the NLI model 'absent' is not installed" in err
    assert "no dialogue model is installed: tokens are not counted" in err


def test_a_finding_names_place_code_and_hint(guard, command):
    change(guard, TOLL, "pass free, citizen.\n")
    code, out, _ = command("sheet", "lint", guard)
    number = line_of(guard, "citizen.")
    column = guard.read_text(encoding="utf-8").splitlines()[number - 1].index("citizen") + 1
    assert code == 0
    assert out.splitlines()[0].startswith(f"{guard}:{number}:{column}: SL008 avoided-word: facts[1].text: `citizen` is")
    assert out.splitlines()[1].startswith("  hint: ")
    assert out.splitlines()[-1] == "1 sheet, 9 facts: 1 finding"


@pytest.mark.parametrize(
    ("new", "arguments", "expected"),
    [
        ("pass free, citizen.\n", [], 0),
        ("pass free, citizen.\n", ["--strict"], 1),
        ("pass free, citizen.\n", ["--strict", "--ignore", "SL008"], 0),
        ("pass free, citizen.\n", ["--strict", "--select", "SL001,sl008"], 1),
        ("pass free, citizen.\n", ["--strict", "--select", "SL001", "--select", "SL003"], 0),
        ("pass free.\n    when: trust > 100\n", [], 1),
        ("pass free.\n    wen: trust > 1\n", [], 1),
    ],
)
def test_exit_codes(new, arguments, expected, guard, command):
    change(guard, TOLL, new)
    assert command("sheet", "lint", guard, *arguments)[0] == expected


def test_a_code_that_is_none_is_a_wrong_command_line(guard, command):
    code, _, err = command("sheet", "lint", guard, "--select", "SL999")
    assert code == 2
    assert "SL999" in err


def test_json(guard, command):
    change(guard, TOLL, "pass free, citizen.\n")
    document = json.loads(command("sheet", "lint", "--format", "json", guard)[1])
    (file,) = document["files"]
    (finding,) = file["findings"]
    assert (finding["code"], finding["severity"], finding["fixable"]) == ("SL008", "warning", False)
    assert len(document["notes"]) == 2  # no encoder and no dialogue model; the NLI model is part of the package


def test_sarif_holds_what_the_loader_says_too(guard, command):
    change(guard, TOLL, "pass free.\n    wen: trust > 1\n")
    code, out, _ = command("sheet", "lint", "--format", "sarif", guard)
    (run,) = json.loads(out)["runs"]
    assert code == 1
    assert [(one["ruleId"], one["level"]) for one in run["results"]] == [("NPC103", "error")]
    assert run["tool"]["driver"]["rules"][0]["id"] == "NPC103"


def test_fix_mends_and_says_what(guard, command):
    original = guard.read_text(encoding="utf-8")
    change(guard, TOLL, "pass free.\n    when: trust >= 0\n")
    change(guard, "    - No. Move along.\n", "    - No. Move along.\n    - No. Move along.\n")
    code, out, _ = command("sheet", "lint", "--fix", "--strict", guard)
    assert code == 0
    assert [line.split(": ")[0] for line in out.splitlines()[:2]] == ["fixed", "fixed"]
    assert out.splitlines()[-1] == "1 sheet, 9 facts: nothing found, 2 fixed"
    assert guard.read_text(encoding="utf-8") == original


def test_one_bad_sheet_does_not_hide_the_others(guard, command, tmp_path):
    (tmp_path / "a.yaml").write_text("id: [", encoding="utf-8")
    change(guard, TOLL, "pass free, citizen.\n")
    code, out, _ = command("sheet", "lint", tmp_path)
    assert code == 1
    assert "NPC102" in out
    assert "SL008" in out


def test_installed_models_are_used(guard, command, stubs, monkeypatch):
    monkeypatch.setenv("NPC_ENGINE_CACHE_DIR", str(stubs))
    monkeypatch.setenv("NPC_ENGINE_MAX_CONTEXT_TOKENS", "512")
    monkeypatch.setenv("NPC_ENGINE_NLI", "absent")
    code, out, err = command("sheet", "lint", guard)
    assert code == 1
    assert "SL013 over-budget" in out
    assert "tokens of stub" in out
    assert "encoder" not in err
    assert "the NLI model 'absent' is not installed" in err
    assert command("sheet", "lint", "--no-models", guard)[:1] == (0,)
