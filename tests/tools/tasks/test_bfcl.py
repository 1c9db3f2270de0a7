"""The leaderboard's rules, by hand."""

import json

import pytest

from npc_engine.actions.declare import declared_actions
from npc_engine.errors import ConfigError
from tools.tasks.bfcl import Question, is_right, load_questions
from tools.tasks.calls import Call

QUESTION = Question(
    id="one",
    line="What is the area?",
    functions=(),
    name="area",
    answer={"base": [10], "unit": ["units", ""], "sides": [[3, 4], [4, 3]], "exact": [True]},
)
GOOD = {"base": 10.0, "sides": [3, 4], "exact": True}


@pytest.mark.parametrize("change", [{}, {"unit": "Units."}, {"sides": [4.0, 3]}])
def test_right(change):
    assert is_right(QUESTION, [Call(name="area", arguments=GOOD | change)])


@pytest.mark.parametrize(
    "change", [{"base": 11}, {"base": True}, {"unit": "metres"}, {"sides": [3]}, {"exact": 1}, {"colour": "red"}]
)
def test_wrong_arguments(change):
    assert not is_right(QUESTION, [Call(name="area", arguments=GOOD | change)])


def test_what_may_not_be_left_out():
    assert not is_right(QUESTION, [Call(name="area", arguments={"base": 10})])


def test_one_call_of_the_right_function():
    call = Call(name="area", arguments=GOOD)
    assert not is_right(QUESTION, [])
    assert not is_right(QUESTION, [call, call])
    assert not is_right(QUESTION, [Call(name="volume", arguments=GOOD)])


def test_where_nothing_fits_nothing_is_called():
    irrelevant = Question(id="two", line="Hello", functions=())
    assert is_right(irrelevant, [])
    assert not is_right(irrelevant, [Call(name="area")])


def test_questions_are_read_as_a_game_declares(tmp_path):
    function = {
        "name": "math.area",
        "description": "The area.",
        "parameters": {
            "type": "dict",
            "properties": {
                "base": {"type": "float", "description": "The base.", "optional": True},
                "sides": {"type": "tuple", "items": {"type": "float"}, "description": "The sides."},
            },
            "required": ["base"],
        },
    }
    question = {"id": "q", "question": [[{"role": "user", "content": "The area of 3?"}]], "function": [function]}
    (tmp_path / "possible_answer").mkdir()
    (tmp_path / "BFCL_v4_simple_python.json").write_text(json.dumps(question) + "\n", encoding="utf-8")
    answer = {"id": "q", "ground_truth": [{"math.area": {"base": [3]}}]}
    (tmp_path / "possible_answer" / "BFCL_v4_simple_python.json").write_text(json.dumps(answer), encoding="utf-8")
    (one,) = load_questions(tmp_path, "simple")
    assert (one.name, one.line, one.answer) == ("math_area", "The area of 3?", {"base": [3]})
    (action,) = declared_actions(one.functions)
    assert [(p.name, p.type, p.many, p.required) for p in action.parameters] == [
        ("base", "number", False, True),
        ("sides", "number", True, False),
    ]


def test_a_folder_without_questions(tmp_path):
    with pytest.raises(ConfigError, match="is not there"):
        load_questions(tmp_path, "multiple")
