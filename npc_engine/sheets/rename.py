"""Give a character, a fact or an action another id, everywhere that its files use it."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from npc_engine.errors import SheetError, SheetInvalid, SheetName, SheetNotWritten
from npc_engine.sheets.loader import load_sheet, sheet_files
from npc_engine.sheets.problems import dotted, near_miss
from npc_engine.sheets.schema import NO_ACTION, CharacterSheet
from npc_engine.sheets.writing import Check, read_source, rewrite
from npc_engine.sheets.yaml_reader import Document, KeyPath, read_yaml

Kind = Literal["character", "fact", "action"]
_SLUG = re.compile(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*")
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")
MAX_ID_CHARS = 60
# Folders beside the sheets with files about one character each, and the keys under which these name things.
COMPANIONS = ("questions", "rewordings", "scenarios")
_COMPANION_KEYS: Mapping[Kind, tuple[str, ...]] = {"fact": ("fact", "facts", "no_facts"), "action": ("action",)}


@dataclass(frozen=True)
class Use:
    """One place where the old id stands."""

    path: Path
    line: int
    column: int
    key: str


@dataclass
class _Plan:
    """The uses by file, with what each file's data must be afterwards."""

    uses: list[Use] = field(default_factory=list)
    texts: dict[Path, str] = field(default_factory=dict)
    data: dict[Path, Any] = field(default_factory=dict)


def rename(path: Path, old: str, new: str, *, kind: Kind | None = None, dry_run: bool = False) -> list[Use]:
    """Rename in the sheet, its lore, the sheets beside it that share that lore, and the files about them.

    Args:
        path: The sheet.
        old: The id now.
        new: The id it gets.
        kind: What is meant where a character, a fact and an action have the same id.
        dry_run: Write nothing.

    Returns:
        Every place that was changed, or would be, by file and line.

    Raises:
        SheetError: The sheet does not load.
        SheetName: Nothing has the old id, several kinds have it, or the new one is taken or no id.
        SheetNotWritten: A file cannot be written; none was changed.
    """
    sheet = load_sheet(path)
    kind = _kind(path, sheet, old, kind)
    documents = _documents(path)
    _check_new(path, new, kind, documents, old)
    plan = _Plan()
    for document in documents.values():
        places = [key for key in _uses(document, kind, old, path, sheet) if _at(document.data, key) == old]
        if places:
            _replace(plan, document, places, old, new)
    if not dry_run:
        rewrite(plan.texts, _checker(plan))
    return sorted(plan.uses, key=lambda use: (str(use.path), use.line))


def _kind(path: Path, sheet: CharacterSheet, old: str, wanted: Kind | None) -> Kind:
    names: dict[Kind, list[str]] = {
        "character": [sheet.id],
        "fact": [fact.id for fact in sheet.facts],
        "action": [action.name for action in sheet.actions],
    }
    kinds = [kind for kind, known in names.items() if old in known and wanted in (None, kind)]
    if not kinds:
        known = [name for kind, ids in names.items() if wanted in (None, kind) for name in ids]
        what = wanted or "character, fact or action"
        raise SheetName(f"no {what} has the id {old!r}", path=path, hint=near_miss(old, known) or "see: sheet show")
    if len(kinds) > 1:
        raise SheetName(
            f"{old!r} is the id of a {' and of a '.join(kinds)}", path=path, hint=f"say which: --kind {kinds[0]}"
        )
    return kinds[0]


def _documents(path: Path) -> dict[Path, Document]:
    """The sheet, its lore, the other sheets of its folder, and the companion files; those that are readable YAML."""
    own = read_yaml(path)
    files = [*_beside(path), *(one for folder in COMPANIONS for one in (path.parent / folder).glob("*.yaml"))]
    files += [path.parent / one["lore"] for one in own.data.get("knowledge", [])]
    documents = {path: own}
    for file in sorted(set(files) - {path}):
        try:
            document = read_yaml(file)
        except SheetError:
            continue  # what does not load cannot use the id in a way that anything reads
        if isinstance(document.data, dict):
            documents[file] = document
    return documents


def _beside(path: Path) -> list[Path]:
    return [file for file in sheet_files([path.parent]) if not file.samefile(path)]


def _check_new(path: Path, new: str, kind: Kind, documents: Mapping[Path, Document], old: str) -> None:
    pattern = _IDENTIFIER if kind == "action" else _SLUG
    if not pattern.fullmatch(new) or len(new) > MAX_ID_CHARS or (kind == "action" and new == NO_ACTION):
        raise SheetName(
            f"{new[:MAX_ID_CHARS]!r} cannot be the {'name of an action' if kind == 'action' else f'id of a {kind}'}",
            path=path,
            hint="lower-case letters and digits; between them - _ . (in actions only _)",
        )
    taken = {name: file for file, document in documents.items() for name in _ids(document.data, kind, file == path)}
    if new in taken and new != old:
        raise SheetName(f"the id {new!r} is taken, in {taken[new]}", path=path, hint="choose another one")


