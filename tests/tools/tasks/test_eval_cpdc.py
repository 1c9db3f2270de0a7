"""The command, without a model: kept records and floors."""

import json

import pytest

from npc_engine.actions.ranking import ChoiceWeights
from tests.tools.tasks.recorded import write_data
from tools import eval_cpdc
from tools.tasks.cpdc import load_part
from tools.tasks.running import Run


@pytest.fixture
def data(tmp_path):
    return write_data(tmp_path)


def test_floors_need_no_model(data, tmp_path, capsys):
    figures = tmp_path / "figures.json"
    assert eval_cpdc.main(["--data", str(data), "--floors-only", "--json", str(figures)]) == 0
    report = json.loads(figures.read_text(encoding="utf-8"))
    assert set(report["columns"]) == {"gold", "fixed reply, no call", "nearest neighbour"}
    assert report["columns"]["gold"]["measures"]["exact-call F1"]["value"] == 1
    assert report["columns"]["fixed reply, no call"]["causes"]["not called"] == 4
    assert "call name F1" in capsys.readouterr().out
    # The data's own words are not in it.
    assert "Long Bow" not in figures.read_text(encoding="utf-8")


def test_kept_dialogues_are_scored_without_a_model(data, tmp_path, capsys):
    (episode,) = load_part(data, "dev-task1")
    run = Run(
        part="dev-task1",
        model="none",
        guard="judge",
        calls_only=True,
        perturb=None,
        seed=1,
        has_procedures=True,
        has_examples=True,
        weights=ChoiceWeights(),
    )
    turn = {"line": "", "reply": None, "source": None, "total_s": 0.5, "trace": {"latency": {"act_s": 0.4}}}
    call = {"name": "check_price", "arguments": {"item_name": "Long Bow"}, "result": {"price": "300 Gold"}}
    turns = [turn | {"calls": [call] if number == 1 else []} for number in range(5)]
    records = tmp_path / "records.jsonl"
    records.write_text(json.dumps(run.key(episode) | {"turns": turns}) + "\n", encoding="utf-8")
    figures = tmp_path / "figures.json"
    arguments = ["--data", str(data), "--model", "none", "--calls-only"]
    arguments += ["--records", str(records), "--json", str(figures), "--show", "1"]
    assert eval_cpdc.main(arguments) == 0
    report = json.loads(figures.read_text(encoding="utf-8"))
    engine = report["columns"]["engine"]
    assert engine["measures"]["whole turn exact"]["value"] == pytest.approx(2 / 5)
    assert engine["measures"]["grounded numbers"]["value"] is None
    assert engine["causes"]["not called"] == 3
    assert report["latency"]["task turns"]["turns"] == 1
    assert report["latency"]["task turns"]["parts"]["act_s"]["p50"] == 0.4
    assert "not called" in capsys.readouterr().out


def test_a_folder_that_is_not_there_ends_the_run(tmp_path, capsys):
    assert eval_cpdc.main(["--data", str(tmp_path), "--floors-only"]) == 1
    assert "is not there" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    "wrong",
    [
        ["--every", "0"],
        ["--limit", "0"],
        ["--fit", "model", "--floors-only"],
        ["--fit", "encoder", "--part", "unseen"],
        ["--weights", '{"flour": 1}'],
        ["--part", "test"],
    ],
)
def test_options_that_mean_nothing(wrong, capsys):
    with pytest.raises(SystemExit):
        eval_cpdc.parse(["--data", ".", *wrong])
    assert "error" in capsys.readouterr().err
