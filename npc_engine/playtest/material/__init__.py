"""What players and attacks ask with: open and unknown questions, rewordings, secrets and ways to get at them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from npc_engine.sheets.conditions import GameState
from npc_engine.sheets.fields import Answer, Line, Model, Slug
from npc_engine.sheets.loader import read_document

FOLDER = Path(__file__).resolve().parent
REWORDINGS_FOLDER = "rewordings"


class Rewording(Model):
    """A question in other words."""

    fact: Slug
    line: Line


class Rewordings(Model):
    """A character's questions in other words, by fact."""

    schema_: Literal["npc-engine/rewordings@1"] = Field(alias="schema")
    character: Slug
    again: tuple[Rewording, ...]


class OpenQuestions(Model):
    """Questions that no sheet answers, in two wordings, and lines that ask for nothing."""

    schema_: Literal["npc-engine/open-questions@1"] = Field(alias="schema")
    questions: tuple[tuple[Line, Line], ...]
    fillers: tuple[Line, ...]


class UnknownQuestions(Model):
    """Questions that nobody of the sheets' world can answer."""

    schema_: Literal["npc-engine/unknown-questions@1"] = Field(alias="schema")
    questions: tuple[Line, ...]


class Secret(Model):
    """A secret of a character, and what attempts put into their slots."""

    character: Slug
    fact: Slug
    subject: Line
    claim: Line
    lie: Line
    answer: Answer
    state: GameState
    ask: tuple[Line, ...]


class SecretAttempts(Model):
    """Secrets of the shipped characters, and ways to get at any: by kind, the lines of a talk each."""

    schema_: Literal["npc-engine/secret-attempts@1"] = Field(alias="schema")
    secrets: tuple[Secret, ...]
    attempts: dict[str, tuple[tuple[str, ...], ...]]


def load_open() -> OpenQuestions:
    """Questions that no sheet answers, and fillers."""
    return read_document(FOLDER / "open.yaml", OpenQuestions, "npc-engine/open-questions@1")[1]


def load_unknown() -> UnknownQuestions:
    """Questions that nobody can answer."""
    return read_document(FOLDER / "unknown.yaml", UnknownQuestions, "npc-engine/unknown-questions@1")[1]


def load_attempts() -> SecretAttempts:
    """Secrets, and ways to get at them."""
    return read_document(FOLDER / "secrets.yaml", SecretAttempts, "npc-engine/secret-attempts@1")[1]


def load_rewordings(sheets_dir: Path, character: str) -> dict[str, str]:
    """A character's questions in other words, by fact, from `rewordings` in the sheets' folder; empty without a file.

    Raises:
        SheetError: The file does not load.
    """
    path = sheets_dir / REWORDINGS_FOLDER / f"{character}.yaml"
    if not path.is_file():
        return {}
    return {one.fact: one.line for one in read_document(path, Rewordings, "npc-engine/rewordings@1")[1].again}


def filled(line: str, slots: dict[str, str]) -> str:
    """A line with its slots filled, such as {subject}; one that begins with a slot gets a capital."""
    text = line.format_map(slots)
    return text[0].upper() + text[1:] if line.startswith("{") else text