def _ids(data: dict[str, Any], kind: Kind, is_own: bool) -> Iterator[str]:
    """The ids that a new one must not be: other characters may well have a fact or an action of that id."""
    if _is_companion(data) or (kind != "character" and not is_own and "entries" not in data):
        return
    if kind == "character" and "id" in data:
        yield str(data["id"])
    for key in {"fact": ("facts", "entries"), "action": ("actions",), "character": ()}[kind]:
        entries = data.get(key)
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict):
                yield str(entry.get("name" if kind == "action" else "id"))


def _uses(document: Document, kind: Kind, old: str, path: Path, sheet: CharacterSheet) -> Iterator[KeyPath]:
    """The key paths of a file that may hold the id."""
    data = document.data
    is_own = document.path == path
    if _is_companion(data):
        if kind == "character":
            yield ("character",)
        elif data.get("character") == sheet.id or (kind == "fact" and _is_lore(sheet, old)):
            yield from _named(data, _COMPANION_KEYS[kind])
    elif kind == "character":
        yield from [("id",)] if is_own else []
    elif kind == "action":
        if is_own:
            yield from (("actions", index, "name") for index in range(len(data.get("actions", []))))
            yield from (("tests", index, "action") for index in range(len(data.get("tests", []))))
            for index in range(len(data.get("procedures", []))):
                yield from (("procedures", index, key) for key in ("before", "require", "after", "offer"))
    elif is_own or (_is_lore(sheet, old) and _shares(data, sheet, old)):
        for key in ("facts", "entries"):
            yield from ((key, index, "id") for index in range(len(data.get(key, []))))
        for index, test in enumerate(data.get("tests", [])):
            yield from (("tests", index, "facts", position) for position in range(len(test.get("facts", []))))


def _is_companion(data: Mapping[str, Any]) -> bool:
    """Whether a file is about a character: its questions, rewordings or scenarios."""
    return "character" in data and "id" not in data


def _named(data: Any, keys: tuple[str, ...], path: KeyPath = ()) -> Iterator[KeyPath]:
    """The paths of every value of one of these keys, and of every item of a list under one."""
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        if isinstance(value, str) and (key in keys or (isinstance(key, int) and path and path[-1] in keys)):
            yield (*path, key)
        else:
            yield from _named(value, keys, (*path, key))


def _is_lore(sheet: CharacterSheet, fact_id: str) -> bool:
    return any(fact.id == fact_id and fact.source != "sheet" for fact in sheet.facts)


def _shares(data: dict[str, Any], sheet: CharacterSheet, fact_id: str) -> bool:
    """Whether another file is the fact's lore, or a sheet that takes it."""
    source = next(fact.source for fact in sheet.facts if fact.id == fact_id)
    return "entries" in data or any(one.get("lore") == source for one in data.get("knowledge", []))


def _at(data: Any, path: KeyPath) -> Any:
    for part in path:
        if isinstance(part, str) and (not isinstance(data, dict) or part not in data):
            return None
        data = data[part]
    return data


def _replace(plan: _Plan, document: Document, places: list[KeyPath], old: str, new: str) -> None:
    lines = read_source(document.path).text.split("\n")
    data = copy.deepcopy(document.data)
    marks = sorted(((document.values[place], place) for place in places), key=lambda one: (one[0].line, one[0].column))
    for mark, place in reversed(marks):
        start = mark.column - 1 + mark.text_offset
        line = lines[mark.line - 1]
        if line[start : start + len(old)] != old:
            raise SheetNotWritten(
                f"{dotted(place)} is not written on one line",
                path=document.path,
                line=mark.line,
                hint="write the id plainly after its key",
            )
        lines[mark.line - 1] = line[:start] + new + line[start + len(old) :]
        _at(data, place[:-1])[place[-1]] = new
    plan.texts[document.path] = "\n".join(lines)
    plan.data[document.path] = data
    plan.uses += [Use(document.path, mark.line, mark.column, dotted(place)) for mark, place in marks]


def _checker(plan: _Plan) -> Check:
    wanted = list(plan.data.values())

    def holds_the_new_id(beside: Path) -> None:
        if read_yaml(beside).data not in wanted:
            raise SheetInvalid("something else would change with it")

    return holds_the_new_id
