"""Add facts and people to a sheet's file: comments, order and quotes stay, new entries stand behind the old ones."""

from __future__ import annotations

import io
from collections.abc import Mapping, MutableSequence, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from npc_engine.sheets.format import round_trip
from npc_engine.sheets.templates import slug
from npc_engine.sheets.words import WORD
from npc_engine.sheets.writing import read_source

# Words of a fact's text that make its id, and those that say nothing of it.
ID_WORDS = 4
_EMPTY = frozenset(
    WORD.findall(
        "a an and am are as at be been by do for from had has have i in is it its me my of on or so than that the this "
        "to was were with also very"
    )
)


@dataclass(frozen=True, kw_only=True)
class NewFact:
    """A fact to add."""

    id: str
    text: str
    tags: tuple[str, ...] = ()

    def entry(self) -> dict[str, Any]:
        """As a sheet lists it."""
        return {"id": self.id, "text": self.text} | ({"tags": list(self.tags)} if self.tags else {})


@dataclass(frozen=True, kw_only=True)
class NewPerson:
    """A relationship to add."""

    name: str
    kind: str
    attitude: str

    def entry(self) -> dict[str, Any]:
        """As a sheet lists it."""
        return {"name": self.name, "kind": self.kind, "attitude": self.attitude}


@dataclass(frozen=True, kw_only=True)
class Addition:
    """What is added to a sheet.

    Attributes:
        facts: New facts; their ids are free.
        people: New relationships; names that the sheet has already are left out.
        changed: New texts of facts that are there, by id.
        marks: What `extensions` keeps of them, by kind and id.
    """

    facts: Sequence[NewFact]
    people: Sequence[NewPerson] = ()
    changed: Mapping[str, str] = field(default_factory=dict)
    marks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def fact_id(text: str, taken: set[str]) -> str:
    """A free id made of a text's first words, which is taken from then on."""
    parts = slug(" ".join(word for word in text.split() if word.lower().strip(".,") not in _EMPTY)).split("-")
    base = "-".join(parts[:ID_WORDS])
    name = base
    number = 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    taken.add(name)
    return name


def with_additions(path: Path, addition: Addition, *, section: str, comment: str) -> str:
    """A sheet's text with an addition; nothing is written.

    Args:
        path: The sheet, which loads.
        addition: What to add.
        section: The key below `extensions` that keeps the marks.
        comment: Stands above the new facts.

    Raises:
        SheetError: The file is not YAML of our kind.
    """
    yaml = round_trip()
    data = yaml.load(read_source(path).text)
    facts = data.setdefault("facts", CommentedSeq())
    for entry in facts:
        if entry["id"] in addition.changed:
            entry["text"] = addition.changed[entry["id"]]
    first_fact = _append(facts, [fact.entry() for fact in addition.facts])
    people = data.setdefault("relationships", CommentedSeq()) if addition.people else []
    there = {person["name"] for person in people}
    first_person = _append(people, [person.entry() for person in addition.people if person.name not in there])
    if addition.marks:
        marks = data.setdefault("extensions", CommentedMap()).setdefault(section, CommentedMap())
        for kind, each in addition.marks.items():
            marks.setdefault(kind, CommentedMap()).update(each)
    out = io.StringIO()
    yaml.dump(data, out)
    lines = [line.rstrip() for line in out.getvalue().rstrip("\n").split("\n")]
    if first_fact:
        lines = _set_apart(lines, f"- id: {first_fact['id']}", comment)
    if first_person:
        lines = _set_apart(lines, f"- name: {_plain(first_person['name'])}", "")
    return "\n".join(lines) + "\n"


def _append(entries: MutableSequence[Any], new: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Append entries in the list's own style; returns the first."""
    for entry in new:
        made = CommentedMap(entry)
        if "tags" in made:
            made["tags"] = CommentedSeq(made["tags"])
            made["tags"].fa.set_flow_style()
        entries.append(made)
    return new[0] if new else None


def _plain(text: str) -> str:
    """How a text begins in YAML, whatever its quotes."""
    return text.split(":")[0]


def _set_apart(lines: list[str], first: str, comment: str) -> list[str]:
    """Put the empty lines and comments that ended the old list behind the new entries, and a comment before them."""
    at = next((n for n, line in enumerate(lines) if line.lstrip().replace("'", "").startswith(first)), None)
    if at is None:
        return lines
    indent = len(lines[at]) - len(lines[at].lstrip())
    start = at
    while start > 0 and (not lines[start - 1].strip() or lines[start - 1].lstrip().startswith("#")):
        start -= 1
    end = at + 1
    while end < len(lines) and lines[end].strip() and len(lines[end]) - len(lines[end].lstrip()) >= indent:
        end += 1
    tail = lines[start:at]
    heading = ["", f"{' ' * indent}# {comment}"] if comment else []
    return [*lines[:start], *heading, *lines[at:end], *tail, *lines[end:]]
