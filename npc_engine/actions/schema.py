"""A declared action as the JSON Schema that constrains a call of it."""

from __future__ import annotations

from typing import Any

from npc_engine.sheets.action_spec import ACTION_KEY, MAX_ITEMS, ActionSpec, Parameter

# Longest free text argument; one with `choices` cannot be longer than its choices anyway.
MAX_ARGUMENT_CHARS = 60
# Bounds of a number that the sheet gives none: whole numbers up to here are exact in every client's number type. A
# range also keeps exponents out, and with them infinities.
MAX_NUMBER = 2**53


def call_schema(action: ActionSpec) -> dict[str, Any]:
    """A schema of one object: `{"action": NAME, ...arguments}`.

    Whatever matches it is a valid call by construction: name, types, choices and ranges.
    """
    properties: dict[str, Any] = {ACTION_KEY: {"const": action.name}}
    properties |= {parameter.name: _argument(parameter) for parameter in action.parameters}
    required = [ACTION_KEY, *(parameter.name for parameter in action.parameters if parameter.required)]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _argument(parameter: Parameter) -> dict[str, Any]:
    if parameter.many:
        return {"type": "array", "items": _value(parameter), "minItems": 1, "maxItems": MAX_ITEMS}
    return _value(parameter)


def _value(parameter: Parameter) -> dict[str, Any]:
    if parameter.choices:
        return {"enum": list(parameter.choices)}
    schema: dict[str, Any] = {"type": parameter.type}
    if parameter.type == "string":
        schema |= {"minLength": 1, "maxLength": MAX_ARGUMENT_CHARS}
    if parameter.type in ("integer", "number"):
        schema["minimum"] = -MAX_NUMBER if parameter.minimum is None else parameter.minimum
        schema["maximum"] = MAX_NUMBER if parameter.maximum is None else parameter.maximum
    return schema
