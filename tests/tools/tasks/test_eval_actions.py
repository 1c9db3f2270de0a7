"""The command, without a model: kept talks and walks are scored."""

import json

import pytest

from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheets
from tools import eval_actions
from tools.tasks.outcomes import trials
from tools.tasks.walks import with_procedures

BASE = {"model": "none", "guard": "judge", "seed": 1, "temperature": 0.4}


@pytest.fixture(scope="module")
def sheets():
    return load_sheets([shipped_sheets_dir()])


def test_there_are_enough_task_turns(sheets):
    assert len(trials(sheets)) >= 300


def run(tmp_path, records, *arguments):
    path, figures = tmp_path / "records.jsonl", tmp_path / "figures.json"
    path.write_text("".join(json.dumps(one) + "\n" for one in records), encoding="utf-8")
    assert eval_actions.main(["--model", "none", "--records", str(path), "--json", str(figures), *arguments]) == 0
    return json.loads(figures.read_text(encoding="utf-8"))


def test_false_claims_are_counted_and_printed(sheets, tmp_path, capsys):
    trial = trials(sheets)[0]
    turn = {"line": trial.line, "late_refused": [], "source": "model", "total_s": 2.0, "trace": {}}
    claim = turn | {"calls": [], "reply": "It's done."}
    name = next(iter(sheets))
    question = eval_actions.load_questions(shipped_sheets_dir() / "questions" / f"{name}.yaml").questions[0].question
    plain = turn | {"calls": [], "reply": "Hm.", "line": question, "total_s": 1.0}
    records = [
        BASE | {"trial": trial.id, "line": trial.line, "turns": [claim]},
        BASE | {"trial": f"plain {name}", "line": question, "turns": [plain]},
    ]
    report = run(tmp_path, records, "--parts", "outcomes", "--every", "9999")["outcomes"]
    assert report["kinds"][trial.kind]["false_claims"] == 1
    assert [one["claim"] for one in report["claims"]] == ["It's done."]
    assert report["latency"]["talk turns"]["total_s"]["p50"] == 1.0
    assert "It's done." in capsys.readouterr().out


def test_violations_are_counted_and_printed(sheets, tmp_path, capsys):
    acting = {name: with_procedures(sheet) for name, sheet in sheets.items() if sheet.actions}
    name = sorted(acting)[1 % len(acting)]
    action = next(one for one in acting[name].resolved_actions() if one.confirm)
    call = {"name": action.name, "arguments": {}, "is_run": True}
    turn = {"line": "Do it.", "state": {}, "calls": [call], "offered": []}
    key = {"model": "none", "walk": 1, "sheet": acting[name].content_hash}
    records = [key | {"seed": 1, "character": name, "turns": [turn]}]
    report = run(tmp_path, records, "--parts", "walks", "--walks", "1")["walks"]
    assert (report["walks"], report["turns"], report["calls"]) == (1, 1, 1)
    assert "no yes to an offer of exactly this" in [one["why"] for one in report["violations"]]
    assert action.name in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [["--every", "0"], ["--walks", "0"], ["--parts", "runs"]])
def test_options_that_mean_nothing(wrong, capsys):
    with pytest.raises(SystemExit):
        eval_actions.parse(wrong)
    assert "error" in capsys.readouterr().err
