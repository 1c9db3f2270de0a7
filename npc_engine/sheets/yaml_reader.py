"""Read one YAML 1.2 file into plain data, remembering where every key and value stands.

The subset is what a sheet needs: mappings with text keys, lists, text, numbers, true/false/null. Anchors, aliases,
tags, duplicate keys, several documents and deep nesting are refused, so data is never larger than its text.
Knows nothing of what the data means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from ruamel.yaml.reader import ReaderError

from npc_engine.errors import SheetNotFound, SheetSyntax, SheetTooLarge

MAX_FILE_BYTES = 1_000_000
MAX_NESTING = 24
MAX_NUMBER_CHARS = 18

KeyPath = tuple[str | int, ...]

# The YAML 1.2 core schema: `yes`, `on`, `1:30` and dates are text.
_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_CONSTANTS = {"": None, "~": None, "null": None, "true": True, "false": False}


@dataclass(frozen=True)
class Mark:
    """Where something stands; line and column are 1-based. `text_offset` is 1 inside quotes."""

    line: int
    column: int
    text_offset: int = 0


@dataclass(frozen=True)
class Document:
    """A file's data and the places of its parts.

    Attributes:
        path: The file.
        data: Plain dicts, lists and scalars.
        keys: Where each mapping key stands, by path; list entries stand at their value.
        values: Where each value starts, by path; `()` is the whole document.
    """

    path: Path
    data: Any
    keys: dict[KeyPath, Mark]
    values: dict[KeyPath, Mark]


def read_yaml(path: Path) -> Document:
    """Read a file.

    Raises:
        SheetNotFound: It is missing, or cannot be opened.
        SheetTooLarge: It is larger than `MAX_FILE_BYTES`; no more than that is read.
        SheetSyntax: It is not UTF-8, not YAML, or uses what is refused (see the module's first lines).
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise SheetNotFound(error.strerror or str(error), path=path, hint="give the path of a .yaml file") from error
    if len(raw) > MAX_FILE_BYTES:
        raise SheetTooLarge(
            f"larger than {MAX_FILE_BYTES} bytes", path=path, hint="move shared knowledge into lore files"
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise SheetSyntax("not UTF-8 text", path=path, line=line, hint="save the file as UTF-8") from error
    return _Builder(path, text).build()


@dataclass
class _Builder:
    """Turns the parser's events into data; recursion is bounded by `MAX_NESTING`."""

    path: Path
    text: str
    keys: dict[KeyPath, Mark] = field(default_factory=dict)
    values: dict[KeyPath, Mark] = field(default_factory=dict)
    events: Iterator[Event] = field(init=False)

    def build(self) -> Document:
        try:
            self.events = YAML(typ="safe", pure=True).parse(self.text)
            data = self._document()
        except MarkedYAMLError as error:
            raise self._syntax_error(error) from error
        except ReaderError as error:
            before = self.text[: error.position]
            raise SheetSyntax(
                f"the character U+{ord(self.text[error.position]):04X} is not allowed",
                path=self.path,
                line=before.count("\n") + 1,
                column=error.position - before.rfind("\n"),
                hint="delete it",
            ) from error
        except (YAMLError, ValueError) as error:
            raise SheetSyntax(str(error), path=self.path) from error
        return Document(self.path, data, self.keys, self.values)

    def _document(self) -> Any:
        data: Any = None
        documents = 0
        for event in self.events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._refused(event, "a second document starts here", "one sheet a file: remove the `---`")
                data = self._value(next(self.events), ())
            elif isinstance(event, StreamEndEvent):
                break
        self.values.setdefault((), Mark(1, 1))
        return data

    def _value(self, event: Event, path: KeyPath) -> Any:
        if isinstance(event, AliasEvent) or (isinstance(event, NodeEvent) and event.anchor is not None):
            raise self._refused(event, "anchors (&) and aliases (*) are not read", "put text with & or * in quotes")
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise self._refused(event, f"the tag {tag} is not read", "put text that starts with ! in quotes")
        if len(path) > MAX_NESTING:
            raise self._refused(
                event, f"nested deeper than {MAX_NESTING}", "no sheet needs that: is a bracket left open?"
            )
        quoted = isinstance(event, ScalarEvent) and event.style in ("'", '"')
        self.values[path] = Mark(event.start_mark.line + 1, event.start_mark.column + 1, int(quoted))
        if isinstance(event, MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, SequenceStartEvent):
            items: list[Any] = []
            while not isinstance(event := next(self.events), SequenceEndEvent):
                items.append(self._value(event, (*path, len(items))))
            return items
        return self._scalar(event)

    def _mapping(self, path: KeyPath) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(event := next(self.events), MappingEndEvent):
            if not isinstance(event, ScalarEvent):
                raise self._refused(event, "a key is one piece of text", "did you forget a quote or a colon?")
            key, inner = event.value, (*path, event.value)
            if key in mapping:
                first = self.keys[inner].line
                raise self._refused(event, f"key `{key[:60]}` again, first on line {first}", "merge the two")
            self.keys[inner] = Mark(event.start_mark.line + 1, event.start_mark.column + 1)
            mapping[key] = self._value(next(self.events), inner)
            if mapping[key] is None:  # the parser puts an empty value where the next key starts
                self.values[inner] = self.keys[inner]
        return mapping

    def _scalar(self, event: Any) -> Any:
        text: str = event.value
        if not event.implicit[0]:
            return text
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if not _FLOAT.fullmatch(text):
            return text
        if len(text) > MAX_NUMBER_CHARS:
            raise self._refused(event, f"a number of {len(text)} characters", "put it in quotes if it is text")
        return int(text) if _INTEGER.fullmatch(text) else float(text)

    def _refused(self, event: Any, problem: str, hint: str) -> SheetSyntax:
        mark = event.start_mark
        return SheetSyntax(problem, path=self.path, line=mark.line + 1, column=mark.column + 1, hint=hint)

    def _syntax_error(self, error: MarkedYAMLError) -> SheetSyntax:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context or "not YAML"
        hint = "see this line and the one above it: a quote or bracket left open, or indentation that does not line up"
        if "\\t" in problem or (mark and self._line(mark.line).startswith("\t")):
            hint = "indent with spaces, not tabs"
        elif "mapping values" in problem or "expected <block end>" in problem:
            hint = "put text that holds a colon or a quote in quotes, and line up the indentation"
        return SheetSyntax(
            problem,
            path=self.path,
            line=mark.line + 1 if mark else None,
            column=mark.column + 1 if mark else None,
            hint=hint,
        )

    def _line(self, index: int) -> str:
        lines = self.text.split("\n")
        return lines[index] if index < len(lines) else ""
