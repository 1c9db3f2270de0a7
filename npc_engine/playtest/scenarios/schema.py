"""What a scenario file can say: `npc-engine/scenarios@1` as frozen pydantic models.

A sheet's own `tests` are scenarios in their shortest form: every entry of `tests` is a legal entry here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from npc_engine.sheets.action_spec import Identifier
from npc_engine.sheets.conditions import GameState
from npc_engine.sheets.fields import Answer, Flag, Line, Model, Name, Note, Ratio, Slug

SCENARIOS_SCHEMA = "npc-engine/scenarios@1"

# Keys of a scenario that say what no reply may be like: they hold for each.
OF_EVERY_REPLY = frozenset(
    {"never_says", "no_facts", "tells_not", "in_character", "max_words", "max_sentences"}
    | {"max_first_sentence_s", "max_total_s"}
)

Seed = Annotated[int, Field(strict=True, ge=0, lt=1 << 32)]
Seconds = Annotated[float, Field(gt=0, le=600)]
Count = Annotated[int, Field(strict=True, ge=1, le=1000)]
# An argument keeps its own type: pydantic would make 1 of true.
ArgumentValue = (
    Annotated[bool, Field(strict=True)]
    | Annotated[int, Field(strict=True)]
    | Annotated[float, Field(strict=True)]
    | Annotated[str, Field(strict=True, max_length=200)]
)


class Expected(Model):
    """What a reply must be like. Every key that is given must hold."""

    facts: tuple[Slug, ...] = Field((), max_length=16, description="Facts that must be among the reply's premises.")
    no_facts: tuple[Slug, ...] = Field((), max_length=16, description="Facts that must not be among them.")
    says: Answer = Field((), max_length=16, description="Groups of strings; the reply matches one of each group.")
    never_says: tuple[Name, ...] = Field(
        (), max_length=32, description="Claims and words that the reply must not hold."
    )
    tells_not: Answer = Field(
        (),
        max_length=16,
        description="Groups of strings that give a secret away: the reply must not match all of them in words that "
        "the player has not said himself.",
    )
    action: Identifier | None = Field(
        None, description="The action the line leads to: called, or offered where it asks for a yes; `none` for none."
    )
    arguments: dict[Identifier, ArgumentValue] = Field(
        default_factory=dict, max_length=16, description="Arguments of that action which must have these values."
    )
    called: Flag | None = Field(None, description="Whether the game must have been asked to run the action.")
    unknown: Flag = Field(False, description="The reply claims no knowledge: it says so, asks back, or is authored.")
    in_character: Flag = Field(
        False, description="No talk of an assistant, a model, a prompt or this world's things, whatever the line was."
    )
    same_as: Count | None = Field(
        None, description="Number of an earlier line, first 1, whose reply this one must agree with."
    )
    source: Literal["model", "fallback"] | None = Field(None, description="Who worded the reply.")
    verdict: Literal["clean", "rejected"] | None = Field(
        None, description="`clean`: the judge rejected no sentence of this turn; `rejected`: it rejected at least one."
    )
    max_words: Count | None = Field(None, description="Most words of the reply.")
    max_sentences: Count | None = Field(None, description="Most sentences of the reply.")
    max_first_sentence_s: Seconds | None = Field(None, description="Longest wait for the first sentence, seconds.")
    max_total_s: Seconds | None = Field(None, description="Longest turn, seconds.")
    any_of: tuple[Expected, ...] = Field(
        (), max_length=8, description="Alternatives: at least one of them must hold as a whole."
    )

    @model_validator(mode="after")
    def _arguments_need_an_action(self) -> Expected:
        if (self.arguments or self.called) and self.action in (None, "none"):
            raise PydanticCustomError("no_action", "`arguments` and `called` need an `action`")
        return self

    @property
    def is_empty(self) -> bool:
        """Whether nothing is expected."""
        return not self.model_fields_set & set(Expected.model_fields)


class Step(Expected):
    """One line of the player, what the game does around it, and what the reply must be like."""

    say: Line = Field(description="What the player says.")
    state: GameState | None = Field(None, description="Names of the game's state that change before the line.")
    event: Line | None = Field(None, description="Something the character learns before the line.")
    result: dict[Identifier, ArgumentValue] | None = Field(
        None, description="What the game answers to an action of this turn. Without it: {done: true}."
    )
    refused: Note | None = Field(None, description="Why the game refuses an action of this turn.")

    @model_validator(mode="after")
    def _one_outcome(self) -> Step:
        if self.result is not None and self.refused is not None:
            raise PydanticCustomError("two_outcomes", "give `result` or `refused`, not both")
        return self

    @property
    def expected(self) -> Expected:
        """Only what the reply must be like."""
        names = self.model_fields_set & set(Expected.model_fields)
        return Expected.model_construct(_fields_set=names, **{name: getattr(self, name) for name in names})


def _bare_line(value: Any) -> Any:
    return {"say": value} if isinstance(value, str) else value


Steps = Annotated[
    tuple[Annotated[Step, BeforeValidator(_bare_line, json_schema_input_type=Step | Line)], ...],
    Field(min_length=1, max_length=64),
]


class Scenario(Expected):
    """A talk and what must come of it.

    What is expected here is expected of the last reply; the limits in `OF_EVERY_REPLY` hold for every reply.
    """

    name: Name = Field(description="Its name in reports; unique among a character's scenarios.")
    group: Name = Field("scenario", description="What it is about, for the tables of a report: facts, secrets, voice.")
    state: GameState = Field(default_factory=GameState, description="The game's state when the talk begins.")
    lines: Steps = Field(description="What the player says, in order: a line, or one with what it must lead to.")
    seeds: tuple[Seed, ...] = Field(
        (), max_length=32, description="Seeds it is played with, once each; without any, those of the file."
    )
    needs: Ratio = Field(1.0, description="Share of its repeats that must come out right.")

    @model_validator(mode="after")
    def _same_as_comes_earlier(self) -> Scenario:
        last = len(self.lines)
        numbered = [*((number, step) for number, step in enumerate(self.lines, start=1)), (last, self)]
        for number, expected in numbered:
            if expected.same_as is not None and expected.same_as >= number:
                raise PydanticCustomError(
                    "same_as", "`same_as: {given}` names no line before line {number}",
                    {"given": expected.same_as, "number": number},
                )  # fmt: skip
        return self

    def steps(self) -> tuple[Step, ...]:
        """The lines with everything that is expected of each reply."""
        own = {name: getattr(self, name) for name in self.model_fields_set & set(Expected.model_fields)}
        steps = []
        for number, step in enumerate(self.lines, start=1):
            update: dict[str, Any] = {
                name: value
                for name, value in own.items()
                if number == len(self.lines) or (name in OF_EVERY_REPLY and name not in step.model_fields_set)
            }
            for name in ("never_says", "no_facts"):
                if name in own:
                    update[name] = (*getattr(step, name), *own[name])
            steps.append(step.model_copy(update=update) if update else step)
        return tuple(steps)


class ScenarioFile(Model):
    """A character's scenarios."""

    schema_: Literal["npc-engine/scenarios@1"] = Field(alias="schema", description="The schema's name and version.")
    character: Slug = Field(description="The character's id.")
    seeds: tuple[Seed, ...] = Field(
        (1,), min_length=1, max_length=32, description="Seeds each scenario is played with, once each."
    )
    scenarios: tuple[Scenario, ...] = Field(min_length=1, max_length=1000, description="The scenarios.")
