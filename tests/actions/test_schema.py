"""The choice's schema lets through what the declared parameters allow, and nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npc_engine.actions.schema import MAX_ARGUMENT_CHARS, MAX_NUMBER, choice_schema
from npc_engine.sheets.schema import ActionSpec


def action(*parameters, name="act"):
    described = [{"description": "what it means", **parameter} for parameter in parameters]
    return ActionSpec.model_validate({"name": name, "description": "does it", "parameters": described})


@pytest.fixture(scope="session")
def accepts(compiler, tokenizer):
    """Whether a text is one whole call among the actions."""

    def check(actions, text):
        state = compiler.json_schema(choice_schema(actions)).start()
        for token_id in tokenizer.encode(text):
            if state.is_finished or not state.allowed[token_id]:
                return False
            state.advance(token_id)
        return state.is_finished or bool(state.allowed[list(compiler_ends)].any())

    compiler_ends = tokenizer.stop_ids
    return check


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
]


@pytest.mark.parametrize(("parameter", "right", "wrong"), CASES)
def test_an_argument_is_what_its_parameter_allows(accepts, parameter, right, wrong):
    actions = [action(parameter)]
    assert [text for text in right if not accepts(actions, call(text))] == []
    assert [text for text in wrong if accepts(actions, call(text))] == []


def test_what_is_required_must_be_there(accepts):
    must, may = action({"name": "x", "type": "boolean"}), action({"name": "x", "type": "boolean", "required": False})
    assert not accepts([must], call())
    assert accepts([may], call())
    assert accepts([may], call("true"))


def test_only_the_actions_given_can_be_chosen(accepts):
    one, two = action(name="one"), action({"name": "x", "type": "boolean"}, name="two")
    assert accepts([one, two], call(name="one"))
    assert accepts([one, two], call("true", name="two"))
    assert accepts([one], call(name="none"))
    for wrong in (call(name="two"), call("true", name="one"), call(name="on"), call(name="None"), "{}", "", "null"):
        assert not accepts([one], wrong)


def test_nothing_may_follow_or_be_added(accepts):
    assert not accepts([action()], call() + " ")
    assert not accepts([action()], '{"action":"act","more":1}')
    assert not accepts([action()], '{ "action": "act" }')


@settings(max_examples=40, deadline=None)
@given(low=st.integers(-(10**6), 10**6), size=st.integers(0, 10**6), value=st.integers(-(3 * 10**6), 3 * 10**6))
def test_a_range_is_exact(accepts, low, size, value):
    actions = [action({"name": "x", "type": "integer", "minimum": low, "maximum": low + size})]
    assert accepts(actions, call(str(value))) == (low <= value <= low + size)
    assert accepts(actions, call(str(low)))
    assert accepts(actions, call(str(low + size)))
    assert not accepts(actions, call(str(low - 1)))
    assert not accepts(actions, call(str(low + size + 1)))
