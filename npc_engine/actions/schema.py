"""Declared actions as the JSON Schema that constrains the choice among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from npc_engine.sheets.schema import ACTION_KEY, NO_ACTION, ActionSpec, Parameter

# Longest free text argument; one with `choices` cannot be longer than its choices anyway.
MAX_ARGUMENT_CHARS = 60
# Bounds of a number that the sheet gives none: whole numbers up to here are exact in every client's number type. A
# range also keeps exponents out, and with them infinities.
MAX_NUMBER = 2**53


def choice_schema(actions: Sequence[ActionSpec]) -> dict[str, Any]:
    """A schema of one object a possible action: `{"action": NAME, ...arguments}`, `none` included.

    Whatever matches it is a valid call by construction: names, types, choices and ranges.
    """
    return {
        "anyOf": [*(_call(action) for action in actions), _object({ACTION_KEY: {"const": NO_ACTION}}, [ACTION_KEY])]
    }


def _call(action: ActionSpec) -> dict[str, Any]:
    properties: dict[str, Any] = {ACTION_KEY: {"const": action.name}}
    properties |= {parameter.name: _argument(parameter) for parameter in action.parameters}
    required = [ACTION_KEY, *(parameter.name for parameter in action.parameters if parameter.required)]
    return _object(properties, required)


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _argument(parameter: Parameter) -> dict[str, Any]:
    if parameter.choices:
        return {"enum": list(parameter.choices)}
    schema: dict[str, Any] = {"type": parameter.type}
    if parameter.type == "string":
        schema |= {"minLength": 1, "maxLength": MAX_ARGUMENT_CHARS}
    if parameter.type in ("integer", "number"):
        schema["minimum"] = -MAX_NUMBER if parameter.minimum is None else parameter.minimum
        schema["maximum"] = MAX_NUMBER if parameter.maximum is None else parameter.maximum
    return schema
