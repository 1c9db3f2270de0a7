"""Load character sheets and lore from YAML files: every problem of a file at once, each at its line.

A sheet that loads is whole: its lore is merged into its facts, its conditions are parsed, its references exist.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import TypeVar

from pydantic import ValidationError

from npc_engine.errors import SheetError, SheetInvalid, SheetNotFound, SheetVersion
from npc_engine.sheets.checks import check_references
from npc_engine.sheets.fields import MAX_FACTS, Fact, Model
from npc_engine.sheets.problems import dotted, empty_values, explain, gathered, near_miss, problem_at
from npc_engine.sheets.schema import CHARACTER_SCHEMA, LORE_SCHEMA, CharacterSheet, Lore, LoreReference
from npc_engine.sheets.yaml_reader import Document, KeyPath, read_yaml

M = TypeVar("M", bound=Model)

SHEET_SUFFIXES = (".yaml", ".yml")

_NAME_A_SHEET = "give the path of a .yaml file or of a folder with some"


def load_sheet(path: Path) -> CharacterSheet:
    """Load one sheet with its lore.

    Raises:
        SheetNotFound: The file is missing.
        SheetTooLarge: The file is over the size limit.
        SheetSyntax: The file is not YAML, or uses a part of YAML that sheets do not.
        SheetVersion: `schema` is missing or not `npc-engine/character@1`.
        SheetInvalid: Anything else; `problems` holds every problem, those of its lore files included.
    """
    document, sheet = read_document(path, CharacterSheet, CHARACTER_SCHEMA)
    problems: list[SheetError] = []
    facts = list(sheet.facts)
    paths: list[KeyPath] = [("facts", index) for index in range(len(facts))]
    for index, reference in enumerate(sheet.knowledge):
        try:
            taken = _take_lore(document, index, reference)
        except SheetInvalid as error:
            problems.extend(error.problems or (error,))
        except SheetError as error:
            problems.append(error)
        else:
            facts += taken
            paths += [("knowledge", index, "lore")] * len(taken)
    if len(facts) > MAX_FACTS:
        problems.append(problem_at(document, ("knowledge",), f"{len(facts)} facts with lore, at most {MAX_FACTS}"))
    if not problems:
        sheet = sheet.model_copy(update={"facts": tuple(facts)})
        problems += [
            problem_at(document, found.path, found.problem, hint=found.hint)
            for found in check_references(sheet, paths.__getitem__)
        ]
    if problems:
        raise gathered(problems)
    return sheet


def load_lore(path: Path) -> Lore:
    """Load a lore file.

    Raises:
        SheetError: As `load_sheet`, for the schema `npc-engine/lore@1`.
    """
    return read_document(path, Lore, LORE_SCHEMA)[1]


def load_sheets(paths: Iterable[Path]) -> dict[str, CharacterSheet]:
    """Load every sheet of some files and folders, by id.

    Raises:
        SheetNotFound: A path is missing, or no sheet is found.
        SheetError: The one sheet that does not load.
        SheetInvalid: Several do not load, or two have one id; `problems` holds them all.
    """
    sheets: dict[str, CharacterSheet] = {}
    files: dict[str, Path] = {}
    problems: list[SheetError] = []
    for file in sheet_files(paths):
        try:
            sheet = load_sheet(file)
        except SheetError as error:
            problems.append(error)
            continue
        if sheet.id in sheets:
            problems.append(
                SheetInvalid(
                    f"the id {sheet.id!r} is also that of {files[sheet.id]}", path=file, key="id", hint="rename one"
                )
            )
        sheets[sheet.id], files[sheet.id] = sheet, file
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise gathered([part for error in problems for part in getattr(error, "problems", ()) or (error,)])
    return sheets


def sheet_files(paths: Iterable[Path]) -> list[Path]:
    """The sheet files that some paths stand for: files as they are, folders as the .yaml files directly in them.

    Raises:
        SheetNotFound: A path is missing or cannot be read, or a folder has no such file.
    """
    files: list[Path] = []
    for path in paths:
        try:
            files += _files_of(path)
        except OSError as error:
            raise SheetNotFound(error.strerror or str(error), path=path, hint=_NAME_A_SHEET) from error
    if not files:
        raise SheetNotFound("no sheets were named", hint=_NAME_A_SHEET)
    return list(dict.fromkeys(files))


def _files_of(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise SheetNotFound("no such file", path=path, hint=_NAME_A_SHEET)
    found = sorted(file for file in path.iterdir() if file.suffix in SHEET_SUFFIXES and file.is_file())
    if not found:
        raise SheetNotFound("no .yaml file in this folder", path=path, hint="name the folder that holds the sheets")
    return found


def read_document(path: Path, model: type[M], schema: str) -> tuple[Document, M]:
    """Read a file that must follow one schema, each section alone.

    Args:
        path: The file.
        model: The schema's model.
        schema: The value its `schema` key must have.

    Raises:
        SheetError: As `load_sheet`.
    """
    document = read_yaml(path)
    if not isinstance(document.data, dict):
        kind = "nothing" if document.data is None else "a list or a single text"
        raise gathered(
            [problem_at(document, (), f"expected keys and values, found {kind}", hint=f"begin with: schema: {schema}")]
        )
    _check_version(document, schema)
    problems: list[SheetError] = [*empty_values(document)]
    try:
        parsed = model.model_validate(document.data)
    except ValidationError as error:
        empty = {problem.key for problem in problems}
        problems += [problem for problem in explain(document, model, error) if problem.key not in empty]
        raise gathered(problems) from error
    if problems:
        raise gathered(problems)
    return document, parsed


def _check_version(document: Document, schema: str) -> None:
    given = document.data.get("schema")
    if given == schema:
        return
    mark = document.values.get(("schema",), document.values[()])
    name = schema.partition("@")[0]
    if given is None:
        problem, hint = "the `schema` is not named", f"write as the first line: schema: {schema}"
    elif isinstance(given, str) and given.startswith(f"{name}@"):
        problem, hint = f"{given[:60]!r} is another version than {schema!r}", "use the npc-engine that reads it"
    else:
        problem, hint = f"{str(given)[:60]!r} is not {schema!r}", f"write schema: {schema}"
    raise SheetVersion(problem, path=document.path, line=mark.line, column=mark.column, key="schema", hint=hint)


def _take_lore(document: Document, index: int, reference: LoreReference) -> list[Fact]:
    """The entries of a lore file that this reference gives the character."""
    path: KeyPath = ("knowledge", index, "lore")
    relative = PurePosixPath(reference.lore)
    if relative.is_absolute() or ".." in relative.parts or "\\" in reference.lore or ":" in reference.lore:
        raise problem_at(
            document, path, "a lore file lies in or below the sheet's folder", hint="for example lore/vale.yaml"
        )
    file = document.path.parent.joinpath(*relative.parts)
    if not file.is_file():
        mark = document.values[path]
        raise SheetNotFound(
            f"no lore file {file}",
            path=document.path,
            line=mark.line,
            column=mark.column,
            key=dotted(path),
            hint="lore files lie in or below the sheet's folder",
        )
    lore = load_lore(file)
    known = {scope for entry in lore.entries for scope in entry.scopes}
    problems = [
        problem_at(
            document, (*path[:-1], "scopes", i), f"{file.name} has no scope {scope!r}", hint=near_miss(scope, known)
        )
        for i, scope in enumerate(reference.scopes)
        if scope not in known
    ]
    if problems:
        raise gathered(problems)
    return [
        Fact(
            id=entry.id,
            text=entry.text,
            tags=entry.tags,
            when=entry.when.both(reference.when) if entry.when else reference.when,
            secret=entry.secret,
            source=reference.lore,
        )
        for entry in lore.entries
        if not entry.scopes or set(entry.scopes) & set(reference.scopes)
    ]
