"""An action's parameters narrowed to what the talk leaves open: the decoder chooses only where there is a choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from npc_engine.actions.references import Talk, clause_with, has_number, is_said, named, number_in, referred
from npc_engine.sheets.action_spec import ActionSpec, Parameter

# What the decoder writes for a value that nobody has said.
UNSAID = "?"


@dataclass(frozen=True, kw_only=True)
class Narrowed:
    """What is known of a call before anything is decoded.

    Attributes:
        action: The action with the parameters that are left to the decoder.
        fixed: Arguments that the talk has settled.
        misfit: Why the player's own words cannot be an argument ("quantity: 50 is not within 1 to 20"), else None.
    """

    action: ActionSpec
    fixed: dict[str, Any] = field(default_factory=dict)
    misfit: str | None = None


def narrowed(
    action: ActionSpec, talk: Talk, *, known: Mapping[str, Any], used: Sequence[Any] = (), ask_missing: bool
) -> Narrowed:
    """Settle what can be settled.

    Args:
        action: The action.
        talk: What its arguments may refer to.
        known: Arguments from elsewhere: criteria of earlier lines, what a procedure hands on. The line goes first.
        used: Values of earlier calls of this action in this turn; of several named ones the next is taken.
        ask_missing: Whether the decoder may write `UNSAID` for a text with choices.
    """
    fixed: dict[str, Any] = {}
    line = talk.line
    for parameter in action.parameters:
        if parameter.choices and parameter.type == "string":
            value = _referred(parameter, talk, used)
            if value is not None:
                fixed[parameter.name] = value
                if not parameter.many and len(named(line, [str(one) for one in parameter.choices])) > 1:
                    line = clause_with(talk.line, str(value))
    numeric = [one for one in action.parameters if one.type in ("integer", "number") and not one.many]
    if len(numeric) == 1 and (number := number_in(line)) is not None:
        misfit = _misfit(numeric[0], number)
        if misfit is not None:
            return Narrowed(action=action, misfit=misfit)
        fixed[numeric[0].name] = number
    fixed = {**known, **fixed}
    is_counted = has_number(talk.line)
    left = [
        _left(one, talk, ask_missing=ask_missing and one.name not in fixed)
        for one in action.parameters
        if (one.name not in fixed or is_free(one)) and (one.required or one not in numeric or is_counted)
    ]
    return Narrowed(action=action.model_copy(update={"parameters": tuple(left)}), fixed=fixed)


def has_argument(action: ActionSpec, line: str) -> bool:
    """Whether a line names a value for one of the action's parameters, or has a number where it takes one."""
    return any(
        bool(named(line, [str(choice) for choice in one.choices])) if one.choices else has_number(line)
        for one in action.parameters
        if one.choices or one.type in ("integer", "number")
    )


def is_free(parameter: Parameter) -> bool:
    """Whether it is a text without choices."""
    return parameter.type == "string" and not parameter.choices


def missing(action: ActionSpec, arguments: Mapping[str, Any], talk: Talk) -> tuple[Parameter, ...]:
    """The required parameters whose decoded value nobody has said: `UNSAID`, or a free text of made-up words."""
    return tuple(
        one
        for one in action.parameters
        if one.required and one.type == "string" and not one.many and _is_unsaid(one, arguments.get(one.name), talk)
    )


def _is_unsaid(parameter: Parameter, value: Any, talk: Talk) -> bool:
    if value is None or value == UNSAID:
        return UNSAID not in parameter.choices
    return not parameter.choices and not is_said(str(value), talk)


def _referred(parameter: Parameter, talk: Talk, used: Sequence[Any]) -> Any:
    """The value that the line settles, or all of them for a list; None where it is open."""
    found = referred(talk, [str(choice) for choice in parameter.choices])
    if parameter.many:
        return list(found) or None
    left = [value for value in found if value not in used]
    if used and left:
        return left[0]
    if len(found) > 1 and len(named(talk.line, found)) == len(found):
        return found[0]  # named one after the other: the others are for the calls that follow
    return found[0] if len(found) == 1 else None


def _misfit(parameter: Parameter, number: float) -> str | None:
    if parameter.choices:
        return None if number in parameter.choices else f"{parameter.name}: {number} is none of {parameter.choices}"
    if parameter.type == "integer" and not isinstance(number, int):
        return f"{parameter.name}: {number} is no whole number"
    low, high = parameter.minimum, parameter.maximum
    if (low is not None and number < low) or (high is not None and number > high):
        bounds = f"{'any' if low is None else low} to {'any' if high is None else high}"
        return f"{parameter.name}: {number} is not within {bounds}"
    return None


def _left(parameter: Parameter, talk: Talk, *, ask_missing: bool) -> Parameter:
    """A parameter as the decoder sees it: fewer choices where the line leaves a few, `UNSAID` where that may be."""
    choices = parameter.choices
    if choices and parameter.type == "string":
        values = [str(choice) for choice in choices]
        choices = referred(talk, values) or choices
        if ask_missing and not named(talk.line, values) and UNSAID not in choices:
            choices = (*choices, UNSAID)
    return parameter.model_copy(update={"choices": choices})
