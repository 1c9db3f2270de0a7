"""Deflanderization controls: how much role-play, how long, how often a quirk may show.

Each control is settable for the engine, the character, the conversation and the turn, and a sheet may set it for single
routes; the nearest setting wins. This module holds the values and that rule; the dialogue room gives them their effect.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

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


class Controls(ControlOverrides):
    """A sheet's controls, and its exceptions for single routes."""

    routes: dict[Route, ControlOverrides] = Field(
        default_factory=dict, description="Controls that differ on one route; they win over the sheet's general ones."
    )

    def at(self, route: Route, *nearer: ControlOverrides) -> ControlValues:
        """The values on a route, from the widest level to the nearest: engine, sheet, then `nearer` in order."""
        levels = (ROUTE_DEFAULTS.get(route), self, self.routes.get(route), *nearer)
        chosen = {
            name: value
            for level in levels
            if level is not None
            for name in ControlValues.model_fields
            if (value := getattr(level, name)) is not None
        }
        return ControlValues(**chosen)


# A task wants its answer and little else; see "Deflanderization for Game Dialogue" (CPDC 2025).
ROUTE_DEFAULTS: dict[Route, ControlOverrides] = {
    Route.SMALL_TALK: ControlOverrides(role_play=0.8),
    Route.TASK: ControlOverrides(role_play=0.3, max_words=40, quirk_budget=0),
    Route.OUTSIDE: ControlOverrides(max_words=30, max_sentences=2),
    Route.ATTACK: ControlOverrides(max_words=30, max_sentences=2, quirk_budget=0),
}
