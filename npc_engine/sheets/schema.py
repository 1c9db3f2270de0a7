"""What a character sheet can say: `npc-engine/character@1` as frozen pydantic models.

Each field's description states its one effect; `npc-engine sheet schema` publishes them as JSON Schema for editors.
Knows nothing of YAML or files: `loader` reads those, merges shared lore into `facts` and checks what spans sections.
"""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from npc_engine.sheets.action_spec import (
    ACTION_KEY,
    CONFIRM,
    MAX_CHOICES,
    NO_ACTION,
    PLACEHOLDER,
    ActionSpec,
    Identifier,
    Parameter,
    Procedure,
)
from npc_engine.sheets.conditions import GameState
from npc_engine.sheets.controls import ControlOverrides, Controls, ControlValues, Route
from npc_engine.sheets.fields import (
    MAX_FACTS,
    Answer,
    Fact,
    FactText,
    Flag,
    Line,
    Model,
    Name,
    Note,
    Prose,
    Ratio,
    Slug,
    When,
)

CHARACTER_SCHEMA = "npc-engine/character@1"
LORE_SCHEMA = "npc-engine/lore@1"

__all__ = [
    "ACTION_KEY",
    "CHARACTER_SCHEMA",
    "CONFIRM",
    "LORE_SCHEMA",
    "NO_ACTION",
    "PLACEHOLDER",
    "ActionSpec",
    "CharacterSheet",
    "ControlOverrides",
    "ControlValues",
    "Controls",
    "Fact",
    "FallbackReason",
    "GameState",
    "Lore",
    "LoreFact",
    "Parameter",
    "Procedure",
    "Route",
    "ScenarioTest",
    "UnknownTopic",
    "VoiceExample",
]


class Identity(Model):
    """Who the character is. All of it is in every prompt."""

    name: Name = Field(description="The name the character answers to; the speaker's name in the prompt.")
    role: Note = Field(description="Trade and place in one phrase: 'blacksmith and weapon seller in Harrow Ford'.")
    social: Prose = Field(description="Social identity: standing, groups, family, how others see the character.")
    personal: Prose = Field(description="Personal identity: what the character values, fears and is proud of.")
    context: Prose = Field(description="Life context: what is going on in the character's life now.")


class BigFive(Model):
    """Five-factor personality, each 0 to 1 with 0.5 as average."""

    openness: Ratio = Field(0.5, description="Low: practical, sceptical of the new. High: curious, imaginative.")
    conscientiousness: Ratio = Field(0.5, description="Low: careless, spontaneous. High: exact, dutiful.")
    extraversion: Ratio = Field(0.5, description="Low: reserved, short answers. High: talkative, outgoing.")
    agreeableness: Ratio = Field(0.5, description="Low: blunt, competitive. High: warm, trusting.")
    neuroticism: Ratio = Field(0.5, description="Low: calm, even. High: worried, easily hurt.")


class Personality(Model):
    """Temper and habits."""

    big_five: BigFive = Field(
        default_factory=BigFive, description="Scores far from 0.5 become words of the prompt's voice part."
    )
    mbti: Annotated[str, Field(strict=True, pattern=r"^[EI][NS][FT][JP]$")] | None = Field(
        None, description="MBTI label, for writers who think in one; shown by the tools, not in the prompt."
    )
    quirks: tuple[Note, ...] = Field(
        (), max_length=8, description="Small habits of behaviour; shown to the model as far as `quirk_budget` allows."
    )
    catchphrases: tuple[Note, ...] = Field(
        (), max_length=8, description="Signature phrases; rationed by `quirk_budget`, counted by `trait_saturation`."
    )


class VoiceExample(Model):
    """A line the character says, with or without the player's line before it."""

    player: Line | None = Field(None, description="The player's line that is answered.")
    character: Line = Field(description="What the character says.")


def _bare_line(value: Any) -> Any:
    return {"character": value} if isinstance(value, str) else value


