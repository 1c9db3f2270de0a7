"""Carry out the safe fixes of some findings: all of a file's at once, checked before the file is replaced."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from npc_engine.sheets.lint.finding import Edit, Finding
from npc_engine.sheets.loader import load_lore, load_sheet
from npc_engine.sheets.schema import LORE_SCHEMA
from npc_engine.sheets.writing import read_source, rewrite
from npc_engine.sheets.yaml_reader import read_yaml


def fix(findings: Iterable[Finding]) -> list[Finding]:
    """Mend what can be mended safely.

    Fixes that touch the same lines are left for the next run, which sees what the first one left.

    Returns:
        The findings that were mended.

    Raises:
        SheetNotWritten: A file cannot be written; none was changed.
    """
    by_file: dict[Path, list[Finding]] = {}
    for finding in findings:
        if finding.fix is not None:
            by_file.setdefault(finding.fix.path, []).append(finding)
    done: list[Finding] = []
    texts: dict[Path, str] = {}
    for path, fixable in by_file.items():
        lines = read_source(path).text.split("\n")
        taken: set[int] = set()
        edits: list[Edit] = []
        for finding in fixable:
            edit = finding.fix
            assert edit is not None
            touched = set(range(edit.line, (edit.end_line or edit.line) + 1)) if edit.end_line else {-edit.line}
            if touched & taken:
                continue
            taken |= touched
            edits.append(edit)
            done.append(finding)
        for edit in sorted(edits, key=lambda one: -one.line):
            _apply(lines, edit)
        texts[path] = "\n".join(lines)
    rewrite(texts, _load)
    return done


def _load(path: Path) -> object:
    data = read_yaml(path).data
    is_lore = isinstance(data, dict) and data.get("schema") == LORE_SCHEMA
    return load_lore(path) if is_lore else load_sheet(path)


def _apply(lines: list[str], edit: Edit) -> None:
    start = edit.line - 1
    if edit.old:
        lines[start] = lines[start].replace(edit.old, edit.text, 1)
    elif edit.end_line is None:
        lines.insert(start, edit.text)
    else:
        lines[start : edit.end_line] = [edit.text] if edit.text else []
