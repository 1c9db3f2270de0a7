"""Actions that a game declares when it opens a conversation: JSON Schema in, `ActionSpec` out, every problem located.

    {"name": "sell_item", "description": "...", "examples": [...], "confirm": true,
     "parameters": {"type": "object", "properties": {"item": {"type": "string", "enum": [...]}}, "required": ["item"]}}

The subset: an object of properties, each a string, integer, number or boolean, or an array of these; `enum` and
`const`, `minimum` and `maximum`, `required`, `description`. What only comments on a schema is passed over; any other
keyword is refused, since a call would not keep it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from npc_engine.errors import InvalidAction
from npc_engine.sheets.action_spec import ACTION_KEY, CONFIRM, MAX_ITEMS, NO_ACTION, PLACEHOLDER, ActionSpec

MAX_DECLARED = 256
# Most problems listed in one error.
MAX_LISTED = 8
_TYPES = ("string", "integer", "number", "boolean")
# Keywords that say nothing about which values are valid.
_COMMENTS = frozenset({"title", "default", "examples", "deprecated", "$schema", "$comment", "$id"})
_OBJECT_KEYS = frozenset({"type", "properties", "required", "additionalProperties", "description"}) | _COMMENTS
_VALUE_KEYS = frozenset({"type", "enum", "const", "minimum", "maximum", "description"}) | _COMMENTS
_ARRAY_KEYS = frozenset({"type", "items", "minItems", "maxItems", "description"}) | _COMMENTS
_TEXT_KEYS = ("name", "description", "examples", "offer", "done", "on_success", "on_failure")
_OWN_KEYS = (*_TEXT_KEYS, "when", "confirm", "accumulate", "cost")


class _Problem(Exception):
    """Something wrong at a place of one action."""

    def __init__(self, path: str, text: str) -> None:
        super().__init__(f"{path}: {text}")


def declared_actions(raw: Sequence[Mapping[str, Any]]) -> tuple[ActionSpec, ...]:
    """Read the actions that a game declares.

    Args:
        raw: One mapping an action: `name` and `description`, and optionally `parameters` (JSON Schema of an object),
            `examples`, `when`, `confirm`, `offer`, `accumulate`, `cost`, `done`, `on_success`, `on_failure`, as in a
            sheet.

    Raises:
        InvalidAction: An action cannot be used, two have one name, or there are too many; the message names each place.
    """
    if isinstance(raw, (str, bytes, Mapping)) or not isinstance(raw, Sequence):
        raise InvalidAction("actions: expected a list", hint="a list of objects with `name` and `description`")
    if len(raw) > MAX_DECLARED:
        raise InvalidAction(f"{len(raw)} actions, at most {MAX_DECLARED}", hint="declare those the character can use")
    problems: list[str] = []
    actions: dict[str, ActionSpec] = {}
    for index, entry in enumerate(raw):
        path = f"actions[{index}]"
        try:
            action = _action(path, entry)
        except _Problem as problem:
            problems.append(str(problem))
            continue
        if action.name in actions:
            problems.append(f"{path}.name: the action {action.name!r} is declared twice")
        actions[action.name] = action
    if problems:
        more = f"\n  and {len(problems) - MAX_LISTED} more" if len(problems) > MAX_LISTED else ""
        raise InvalidAction("\n  ".join(problems[:MAX_LISTED]) + more, hint="docs/actions.md has what can be declared")
    return tuple(actions.values())


def _action(path: str, entry: Any) -> ActionSpec:
    if not isinstance(entry, Mapping):
        raise _Problem(path, f"expected an object, found {_kind(entry)}")
    unknown = [key for key in entry if key not in (*_OWN_KEYS, "parameters")]
    if unknown:
        raise _Problem(path, f"unknown key {_shown(unknown[0])}; the keys are parameters, {', '.join(_OWN_KEYS)}")
    fields = {key: entry[key] for key in _OWN_KEYS if entry.get(key) is not None}
    fields["parameters"] = list(_parameters(f"{path}.parameters", entry.get("parameters")))
    try:
        action = ActionSpec.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise _Problem(_located(path, first["loc"], fields), first["msg"]) from error
    if action.name in (NO_ACTION, CONFIRM):
        raise _Problem(f"{path}.name", f"an action cannot be called {action.name!r}")
    required = {parameter.name for parameter in action.parameters if parameter.required}
    missing = [name for name in PLACEHOLDER.findall(action.offer or "") if name not in required]
    if missing:
        raise _Problem(f"{path}.offer", f"{{{missing[0]}}} is no required parameter")
    return action


def _located(path: str, loc: tuple[int | str, ...], fields: Mapping[str, Any]) -> str:
    """Pydantic's location in the game's own terms: a parameter is a property of its schema."""
    if loc[:1] == ("parameters",) and len(loc) > 1 and isinstance(loc[1], int):
        return f"{path}.parameters.properties.{fields['parameters'][loc[1]]['name']}"
    return path + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc[:2])


def _parameters(path: str, schema: Any) -> Iterator[dict[str, Any]]:
    if schema is None:
        return
    _known(path, schema, _OBJECT_KEYS)
    if schema.get("type", "object") != "object":
        raise _Problem(f"{path}.type", f"expected 'object', found {_shown(schema['type'])}")
    if schema.get("additionalProperties", False) is not False:
        raise _Problem(f"{path}.additionalProperties", "must be false: a call has the declared arguments only")
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if not isinstance(properties, Mapping):
        raise _Problem(f"{path}.properties", f"expected an object, found {_kind(properties)}")
    if not isinstance(required, Sequence) or isinstance(required, str):
        raise _Problem(f"{path}.required", f"expected a list of names, found {_kind(required)}")
    for name in required:
        if not isinstance(name, str) or name not in properties:
            raise _Problem(f"{path}.required", f"{_shown(name)} is not among the properties")
    for name, each in properties.items():
        if not isinstance(name, str) or name == ACTION_KEY:
            raise _Problem(f"{path}.properties.{name}", f"a parameter cannot be called {name!r}")
        yield {"name": name, "required": name in required, **_parameter(f"{path}.properties.{name[:60]}", each)}


def _parameter(path: str, schema: Any) -> dict[str, Any]:
    if isinstance(schema, Mapping) and schema.get("type") == "array":
        _known(path, schema, _ARRAY_KEYS)
        if schema.get("minItems", 1) not in (0, 1) or schema.get("maxItems", MAX_ITEMS) != MAX_ITEMS:
            raise _Problem(path, f"a list has 1 to {MAX_ITEMS} items; leave minItems and maxItems out")
        inner = _value(f"{path}.items", schema.get("items"))
        return inner | {"many": True, "description": schema.get("description") or inner["description"]}
    return _value(path, schema)


def _value(path: str, schema: Any) -> dict[str, Any]:
    _known(path, schema, _VALUE_KEYS)
    choices = schema.get("enum", [schema["const"]] if "const" in schema else [])
    if not isinstance(choices, Sequence) or isinstance(choices, str):
        raise _Problem(f"{path}.enum", f"expected a list, found {_kind(choices)}")
    if "enum" in schema and not choices:
        raise _Problem(f"{path}.enum", "at least one value is needed")
    kind = schema.get("type") or _type_of(choices)
    if kind not in _TYPES:
        raise _Problem(f"{path}.type", f"expected {', '.join(_TYPES)} or array, found {_shown(kind)}")
    fields = {"type": kind, "choices": choices, "description": schema.get("description") or path.rsplit(".", 1)[-1]}
    return fields | {key: schema[key] for key in ("minimum", "maximum") if key in schema}


def _type_of(choices: Sequence[Any]) -> str | None:
    """The type that an `enum` without one has."""
    if choices and all(isinstance(choice, str) for choice in choices):
        return "string"
    numbers = choices and all(isinstance(choice, (int, float)) and not isinstance(choice, bool) for choice in choices)
    return "number" if numbers else None


def _known(path: str, schema: Any, keys: frozenset[str]) -> None:
    if not isinstance(schema, Mapping):
        raise _Problem(path, f"expected a JSON Schema object, found {_kind(schema)}")
    for key in schema:
        if key not in keys:
            raise _Problem(path, f"the keyword {_shown(key)} is not supported")


def _kind(value: Any) -> str:
    names = {str: "text", bool: "true or false", int: "a number", float: "a number", type(None): "nothing"}
    return names.get(type(value), "a list" if isinstance(value, Sequence) else "an object")


def _shown(value: Any) -> str:
    return f"'{str(value)[:60]}'"