class Voice(Model):
    """How the character sounds."""

    register_: Note = Field(
        alias="register", description="Manner of speech in one phrase: 'short, dry sentences; no courtesies'."
    )
    examples: tuple[
        Annotated[VoiceExample, BeforeValidator(_bare_line, json_schema_input_type=VoiceExample | Line)], ...
    ] = Field(
        (),
        max_length=40,
        description="Lines that show the voice: a pair of player and character, which becomes an example turn of the "
        "talk (the first six), or a bare line (the first four), named as something the character has said.",
    )
    avoid: tuple[Name, ...] = Field(
        (), max_length=64, description="Words and phrases the character never uses; replies with one are rejected."
    )
    adapter: Slug | None = Field(
        None,
        description="The LoRA adapter the character speaks with, by its name in the dialogue model; a sheet whose "
        "adapter the model lacks is refused.",
    )


class LoreReference(Model):
    """Shared knowledge this character has."""

    lore: Note = Field(description="The lore file, relative to this sheet's folder: 'lore/vale.yaml'.")
    scopes: tuple[Slug, ...] = Field(
        (),
        max_length=32,
        description="Which of the file's scoped entries the character knows, besides the entries for everybody.",
    )
    when: When | None = Field(None, description="Condition put on every entry taken from the file.")


class UnknownTopic(Model):
    """Something players ask about that the character knows nothing of, and knows it."""

    topic: Name = Field(description="What it is, in a few words; named in the trace.")
    keywords: tuple[Name, ...] = Field(
        min_length=1, max_length=32, description="Words or phrases that give the topic away in a player's line."
    )
    examples: tuple[Line, ...] = Field(
        (), max_length=16, description="Player lines about the topic; a line close to one counts as about it."
    )
    lines: tuple[Line, ...] = Field(
        (), max_length=16, description="What the character answers; without any, the `unknown` fallback is used."
    )


class Relationship(Model):
    """Somebody in the character's life."""

    name: Name = Field(description="The other's name.")
    kind: Name = Field(description="What they are to the character: 'younger brother', 'rival'.")
    attitude: Note = Field(description="How the character feels about them.")


class FallbackReason(StrEnum):
    """Why an authored line stands in for the model's."""

    UNKNOWN = "unknown"
    ERROR = "error"
    REFUSAL = "refusal"
    OUT_OF_WORLD = "out_of_world"
    BUSY = "busy"


FallbackLines = Annotated[tuple[Line, ...], Field(min_length=1, max_length=16)]


class Fallbacks(Model):
    """Authored lines, at least one a reason; which one is said varies from time to time."""

    unknown: FallbackLines = Field(description="Asked for something that no fact answers.")
    error: FallbackLines = Field(description="The engine or the game failed, or the deadline passed.")
    refusal: FallbackLines = Field(description="Asked for something the character will not say or do.")
    out_of_world: FallbackLines = Field(description="Spoken to about things outside the game's world.")
    busy: FallbackLines = Field(description="The engine has no room for this talk now.")


class ScenarioTest(Model):
    """A short talk and what its last reply must hold."""

    name: Name = Field(description="The test's name in reports.")
    state: GameState = Field(default_factory=GameState, description="The game's state during the talk.")
    lines: tuple[Line, ...] = Field(min_length=1, max_length=16, description="What the player says, in order.")
    facts: tuple[Slug, ...] = Field(
        (), max_length=16, description="Facts that must be among the last reply's premises."
    )
    says: Answer = Field((), max_length=16, description="Groups of strings; the last reply matches one of each group.")
    never_says: tuple[Name, ...] = Field((), max_length=32, description="Strings that no reply may hold.")
    action: Identifier | None = Field(None, description="The action the last line must call.")


