"""The command, without a model: kept questions are scored."""

import json
from dataclasses import asdict

import pytest

from npc_engine.actions.ranking import ChoiceWeights
from tools import eval_functions

QUESTIONS = {
    "area": {"type": "dict", "properties": {"base": {"type": "integer", "description": "x"}}, "required": ["base"]},
    "nested": {"type": "dict", "properties": {"base": {"type": "dict", "properties": {}, "description": "x"}}},
}


@pytest.fixture
def data(tmp_path):
    (tmp_path / "possible_answer").mkdir()
    lines, answers = [], []
    for name, schema in QUESTIONS.items():
        function = {"name": f"math.{name}", "description": "The area.", "parameters": schema}
        lines.append({"id": name, "question": [[{"role": "user", "content": "Well?"}]], "function": [function]})
        answers.append({"id": name, "ground_truth": [{f"math.{name}": {"base": [3]}}]})
    for part in ("simple_python", "irrelevance"):
        path = tmp_path / f"BFCL_v4_{part}.json"
        path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    path = tmp_path / "possible_answer" / "BFCL_v4_simple_python.json"
    path.write_text("\n".join(map(json.dumps, answers)), encoding="utf-8")
    return tmp_path


def scored(data, tmp_path, part, calls):
    records, figures = tmp_path / "records.jsonl", tmp_path / "figures.json"
    record = {"model": "none", "weights": asdict(ChoiceWeights()), "question": "area", "calls": calls, "total_s": 1.0}
    records.write_text(json.dumps(record) + "\n", encoding="utf-8")
    arguments = ["--data", str(data), "--parts", part, "--model", "none", "--show", "1"]
    assert eval_functions.main([*arguments, "--records", str(records), "--json", str(figures)]) == 0
    return json.loads(figures.read_text(encoding="utf-8"))["parts"][part]


def test_a_right_call(data, tmp_path):
    found = scored(data, tmp_path, "simple", [{"name": "math_area", "arguments": {"base": 3}}])
    assert (found["questions"], found["left_out"]) == (1, 1)  # a nested object cannot be declared
    assert (found["right"]["value"], found["right_name"]["value"], found["called"]["value"]) == (1, 1, 1)
    assert found["misses"] == []


def test_a_wrong_value(data, tmp_path, capsys):
    found = scored(data, tmp_path, "simple", [{"name": "math_area", "arguments": {"base": 4}}])
    assert (found["right"]["value"], found["right_name"]["value"]) == (0, 1)
    assert found["misses"] == ["area"]
    assert "math_area(base=4)" in capsys.readouterr().out


def test_where_nothing_fits(data, tmp_path):
    assert scored(data, tmp_path, "irrelevance", [])["right"]["value"] == 1
    called = scored(data, tmp_path, "irrelevance", [{"name": "math_area", "arguments": {"base": 4}}])
    assert (called["right"]["value"], called["called"]["value"]) == (0, 1)


@pytest.mark.parametrize("wrong", [["--every", "0"], ["--weights", '{"flour": 1}'], ["--parts", "parallel"]])
def test_options_that_mean_nothing(wrong, capsys):
    with pytest.raises(SystemExit):
        eval_functions.parse(["--data", ".", *wrong])
    assert "error" in capsys.readouterr().err
