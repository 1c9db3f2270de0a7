"""Records of finished work as JSON lines, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a file, in its order; none where it is missing. A torn line is left out."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:  # the run was stopped while it wrote this line: that piece is done again
            continue


def append_record(path: Path, record: Mapping[str, Any]) -> None:
    """Add one record at the end of a file, which is made where it is missing."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record, ensure_ascii=False) + "\n")


def kept(path: Path, keys: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The records that a file holds already of what is wanted.

    Args:
        path: A file of JSON lines.
        keys: By name, the fields and values that make a record the wanted one; all with the same fields.

    Returns:
        By name; of two that match, the later.
    """
    wanted = {json.dumps(key, sort_keys=True): name for name, key in keys.items()}
    fields = next(iter(keys.values()), {})
    found = {}
    for record in read_records(path):
        key = json.dumps({field: record.get(field) for field in fields}, sort_keys=True)
        if key in wanted:
            found[wanted[key]] = record
    return found