class CharacterSheet(Model):
    """One character.

    As loaded, `facts` also holds the lore the character knows, each entry with its file as `source`, and the
    references across sections have been checked.
    """

    schema_: Literal["npc-engine/character@1"] = Field(alias="schema", description="The schema's name and version.")
    id: Slug = Field(description="Names the character on the wire; unique among the sheets a server loads.")
    identity: Identity = Field(description="Who the character is; always in the prompt.")
    personality: Personality = Field(default_factory=Personality, description="The character's temper and habits.")
    voice: Voice = Field(description="The character's way of speaking.")
    facts: tuple[Fact, ...] = Field(
        (), max_length=MAX_FACTS, description="What the character knows; the few that fit the player's line are shown."
    )
    knowledge: tuple[LoreReference, ...] = Field((), max_length=16, description="Shared lore the character knows.")
    unknown_topics: tuple[UnknownTopic, ...] = Field(
        (), max_length=200, description="What the character knows nothing of; asked about it, the character says so."
    )
    goals: tuple[Note, ...] = Field((), max_length=8, description="What the character wants; always in the prompt.")
    relationships: tuple[Relationship, ...] = Field(
        (), max_length=32, description="People in the character's life; shown when the player's line names them."
    )
    actions: tuple[ActionSpec, ...] = Field(
        (), max_length=64, description="What the game can do when the character says so."
    )
    procedures: tuple[Procedure, ...] = Field(
        (), max_length=64, description="Rules between the actions, kept by the engine and not by the model."
    )
    names: dict[Slug, Annotated[tuple[Name, ...], Field(min_length=1, max_length=MAX_CHOICES)]] = Field(
        default_factory=dict,
        max_length=16,
        description="Lists of the world's names by category (items, quests, places), for parameters that say `names`.",
    )
    controls: Controls = Field(default_factory=Controls, description="Deflanderization controls of this character.")
    fallbacks: Fallbacks = Field(description="Authored lines for when the model has none.")
    greeting: Line = Field(description="Said when a conversation opens.")
    farewell: Line | None = Field(
        None, description="Said when the player takes leave; without one the model finds its own words."
    )
    tests: tuple[ScenarioTest, ...] = Field((), max_length=200, description="Talks that must come out right.")
    extensions: dict[str, Any] = Field(
        default_factory=dict,
        description="Free data of other tools, and the card that a sheet was imported from; never read in play.",
    )

    def fallback(self, reason: FallbackReason) -> tuple[str, ...]:
        """The authored lines for a reason; never empty."""
        lines: tuple[str, ...] = getattr(self.fallbacks, reason.value)
        return lines

    def resolved_actions(self) -> tuple[ActionSpec, ...]:
        """The actions, with the entries of its category as the choices of each parameter that says `names`."""
        return tuple(
            action.model_copy(
                update={
                    "parameters": tuple(
                        one
                        if one.names is None
                        else one.model_copy(update={"choices": self.names[one.names], "names": None})
                        for one in action.parameters
                    )
                }
            )
            for action in self.actions
        )

    def action(self, name: str) -> ActionSpec | None:
        """The action of that name, if the sheet has it."""
        return next((action for action in self.actions if action.name == name), None)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 over everything the sheet says, merged lore included, comments and layout not; hex digits."""
        content = self.model_dump(mode="json", by_alias=True)
        canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(canonical.encode("utf-8")).hexdigest()


class LoreFact(Model):
    """One thing the world knows, in one plain sentence."""

    id: Slug = Field(description="Unique in the file, and in every sheet that takes it.")
    text: FactText = Field(description="The claim in the third person: 'The ferry costs two pennies.'")
    tags: tuple[Name, ...] = Field((), max_length=16, description="As a fact's.")
    scopes: tuple[Slug, ...] = Field(
        (), max_length=16, description="Who knows it; sheets name the scopes they know. None: everybody knows."
    )
    when: When | None = Field(None, description="As a fact's; a sheet's own condition on the file is added to it.")
    secret: Flag = Field(False, description="As a fact's.")


class Lore(Model):
    """A lore file: what several characters know."""

    schema_: Literal["npc-engine/lore@1"] = Field(alias="schema", description="The schema's name and version.")
    title: Name = Field(description="The file's title, for people.")
    entries: tuple[LoreFact, ...] = Field(min_length=1, max_length=MAX_FACTS, description="What is known.")
