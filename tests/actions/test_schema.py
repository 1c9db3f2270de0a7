"""A call's schema lets through what the declared parameters allow, and nothing else; so does the check after it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npc_engine.actions.arguments import problem_of
from npc_engine.actions.schema import MAX_ARGUMENT_CHARS, MAX_NUMBER, call_schema
from npc_engine.sheets.action_spec import MAX_ITEMS, ActionSpec


def action(*parameters, name="act"):
    described = [{"description": "what it means", **parameter} for parameter in parameters]
    return ActionSpec.model_validate({"name": name, "description": "does it", "parameters": described})


@pytest.fixture(scope="session")
def accepts(compiler, tokenizer):
    """Whether a text is one whole call of the action."""

    def check(declared, text):
        state = compiler.json_schema(call_schema(declared)).start()
        for token_id in tokenizer.encode(text):
            if state.is_finished or not state.allowed[token_id]:
                return False
            state.advance(token_id)
        return state.is_finished or bool(state.allowed[list(compiler_ends)].any())

    compiler_ends = tokenizer.stop_ids
    return check


def is_json(text):
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def call(argument=None, *, name="act"):
    return f'{{"action":"{name}"}}' if argument is None else f'{{"action":"{name}","x":{argument}}}'


ITEM = {"name": "x", "choices": ["short sword", 'a "fine" axe', "été"]}
COUNT = {"name": "x", "type": "integer", "minimum": 1, "maximum": 20}
CASES = [
    (ITEM, ['"short sword"', '"a \\"fine\\" axe"', '"été"'], ['"sword"', '"short sword "', '""', "1", "null"]),
    (COUNT, ["1", "9", "20"], ["0", "21", "-1", "1.5", '"1"', "1e1", "01", "true"]),
    ({"name": "x", "type": "integer", "minimum": 5}, ["5", "70000", str(MAX_NUMBER)], ["4", str(MAX_NUMBER + 1)]),
    ({"name": "x", "type": "integer", "maximum": -5}, ["-5", str(-MAX_NUMBER)], ["-4", "5", str(-MAX_NUMBER - 1)]),
    ({"name": "x", "type": "integer"}, ["0", "-7", "12345"], ["9" * 20, "-" + "9" * 20, "1.0", "1e5"]),
    ({"name": "x", "type": "number"}, ["0", "1.25", "-3"], ["1e999", "1E5", "9" * 20, "NaN", "Infinity"]),
    ({"name": "x", "type": "number", "minimum": 0, "maximum": 1}, ["0", "1", "0.5", "1.0"], ["1.1", "-0.1", "2"]),
    ({"name": "x", "type": "integer", "choices": [3, 5]}, ["3", "5"], ["4", "35", '"3"']),
    ({"name": "x", "type": "boolean"}, ["true", "false"], ["0", '"true"', "null"]),
    (
        {"name": "x", "type": "string"},
        ['"a"', '"two words"', '"' + "a" * MAX_ARGUMENT_CHARS + '"'],
        ['""', '"' + "a" * (MAX_ARGUMENT_CHARS + 1) + '"', "a", '"a\n"', "1"],
    ),
    (
        {"name": "x", "choices": ["axe", "bow"], "many": True},
        ['["axe"]', '["bow","axe"]', "[" + ",".join(['"axe"'] * MAX_ITEMS) + "]"],
        ["[]", '"axe"', '["sword"]', '["axe",]', "[" + ",".join(['"axe"'] * (MAX_ITEMS + 1)) + "]"],
    ),
    ({"name": "x", "type": "integer", "minimum": 2, "many": True}, ["[2]", "[9,3]"], ["[1]", '["2"]', "[2.5]"]),
]


@pytest.mark.parametrize(("parameter", "right", "wrong"), CASES)
def test_an_argument_is_what_its_parameter_allows(accepts, parameter, right, wrong):
    declared = action(parameter)
    assert [text for text in right if not accepts(declared, call(text))] == []
    assert [text for text in wrong if accepts(declared, call(text))] == []


@pytest.mark.parametrize(("parameter", "right", "wrong"), CASES)
def test_the_second_check_agrees_with_the_grammar(parameter, right, wrong):
    declared = action(parameter)
    assert [text for text in right if problem_of(declared, {"x": json.loads(text)})] == []
    readable = [text for text in wrong if is_json(text) and text != "1E5"]  # another spelling of a valid number
    assert [text for text in readable if not problem_of(declared, {"x": json.loads(text)})] == []


def test_what_is_required_must_be_there(accepts):
    must, may = action({"name": "x", "type": "boolean"}), action({"name": "x", "type": "boolean", "required": False})
    assert not accepts(must, call())
    assert accepts(may, call())
    assert accepts(may, call("true"))
    assert problem_of(must, {}) == "x: Field required"
    assert problem_of(may, {}) is None
    assert problem_of(may, {"x": True, "y": 1}) == "y: Extra inputs are not permitted"


def test_only_the_action_given_can_be_called(accepts):
    one = action(name="one")
    assert accepts(one, call(name="one"))
    for wrong in (call(name="two"), call("true", name="one"), call(name="on"), call(name="none"), "{}", "", "null"):
        assert not accepts(one, wrong)


def test_a_parameter_may_have_the_name_of_a_method_of_pydantic():
    names = ("copy", "json", "model_dump", "schema", "model_config")
    declared = action(*({"name": name} for name in names))
    assert problem_of(declared, dict.fromkeys(names, "a")) is None


def test_nothing_may_follow_or_be_added(accepts):
    assert not accepts(action(), call() + " ")
    assert not accepts(action(), '{"action":"act","more":1}')
    assert not accepts(action(), '{ "action": "act" }')


@settings(max_examples=40, deadline=None)
@given(low=st.integers(-(10**6), 10**6), size=st.integers(0, 10**6), value=st.integers(-(3 * 10**6), 3 * 10**6))
def test_a_range_is_exact(accepts, low, size, value):
    declared = action({"name": "x", "type": "integer", "minimum": low, "maximum": low + size})
    assert accepts(declared, call(str(value))) == (low <= value <= low + size)
    assert accepts(declared, call(str(low)))
    assert accepts(declared, call(str(low + size)))
    assert not accepts(declared, call(str(low - 1)))
    assert not accepts(declared, call(str(low + size + 1)))
