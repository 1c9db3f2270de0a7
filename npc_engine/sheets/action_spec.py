"""What an action is: its name, its typed arguments, its conditions, and the rules between actions.

A sheet writes them under `actions` and `procedures`; a game declares its own as JSON Schema, read by
`npc_engine/actions/declare.py` into the same models.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from npc_engine.sheets.fields import MAX_NAME_CHARS, Flag, Line, Model, Name, Note, Prose, Slug, When

# What the choice among actions is written with: the key of an action's name, and the name of none.
ACTION_KEY = "action"
NO_ACTION = "none"
# What a procedure writes to demand a yes in place of an action's name.
CONFIRM = "confirm"
PLACEHOLDER = re.compile(r"\{(\w+)\}")
MAX_ITEMS = 8
# A value of a result that is longer is no word to put into a line.
MAX_SAID_CHARS = 80
MAX_CHOICES = 500
Identifier = Annotated[
    str, StringConstraints(strict=True, pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=MAX_NAME_CHARS)
]

ParameterType = Literal["string", "integer", "number", "boolean"]
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {"string": (str,), "integer": (int,), "number": (int, float)}
Number = Annotated[int, Field(strict=True)] | Annotated[float, Field(strict=True)]
ChoiceValue = Annotated[str, Field(strict=True, min_length=1, max_length=60)] | Number


class Parameter(Model):
    """One argument of an action."""

    name: Identifier = Field(description="The argument's key in `action_call`.")
    type: ParameterType = Field("string", description="Its type; the decoder can produce no other.")
    description: Line = Field(description="What it means; shown to the model where the argument is chosen.")
    choices: tuple[ChoiceValue, ...] = Field(
        (), max_length=MAX_CHOICES, description="The only values allowed; without any, every value of the type is."
    )
    names: Slug | None = Field(
        None, description="The category of the sheet's `names` whose entries are the only values allowed."
    )
    minimum: Number | None = Field(None, description="Smallest number allowed.")
    maximum: Number | None = Field(None, description="Largest number allowed.")
    required: Flag = Field(True, description="Whether the action can run without it.")
    many: Flag = Field(False, description=f"It is a list of one to {MAX_ITEMS} such values instead of one value.")

    @model_validator(mode="after")
    def _fits_type(self) -> Parameter:
        allowed = _PYTHON_TYPES.get(self.type, ())
        for choice in self.choices:
            if not isinstance(choice, allowed):
                raise PydanticCustomError(
                    "choice_type", "choice {choice} is not of type {type}", {"choice": repr(choice), "type": self.type}
                )
        if len(set(self.choices)) != len(self.choices):
            raise PydanticCustomError("choice_twice", "a choice is listed twice")
        bounds = [bound for bound in (self.minimum, self.maximum) if bound is not None]
        if bounds and self.type not in ("integer", "number"):
            raise PydanticCustomError("bound_type", "minimum and maximum are for integer and number parameters")
        if bounds and self.choices:
            raise PydanticCustomError("bound_choices", "give choices or a range, not both")
        if len(bounds) == 2 and bounds[0] > bounds[1]:
            raise PydanticCustomError("bound_order", "minimum is larger than maximum")
        if self.names is not None and self.choices:
            raise PydanticCustomError("names_choices", "give choices or a category of names, not both")
        if self.names is not None and self.type != "string":
            raise PydanticCustomError("names_type", "names are for string parameters")
        return self


class ActionSpec(Model):
    """Something the game can do because the character says so."""

    name: Identifier = Field(description="The action's name in `action_call`.")
    description: Prose = Field(description="What it does and when it is meant; the model chooses by it.")
    examples: tuple[Line, ...] = Field(
        (), max_length=32, description="Player lines that want it; a line close to one makes the action a candidate."
    )
    parameters: tuple[Parameter, ...] = Field((), max_length=16, description="Its typed arguments.")
    when: When | None = Field(None, description="The action is offered only where this condition holds.")
    confirm: Flag = Field(
        False, description="The character first says what is about to happen and asks; only a yes makes the call."
    )
    offer: Line | None = Field(
        None,
        description="What the character says to ask for that yes; `{item}` stands for the argument of that name. "
        "Without it the model words the question.",
    )
    accumulate: Flag = Field(
        False,
        description="Its arguments add up over the player's lines, as the criteria of a search do: the newest value of "
        "each wins, the others stay, until the talk is about something else.",
    )
    cost: Annotated[Number, Field(ge=0)] | None = Field(
        None, description="What one call costs, in the game's own unit; handed on in `action_call`."
    )
    done: tuple[Line, ...] = Field(
        (),
        max_length=8,
        description="What the character says when the game reports success, one of them; `{item}` stands for the "
        "argument or the value of the game's result of that name. Where a value is missing, the model words it.",
    )
    on_success: Note | None = Field(None, description="How to word the result when the game reports success.")
    on_failure: Note | None = Field(None, description="How to word it when the game refuses or reports an error.")

    def offer_line(self, arguments: Mapping[str, Any]) -> str | None:
        """The offer with the arguments' values in it; None where there is none."""
        if self.offer is None:
            return None
        return PLACEHOLDER.sub(lambda match: _spoken(arguments.get(match[1], match[0])), self.offer)

    def done_lines(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        """The `done` lines whose values are all there, with them put in; those first that name the most.

        Args:
            values: The arguments and what the game answered; only plain values can be said.
        """
        said = {name: _spoken(value) for name, value in values.items() if _is_sayable(value)}
        usable = [line for line in self.done if set(PLACEHOLDER.findall(line)) <= said.keys()]
        most = max((len(set(PLACEHOLDER.findall(line))) for line in usable), default=0)
        best = [line for line in usable if len(set(PLACEHOLDER.findall(line))) == most]
        return tuple(PLACEHOLDER.sub(lambda match: said[match[1]], line) for line in best)


def _spoken(value: Any) -> str:
    return " and ".join(map(str, value)) if isinstance(value, list) else str(value)


def _is_sayable(value: Any) -> bool:
    if isinstance(value, list):
        return 0 < len(value) <= MAX_ITEMS and all(_is_sayable(one) and not isinstance(one, list) for one in value)
    return isinstance(value, (int, float)) or (isinstance(value, str) and 0 < len(value) <= MAX_SAID_CHARS)


class Procedure(Model):
    """A rule between actions that the engine keeps, whatever the model or the player says.

    Either `before` an action something is required, or `after` one another is offered.
    """

    name: Name = Field(description="What the rule is called in traces.")
    before: Identifier | None = Field(None, description="The action that is not called until `require` is met.")
    require: Identifier | None = Field(
        None,
        description=f"`{CONFIRM}`: the player's yes to an offer that was heard; or an action that must have succeeded "
        "with the same arguments where both have them: the engine calls it first by itself.",
    )
    after: Identifier | None = Field(None, description="The action whose success leads to the `offer`.")
    offer: Identifier | None = Field(
        None, description="The action that is offered then, in its own `offer` words; only a yes makes the call."
    )

    @model_validator(mode="after")
    def _is_one_rule(self) -> Procedure:
        given = {key for key in ("before", "require", "after", "offer") if getattr(self, key) is not None}
        if given not in ({"before", "require"}, {"after", "offer"}):
            raise PydanticCustomError("procedure", "a procedure has `before` and `require`, or `after` and `offer`")
        if len({self.before, self.require, self.after, self.offer} - {None}) != 2:
            raise PydanticCustomError("procedure_loop", "a procedure names two different actions")
        return self
