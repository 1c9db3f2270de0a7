"""What a rule reports: a coded finding at a place, and the change that mends it where one is safe."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Severity(StrEnum):
    """How much a finding matters. Values are those of SARIF's `level`."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, kw_only=True)
class Edit:
    """A change of whole lines, or of a piece of one line; 1-based.

    Attributes:
        path: The file.
        line: The first line.
        end_line: The last line; None means that `text` is put before `line` and nothing is removed.
        old: The piece of `line` that `text` stands for; empty means the whole lines.
        text: What is written; empty removes.
    """

    path: Path
    line: int
    end_line: int | None = None
    old: str = ""
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        code: The rule's.
        path: The file in which to change something.
        line: 1-based.
        column: 1-based.
        key: Dotted key path in that file.
        message: What is wrong, with the words that are.
        hint: What to do about it.
        score: A model's probability or cosine, where one decided.
        fix: The change that mends it without changing what the sheet means; None where a writer must decide.
    """

    code: str
    path: Path
    line: int
    column: int
    key: str
    message: str
    hint: str = ""
    score: float | None = None
    fix: Edit | None = None
