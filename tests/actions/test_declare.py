"""Actions as a game declares them: what can be read, and a coded, located error for everything else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npc_engine.actions.declare import MAX_DECLARED, declared_actions
from npc_engine.errors import InvalidAction
from npc_engine.sheets.action_spec import ActionSpec


def declare(**fields):
    return {"name": "act", "description": "does it", **fields}


def with_schema(schema, *, required=()):
    return declare(parameters={"type": "object", "properties": {"x": schema}, "required": list(required)})


def test_everything_that_can_be_declared():
    (action,) = declared_actions(
        [
            {
                "name": "sellItem",
                "description": "Sells.",
                "examples": ["Sell me a sword."],
                "when": "trust >= 10",
                "confirm": True,
                "offer": "{item}, then?",
                "accumulate": False,
                "cost": 2.5,
                "on_success": "Say so.",
                "on_failure": "Say why.",
                "parameters": {
                    "$schema": "https://json-schema.org/draft/2020-12/schema",
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "item": {"type": "string", "enum": ["axe", "bow"], "description": "what", "title": "Item"},
                        "count": {"type": "integer", "minimum": 1, "maximum": 9, "default": 1},
                        "share": {"type": "number", "minimum": 0.5},
                        "wrapped": {"type": "boolean"},
                        "kind": {"const": "gift"},
                        "colours": {"type": "array", "items": {"enum": ["red", "blue"]}, "minItems": 1},
                    },
                    "required": ["item", "count"],
                },
            }
        ]
    )
    assert isinstance(action, ActionSpec)
    assert (action.name, action.confirm, action.cost, action.when.text) == ("sellItem", True, 2.5, "trust >= 10")
    shapes = [(one.name, one.type, one.choices, one.required, one.many) for one in action.parameters]
    assert shapes == [
        ("item", "string", ("axe", "bow"), True, False),
        ("count", "integer", (), True, False),
        ("share", "number", (), False, False),
        ("wrapped", "boolean", (), False, False),
        ("kind", "string", ("gift",), False, False),
        ("colours", "string", ("red", "blue"), False, True),
    ]


NESTED = {"type": "object", "properties": {}}
WRONG = [
    ("no list", {"name": "act"}, "actions: expected a list"),
    ("text", "act", "actions: expected a list"),
    ("no object", ["act"], "actions[0]: expected an object, found text"),
    ("nothing", [None], "actions[0]: expected an object, found nothing"),
    ("no name", [{"description": "d"}], "actions[0].name: Field required"),
    ("bad name", [declare(name="sell item")], "actions[0].name: "),
    ("no description", [declare(), {"name": "b"}], "actions[1].description: Field required"),
    ("called none", [declare(name="none")], "actions[0].name: an action cannot be called 'none'"),
    ("called confirm", [declare(name="confirm")], "actions[0].name: an action cannot be called 'confirm'"),
    ("twice", [declare(), declare()], "actions[1].name: the action 'act' is declared twice"),
    ("unknown key", [declare(parametres={})], "actions[0]: unknown key 'parametres'"),
    ("bad condition", [declare(when="trst > 3")], "actions[0].when: unknown name 'trst'"),
    ("negative cost", [declare(cost=-1)], "actions[0].cost: Input should be greater than or equal to 0"),
    ("no boolean", [declare(confirm="yes")], "actions[0].confirm: Input should be a valid boolean"),
    (
        "schema is a list",
        [declare(parameters=[])],
        "actions[0].parameters: expected a JSON Schema object, found a list",
    ),
    ("schema of a text", [declare(parameters={"type": "string"})], "actions[0].parameters.type: expected 'object'"),
    ("open", [declare(parameters={"additionalProperties": True})], "actions[0].parameters.additionalProperties: "),
    ("properties", [declare(parameters={"properties": 3})], "actions[0].parameters.properties: expected an object"),
    ("required", [declare(parameters={"required": ["y"]})], "actions[0].parameters.required: 'y' is not among"),
    ("required twice nested", [declare(parameters={"required": [[]]})], "actions[0].parameters.required: '[]' is not"),
    ("key is no text", [declare(parameters={"properties": {3: {}}})], "properties.3: a parameter cannot be called 3"),
    ("action", [declare(parameters={"properties": {"action": {}}})], "a parameter cannot be called 'action'"),
    ("no type", [with_schema({})], "actions[0].parameters.properties.x.type: expected string"),
    ("object", [with_schema(NESTED)], "properties.x: the keyword 'properties' is not supported"),
    (
        "null",
        [with_schema({"type": "null"})],
        "x.type: expected string, integer, number, boolean or array, found 'null'",
    ),
    ("types", [with_schema({"type": ["string", "null"]})], "x.type: expected string"),
    ("keyword", [with_schema({"type": "string", "pattern": "a+"})], "x: the keyword 'pattern' is not supported"),
    ("enum", [with_schema({"enum": "ab"})], "x.enum: expected a list"),
    ("empty enum", [with_schema({"type": "string", "enum": []})], "x.enum: at least one value is needed"),
    ("mixed enum", [with_schema({"enum": ["a", 1]})], "x.type: expected string"),
    ("enum of another type", [with_schema({"type": "integer", "enum": ["a"]})], "x: choice 'a' is not of type integer"),
    ("bounds", [with_schema({"type": "integer", "minimum": 2, "maximum": 1})], "x: minimum is larger than maximum"),
    ("array of what", [with_schema({"type": "array"})], "x.items: expected a JSON Schema object, found nothing"),
    ("array of arrays", [with_schema({"type": "array", "items": {"type": "array"}})], "x.items.type: expected string"),
    (
        "long array",
        [with_schema({"type": "array", "items": {"type": "string"}, "maxItems": 99})],
        "x: a list has 1 to 8",
    ),
    ("offer", [declare(offer="A {colour} one?")], "actions[0].offer: {colour} is no required parameter"),
    ("many", [declare(name=f"a{n}") for n in range(MAX_DECLARED + 1)], "257 actions, at most 256"),
]


@pytest.mark.parametrize(("raw", "problem"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_what_cannot_be_used_is_refused_with_its_place(raw, problem):
    with pytest.raises(InvalidAction) as caught:
        declared_actions(raw)
    assert problem in caught.value.message
    assert caught.value.code == "NPC315"
    assert caught.value.hint


def test_every_bad_action_is_named_up_to_a_few():
    with pytest.raises(InvalidAction) as caught:
        declared_actions([declare(name=f"{n}") for n in range(20)])
    assert caught.value.message.count("actions[") == 8
    assert "and 12 more" in caught.value.message


def test_two_hundred_and_fifty_six_are_not_too_many():
    assert len(declared_actions([declare(name=f"a{n}") for n in range(MAX_DECLARED)])) == MAX_DECLARED


KEYS = st.sampled_from(
    ["name", "description", "parameters", "properties", "type", "enum", "required", "items", "x", "when", "offer"]
) | st.text(max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(JSON)
def test_any_data_is_actions_or_a_coded_error(raw):
    try:
        actions = declared_actions(raw)
    except InvalidAction as error:
        problem = error.message
    else:
        problem = ""
        assert all(isinstance(action, ActionSpec) for action in actions)
    assert len(problem) < 4000
