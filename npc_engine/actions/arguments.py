"""Arguments checked once more before a call leaves: by a pydantic model made from what the action declares."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from npc_engine.actions.schema import MAX_ARGUMENT_CHARS, MAX_NUMBER
from npc_engine.sheets.action_spec import MAX_ITEMS, ActionSpec, Parameter


def problem_of(action: ActionSpec, arguments: dict[str, Any]) -> str | None:
    """What is wrong with some arguments, in one line; None where they are valid for the action."""
    try:
        _model(action.name, action.parameters).model_validate(arguments)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return None


@lru_cache(maxsize=1024)
def _model(name: str, parameters: tuple[Parameter, ...]) -> type[BaseModel]:
    # Aliases, since a parameter may have the name of a method of BaseModel.
    fields: dict[str, Any] = {
        f"argument_{index}": (
            _type(one),
            Field(alias=one.name) if one.required else Field(None, alias=one.name),
        )
        for index, one in enumerate(parameters)
    }
    model: type[BaseModel] = create_model(name, __config__=ConfigDict(extra="forbid", strict=True), **fields)
    return model


def _type(parameter: Parameter) -> Any:
    value: Any = _value_type(parameter)
    return Annotated[list[value], Field(min_length=1, max_length=MAX_ITEMS)] if parameter.many else value


def _value_type(parameter: Parameter) -> Any:
    if parameter.choices:
        return Literal[parameter.choices]
    if parameter.type in ("integer", "number"):
        low = -MAX_NUMBER if parameter.minimum is None else parameter.minimum
        high = MAX_NUMBER if parameter.maximum is None else parameter.maximum
        bounds = Field(ge=low, le=high)
        return Annotated[int, bounds] if parameter.type == "integer" else Annotated[int | float, bounds]
    if parameter.type == "string":
        return Annotated[str, Field(min_length=1, max_length=MAX_ARGUMENT_CHARS)]
    return bool
