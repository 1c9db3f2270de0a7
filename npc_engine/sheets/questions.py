"""Questions a character must be able to answer, and a check of the answer that a reader can follow by eye."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field

from npc_engine.sheets.conditions import GameState
from npc_engine.sheets.fields import Answer, Line, Model, Slug
from npc_engine.sheets.loader import read_document

QUESTIONS_SCHEMA = "npc-engine/questions@1"


class Question(Model):
    """One question, answered by one fact."""

    question: Line = Field(description="What the player asks.")
    fact: Slug = Field(description="The id of the fact that answers it.")
    answer: Answer = Field(
        min_length=1, max_length=8, description="Groups of strings; a right reply matches one string of every group."
    )
    state: GameState = Field(default_factory=GameState, description="The game's state when it is asked.")


class QuestionSet(Model):
    """A character's questions."""

    schema_: Literal["npc-engine/questions@1"] = Field(alias="schema", description="The schema's name and version.")
    character: Slug = Field(description="The character's id.")
    questions: tuple[Question, ...] = Field(min_length=1, max_length=1000, description="The questions.")


def load_questions(path: Path) -> QuestionSet:
    """Load a question file.

    Raises:
        SheetError: As `loader.load_sheet`, for the schema `npc-engine/questions@1`.
    """
    return read_document(path, QuestionSet, QUESTIONS_SCHEMA)[1]


def answers(reply: str, groups: Answer) -> bool:
    """Whether a reply matches every group by at least one of its strings.

    A string matches as whole words, whatever the case and the width of spaces: "forty" matches "Forty crowns", not
    "fortyish"; "40" matches "40.", not "140", "1,040" or "40.5"; "four" does not match "twenty-four". What is not
    covered: a reply that denies what it names ("not 40").
    """
    text = _plain(reply)
    return all(any(_has_words(text, _plain(option)) for option in group) for group in groups)


def _plain(text: str) -> str:
    return " ".join(text.replace("’", "'").casefold().split())


def _has_words(text: str, words: str) -> bool:
    return re.search(rf"(?<![\w-])(?<!\d[.,]){re.escape(words)}(?!\w)(?![.,]\d)", text) is not None
