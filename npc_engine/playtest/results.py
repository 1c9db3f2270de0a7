"""The results of a run: a file of JSON lines, its head first, then each talk when it is over.

A run that was stopped goes on where it was: talks that the file holds are not had again. Whatever ends a run, each
finished talk is a whole line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from npc_engine.errors import ReportNotWritten, ResultsUnusable
from npc_engine.playtest.talks import Talk, TalkRecord
from npc_engine.sheets.schema import CharacterSheet

RESULTS_SCHEMA = "npc-engine/playtest@1"
RESULTS_NAME = "results.jsonl"
PREVIOUS_NAME = "previous.jsonl"


class Head(BaseModel):
    """What a results file is of.

    Attributes:
        label: For people: what was played.
        settings: What the run was made with; talks of other settings do not belong into the same file.
        engine: What the server ran on, as `health` says.
        sheets: The characters as they were, by id, with their lore among their facts.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_: str = Field(RESULTS_SCHEMA, alias="schema")
    label: str
    settings: dict[str, Any]
    engine: dict[str, Any] = {}
    sheets: dict[str, CharacterSheet]

    @property
    def identity(self) -> dict[str, Any]:
        """What must be equal for a run to go on in the file."""
        return {"settings": self.settings, "sheets": {name: sheet.content_hash for name, sheet in self.sheets.items()}}


class Results:
    """A results file and what it holds.

    Attributes:
        path: The file.
        head: Its first line.
        records: Its talks, in the order in which they ended.
        is_finished: Whether the run came to its end.
    """

    def __init__(
        self, path: Path, head: Head, records: Iterable[TalkRecord] = (), *, is_finished: bool = False
    ) -> None:
        self.path = path
        self.head = head
        self.records = list(records)
        self.is_finished = is_finished

    def kept(self, talks: Sequence[Talk]) -> dict[tuple[str, int], TalkRecord]:
        """Those of its records that are of these very talks; talks that the server refused are not among them."""
        digests = {(talk.id, talk.repeat): talk.digest for talk in talks}
        return {
            record.key: record
            for record in self.records
            if record.error is None and digests.get(record.key) == record.digest
        }

    def add(self, record: TalkRecord) -> None:
        """Append a talk.

        Raises:
            ReportNotWritten: The disk takes no more; what was there stays readable.
        """
        _append(self.path, record.model_dump(mode="json", exclude_defaults=True))
        self.records.append(record)

    def finish(self) -> None:
        """Note that every talk has been had.

        Raises:
            ReportNotWritten: As `add`.
        """
        _append(self.path, {"finished": True})
        self.is_finished = True


def open_results(folder: Path, head: Head, *, fresh: bool = False) -> Results:
    """Open the results file of a folder for a run: a new one, or the same run's, which was stopped.

    A finished run's file is kept as `previous.jsonl`, in the place of the one before.

    Args:
        folder: Made where it is missing.
        head: Of the run.
        fresh: Begin anew whatever is there.

    Raises:
        ResultsUnusable: A stopped run of other settings or sheets lies there, or a file that is none of ours.
        ReportNotWritten: The folder cannot be made or written to.
    """
    path = folder / RESULTS_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists() and not fresh:
            there = read_results(path)
            if not there.is_finished and there.head.identity == head.identity:
                return there
            if not there.is_finished:
                raise ResultsUnusable(
                    f"{path}: a run that was stopped lies here, of other settings or sheets",
                    hint="name another folder with --out, or begin anew with --fresh",
                )
        if path.exists():
            path.replace(folder / PREVIOUS_NAME)
        path.touch()
    except OSError as error:
        raise not_written(folder, error) from error
    _append(path, head.model_dump(mode="json", by_alias=True, exclude_defaults=False))
    return Results(path, head)


def read_results(path: Path) -> Results:
    """Read a results file, or the one in a folder. A torn last line is left out.

    Raises:
        ResultsUnusable: It is missing, cannot be read, or is no results file; the message names the line.
    """
    file = path / RESULTS_NAME if path.is_dir() else path
    hint = "name the folder or the results.jsonl of an `npc-engine playtest` run"
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ResultsUnusable(f"{file}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}", hint=hint) from error
    if not lines:
        raise ResultsUnusable(f"{file}: empty", hint=hint)
    records: dict[tuple[str, int], TalkRecord] = {}
    is_finished = False
    head: Head | None = None
    for number, line in enumerate(lines, start=1):
        try:
            data = json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines) and head is not None:
                continue  # the run was stopped while it wrote this line: that talk is had again
            raise ResultsUnusable(f"{file}:{number}: not JSON: {error.msg}", hint=hint) from error
        if not isinstance(data, dict) or (head is None and data.get("schema") != RESULTS_SCHEMA):
            raise ResultsUnusable(f"{file}:{number}: no line of {RESULTS_SCHEMA}", hint=hint)
        try:
            if head is None:
                head = Head.model_validate(data)
            elif data.get("finished"):
                is_finished = True
            else:
                record = TalkRecord.model_validate(data)
                records[record.key] = record
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ResultsUnusable(f"{file}:{number}: {where}: {first['msg']}", hint=hint) from error
    assert head is not None  # the first line gave it
    return Results(file, head, records.values(), is_finished=is_finished)


def not_written(path: Path, error: OSError) -> ReportNotWritten:
    """The error for a file that the system does not take."""
    return ReportNotWritten(
        f"{path}: {error.strerror or error}",
        hint="make room or choose another folder with --out; finished talks are kept, the same command goes on",
    )


def _append(path: Path, data: Mapping[str, Any]) -> None:
    line = (json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n").encode()
    try:
        with path.open("r+b") as file:
            end = file.seek(0, 2)
            # A line that was torn by a stop would spoil the next one.
            if end and (file.seek(end - 1), file.read(1))[1] != b"\n":
                file.seek(0)
                end = file.read().rfind(b"\n") + 1
                file.truncate(end)
            file.seek(end)
            try:
                file.write(line)
                file.flush()
            except OSError:
                file.truncate(end)
                raise
    except OSError as error:
        raise not_written(path, error) from error
