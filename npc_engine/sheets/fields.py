"""The pieces every part of a sheet is written with: the strict base model, sized texts, slugs, conditions."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, StringConstraints
from pydantic_core import PydanticCustomError

from npc_engine.errors import SheetCondition
from npc_engine.sheets.conditions import MAX_CONDITION_CHARS, Condition, parse_condition

# Texts that are in every prompt are short: all of a sheet's must fit a small model's context beside the talk.
MAX_NAME_CHARS = 60
MAX_NOTE_CHARS = 200
MAX_PROSE_CHARS = 600
MAX_LINE_CHARS = 300
MAX_FACT_CHARS = 300
MAX_TAGS = 16
MAX_FACTS = 5000


class Model(BaseModel):
    """Frozen; an unknown key is an error, because a misspelt one would silently do nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _text(max_chars: int) -> StringConstraints:
    return StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=max_chars)


Name = Annotated[str, _text(MAX_NAME_CHARS)]
Note = Annotated[str, _text(MAX_NOTE_CHARS)]
Prose = Annotated[str, _text(MAX_PROSE_CHARS)]
Line = Annotated[str, _text(MAX_LINE_CHARS)]
FactText = Annotated[str, _text(MAX_FACT_CHARS)]
Slug = Annotated[
    str, StringConstraints(strict=True, pattern=r"^[a-z0-9]+(?:[-_.][a-z0-9]+)*$", max_length=MAX_NAME_CHARS)
]
Ratio = Annotated[float, Field(strict=True, ge=0, le=1)]
Flag = Annotated[bool, Field(strict=True)]

Answer = tuple[Annotated[tuple[Name, ...], Field(min_length=1, max_length=16)], ...]
"""Every group must match, by any of its alternatives; see `questions.answers`."""


def _to_condition(value: Any) -> Condition:
    if isinstance(value, Condition):
        return value
    if not isinstance(value, str):
        raise PydanticCustomError("string_type", "Input should be a valid string")
    try:
        return parse_condition(value)
    except SheetCondition as error:
        # pydantic gathers only its own errors; the loader turns this one back into a SheetCondition.
        raise PydanticCustomError(
            "condition", "{message}", {"message": error.problem, "column": error.column, "hint": error.hint}
        ) from error


When = Annotated[
    Condition,
    PlainValidator(_to_condition, json_schema_input_type=Annotated[str, Field(max_length=MAX_CONDITION_CHARS)]),
    PlainSerializer(lambda condition: condition.text, return_type=str),
]


class Fact(Model):
    """One thing the character knows, in one plain sentence."""

    id: Slug = Field(description="Names the fact in traces, tests and questions; unique in the sheet and its lore.")
    text: FactText = Field(
        description="The claim, in the character's own words: 'I charge 40 crowns for a short sword.' "
        "It is what retrieval searches, what the prompt shows, and what replies are judged against."
    )
    tags: tuple[Name, ...] = Field(
        (),
        max_length=MAX_TAGS,
        description="Other words a player may use for it; searched together with the text, never shown to the model.",
    )
    when: When | None = Field(
        None, description="The fact exists only where this condition holds; elsewhere it is in no prompt."
    )
    secret: Flag = Field(
        False,
        description="It must not get out while its `when` does not hold: it needs one, and the leak tests ask for it.",
    )
    source: Note = Field(
        "sheet", description="Where it comes from, for traces and `sheet show`; facts from lore name their file."
    )
