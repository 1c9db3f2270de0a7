"""A loaded sheet as rules look at it: every text with its place in its file, own facts and lore side by side."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from npc_engine.sheets.lint.finding import Edit, Finding
from npc_engine.sheets.loader import load_sheet, read_document
from npc_engine.sheets.problems import dotted
from npc_engine.sheets.schema import CHARACTER_SCHEMA, LORE_SCHEMA, CharacterSheet, Fact, Lore
from npc_engine.sheets.yaml_reader import Document, KeyPath, Mark

_IGNORE = re.compile(r"#\s*lint:\s*ignore\s+(SL\d{3}(?:[\s,]+SL\d{3})*)")


@dataclass(frozen=True)
class Text:
    """A text of a sheet and where it stands."""

    document: Document
    path: KeyPath
    text: str

    @property
    def key(self) -> str:
        """Its dotted key path."""
        return dotted(self.path)


@dataclass(frozen=True)
class PlacedFact:
    """A fact, and its entry in the file that it comes from."""

    fact: Fact
    document: Document
    path: KeyPath
    is_own: bool

    @property
    def line(self) -> int:
        """Where its text stands."""
        return self.document.values[(*self.path, "text")].line

    @property
    def text(self) -> Text:
        """Its text."""
        return Text(self.document, (*self.path, "text"), self.fact.text)


class Subject:
    """A sheet, its files and their lines.

    Args:
        path: The sheet's file.

    Raises:
        SheetError: As `load_sheet`: a sheet that does not load is not linted.

    Attributes:
        sheet: As loaded, lore merged.
        document: The sheet's own file.
        facts: The sheet's facts in order, lore included.
    """

    def __init__(self, path: Path) -> None:
        self.sheet: CharacterSheet = load_sheet(path)
        self.document, own = read_document(path, CharacterSheet, CHARACTER_SCHEMA)
        self._files: dict[Path, list[str]] = {}
        lore: dict[str, tuple[Document, Lore]] = {
            one.lore: read_document(path.parent / one.lore, Lore, LORE_SCHEMA) for one in own.knowledge
        }
        entries = {
            (name, entry.id): (document, index)
            for name, (document, content) in lore.items()
            for index, entry in enumerate(content.entries)
        }
        placed: list[PlacedFact] = []
        for index, fact in enumerate(self.sheet.facts):
            if index < len(own.facts):
                placed.append(PlacedFact(fact, self.document, ("facts", index), is_own=True))
            else:
                document, entry = entries[fact.source, fact.id]
                placed.append(PlacedFact(fact, document, ("entries", entry), is_own=False))
        self.facts = tuple(placed)

    @cached_property
    def texts(self) -> tuple[Text, ...]:
        """Every text of the sheet's own file, but for those of `extensions`."""
        return tuple(
            Text(self.document, path, text)
            for path, text in _texts(self.document.data, ())
            if path[0] not in ("extensions", "schema", "id")
        )

    @cached_property
    def spoken(self) -> tuple[Text, ...]:
        """The authored lines that the character says."""
        return tuple(text for text in self.texts if _is_spoken(text.path))

    @cached_property
    def always(self) -> tuple[Text, ...]:
        """What is in the prompt or heard whatever the game's state, facts left out."""
        return tuple(
            text
            for text in self.texts
            if _is_spoken(text.path)
            or text.path[0] in ("goals", "relationships")
            or text.path[:2] in (("identity", "social"), ("identity", "personal"), ("identity", "context"))
        )

    def text_at(self, *path: str | int) -> Text:
        """The text at a path of the sheet's own file."""
        value: Any = self.document.data
        for part in path:
            value = value[part]
        return Text(self.document, path, str(value))

    def lines(self, path: Path) -> list[str]:
        """The lines of one of the sheet's files, without their ends."""
        if path not in self._files:
            self._files[path] = path.read_text(encoding="utf-8-sig").split("\n")
        return self._files[path]

    def found(
        self,
        code: str,
        where: Text,
        message: str,
        *,
        words: str = "",
        hint: str = "",
        score: float | None = None,
        fix: Edit | None = None,
    ) -> Finding:
        """A finding at a text.

        Args:
            code: The rule's.
            where: The text, or an entry without text of its own.
            message: What is wrong.
            words: The words of the text that are meant; the finding stands at them where they can be found in the file.
            hint: What to do.
            score: A model's, where one decided.
            fix: What mends it.
        """
        mark = self.mark(where, words)
        return Finding(
            code=code,
            path=where.document.path,
            line=mark.line,
            column=mark.column,
            key=where.key,
            message=message,
            hint=hint,
            score=score,
            fix=fix,
        )

    def mark(self, where: Text, words: str = "") -> Mark:
        """Where a text stands, or some of its words: a text over several lines is searched line by line."""
        mark = where.document.values[where.path]
        first = re.split(r"\s", words.strip(), maxsplit=1)[0] if words.strip() else ""
        if not first:
            return mark
        lines = self.lines(where.document.path)
        for number in range(mark.line, self._end_line(where.document, mark) + 1):
            start = mark.column - 1 if number == mark.line else 0
            for needle in (words, first):
                found = lines[number - 1].find(needle, start)
                if found >= 0:
                    return Mark(number, found + 1)
        return mark

    def entry_lines(self, where: Text) -> tuple[int, int] | None:
        """The lines of a list entry that has whole lines to itself, `- ` included; None for one in [ ] or { }."""
        document = where.document
        mark = document.values[where.path]
        lines = self.lines(document.path)
        if not re.fullmatch(r"\s*-\s+", lines[mark.line - 1][: mark.column - 1]):
            return None
        end = self._end_line(document, mark, below=where.path)
        while end > mark.line and not lines[end - 1].strip():
            end -= 1
        return mark.line, end

    def is_ignored(self, finding: Finding) -> bool:
        """Whether a comment on the finding's line, or alone on the line above, says `lint: ignore` and its code."""
        lines = self.lines(finding.path)
        here = lines[finding.line - 1] if finding.line <= len(lines) else ""
        above = lines[finding.line - 2].strip() if finding.line >= 2 else ""
        texts = [here, above] if above.startswith("#") else [here]
        return any(finding.code in found[1] for text in texts for found in _IGNORE.finditer(text))

    def _end_line(self, document: Document, mark: Mark, *, below: KeyPath | None = None) -> int:
        """The last line before the next key or entry, or, of an entry, before the next thing that is not in it."""
        lines = self.lines(document.path)
        later = (
            other.line
            for table in (document.keys, document.values)
            for path, other in table.items()
            if other.line > mark.line and (below is None or path[: len(below)] != below)
        )
        end = min(later, default=len(lines) + 1) - 1
        # A comment belongs to what follows it.
        while end > mark.line and lines[end - 1].strip().startswith("#"):
            end -= 1
        return end


def _texts(data: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(data, str):
        yield path, data
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from _texts(value, (*path, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from _texts(value, (*path, index))


def _is_spoken(path: KeyPath) -> bool:
    match path:
        case ("greeting",) | ("farewell",) | ("fallbacks", _, _) | ("voice", "examples", _):
            return True
        case ("voice", "examples", _, "character") | ("unknown_topics", _, "lines", _):
            return True
        case ("actions", _, "offer") | ("actions", _, "done", _):
            return True
        case _:
            return False
