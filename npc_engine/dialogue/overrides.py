"""Controls as a game sends them, and what it is told of those in force."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from npc_engine.errors import InvalidControls
from npc_engine.sheets.controls import ControlOverrides, Controls, Route, resolve

# Most problems listed in one error, and most characters shown of an unknown name.
MAX_LISTED = 8
MAX_SHOWN_CHARS = 60


@dataclass(frozen=True, kw_only=True)
class ControlsInForce:
    """What a conversation's next turn runs under, as plain data.

    Attributes:
        own: What the conversation sets; None where it leaves a control to the sheet.
        by_route: Of each route a turn may take, the value of every control.
    """

    own: dict[str, Any]
    by_route: dict[str, dict[str, Any]]

    @classmethod
    def of(
        cls, own: ControlOverrides, *, sheet: Controls | None = None, engine: ControlOverrides | None = None
    ) -> ControlsInForce:
        """Those of a conversation that sets `own`; without a sheet or engine settings, the defaults stand for them."""
        resolved = {
            route.value: resolve(route, sheet=sheet or Controls(), engine=engine, conversation=own).values
            for route in Route
        }
        return cls(own=own.model_dump(), by_route={name: values.model_dump() for name, values in resolved.items()})


def read_overrides(raw: Mapping[str, Any]) -> ControlOverrides:
    """Controls as the game sends them; one that it sends as None is set to None, one that it leaves out is not set.

    Raises:
        InvalidControls: A name is unknown, or a value has a wrong type or range; the message names each.
    """
    try:
        return ControlOverrides.model_validate(dict(raw))
    except ValidationError as error:
        problems = [_problem(item["loc"], item["type"], item["msg"]) for item in error.errors()]
        raise InvalidControls(
            "; ".join(problems[:MAX_LISTED]), hint=f"the controls are {', '.join(ControlOverrides.model_fields)}"
        ) from error


def _problem(loc: tuple[int | str, ...], kind: str, message: str) -> str:
    name = ".".join(str(part) for part in loc)
    if kind == "extra_forbidden":
        near = get_close_matches(name, ControlOverrides.model_fields, n=1)
        return f"unknown control {name[:MAX_SHOWN_CHARS]!r}" + (f", did you mean {near[0]!r}?" if near else "")
    return f"{name}: {message}"
