"""Deflanderization controls: how much role-play, how long, how often a quirk may show.

Each control is settable for the engine, the character, the conversation and the turn, and a sheet may set it for single
routes; the nearest setting wins. This module holds the values and that rule; docs/controls.md says what each does, and
the dialogue room does it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from npc_engine.sheets.fields import Model, Ratio

Words = Annotated[int, Field(strict=True, ge=4, le=300)]
Sentences = Annotated[int, Field(strict=True, ge=1, le=12)]
Turns = Annotated[int, Field(strict=True, ge=0, le=100)]
Quirks = Annotated[int, Field(strict=True, ge=0, le=20)]


class Route(StrEnum):
    """What a player's line wants."""

    SMALL_TALK = "small_talk"
    CHARACTER = "character"
    WORLD = "world"
    TASK = "task"
    OUTSIDE = "outside"
    ATTACK = "attack"


class ControlValues(Model):
    """Every control with a value: what a turn runs under. The defaults are the engine's."""

    role_play: Ratio = 0.6
    max_words: Words = 45
    max_sentences: Sentences = 3
    quirk_budget: Quirks = 1
    cooldown_turns: Turns = 4
    trait_saturation: Ratio = 0.35
    task_priority: Ratio = 0.5
    synchrony: Ratio = 0.3


class ControlOverrides(Model):
    """Some controls; those left out keep the value of the wider level."""

    role_play: Ratio | None = Field(
        None, description="How much persona reaches the prompt: 0 plain and helpful, 1 the whole character."
    )
    max_words: Words | None = Field(None, description="Longest reply in words; it is cut at a sentence end.")
    max_sentences: Sentences | None = Field(None, description="Longest reply in sentences.")
    quirk_budget: Quirks | None = Field(
        None, description="How many catchphrases or quirks may show within `cooldown_turns` turns."
    )
    cooldown_turns: Turns | None = Field(None, description="How many turns a shown quirk counts against the budget.")
    trait_saturation: Ratio | None = Field(
        None, description="Cap on the flanderization index: the share of recent speech that is catchphrase and trait."
    )
    task_priority: Ratio | None = Field(
        None, description="On task turns, how far carrying the facts outweighs sounding in character."
    )
    synchrony: Ratio | None = Field(None, description="How far the character may mirror the player's style.")

    def changed(self, changes: ControlOverrides) -> ControlOverrides:
        """These, with those that `changes` names in their place; one that it names as None is left out again."""
        return self.model_copy(update={name: getattr(changes, name) for name in changes.model_fields_set})


class Controls(ControlOverrides):
    """A sheet's controls, and its exceptions for single routes."""

    routes: dict[Route, ControlOverrides] = Field(
        default_factory=dict, description="Controls that differ on one route; they win over the sheet's general ones."
    )


class Level(StrEnum):
    """Where a control's value came from, the widest first."""

    DEFAULT = "default"
    ENGINE = "engine"
    CHARACTER = "character"
    ROUTE = "route"
    CONVERSATION = "conversation"
    TURN = "turn"


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a route makes of the values that were set for no route in particular.

    Attributes:
        role_play: Factor, the product at most 1.
        max_words: At most.
        quirk_budget: At most.
    """

    role_play: float = 1.0
    max_words: int | None = None
    quirk_budget: int | None = None

    def bound(self, name: str, value: float) -> float:
        """The value on the route; controls that the route says nothing of stay."""
        if name == "role_play":
            return round(min(1.0, value * self.role_play), 3)
        limit = getattr(self, name, None)
        return value if limit is None else min(value, limit)


# A task wants its answer and little else: "Deflanderization for Game Dialogue" (CPDC 2025). Chosen by hand, so that
# the default of 0.6 comes to 0.3 on a task and to 0.8 in small talk.
ROUTE_BOUNDS: dict[Route, Bounds] = {
    Route.SMALL_TALK: Bounds(role_play=4 / 3),
    Route.TASK: Bounds(role_play=0.5, max_words=40, quirk_budget=0),
}


@dataclass(frozen=True)
class Resolved:
    """The values of one turn, and the level that each came from."""

    values: ControlValues
    levels: dict[str, Level]

    def as_data(self) -> dict[str, Any]:
        """For traces: each control's value, and `levels` with each control's level."""
        return self.values.model_dump() | {"levels": {name: level.value for name, level in self.levels.items()}}


def resolve(
    route: Route,
    *,
    sheet: Controls,
    engine: ControlOverrides | None = None,
    conversation: ControlOverrides | None = None,
    turn: ControlOverrides | None = None,
) -> Resolved:
    """The controls of a turn on a route: of each, the nearest value that was set.

    A value that was set for no route (the default, the engine's, the sheet's general one) goes through the route's
    `ROUTE_BOUNDS`. One that was set for the route, the conversation or the turn counts as it stands.

    Args:
        route: What the line wants.
        sheet: The character's controls.
        engine: The configuration's.
        conversation: Set while the conversation runs.
        turn: Given with the player's line.
    """
    general = ((Level.ENGINE, engine), (Level.CHARACTER, sheet))
    special = ((Level.ROUTE, sheet.routes.get(route)), (Level.CONVERSATION, conversation), (Level.TURN, turn))
    bounds = ROUTE_BOUNDS.get(route, Bounds())
    values: dict[str, float] = ControlValues().model_dump()
    levels = dict.fromkeys(values, Level.DEFAULT)
    for level, overrides in general:
        _override(values, levels, level, overrides)
    values = {name: bounds.bound(name, value) for name, value in values.items()}
    for level, overrides in special:
        _override(values, levels, level, overrides)
    return Resolved(ControlValues.model_validate(values), levels)


def _override(
    values: dict[str, float], levels: dict[str, Level], level: Level, overrides: ControlOverrides | None
) -> None:
    for name in values:
        value = getattr(overrides, name, None)
        if value is not None:
            values[name], levels[name] = value, level
