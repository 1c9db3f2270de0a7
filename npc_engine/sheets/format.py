"""Lay a sheet's file out anew: indentation, quotes and line widths the same everywhere; comments and order kept."""

from __future__ import annotations

import io
import re
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from npc_engine.errors import SheetInvalid, SheetNotWritten
from npc_engine.sheets.writing import read_source, rewrite
from npc_engine.sheets.yaml_reader import read_yaml

WIDTH = 120


def formatted(path: Path) -> str:
    """The text that the file should have, lines ended by a line feed.

    Mappings are indented by two columns and list entries by two below their key, texts are folded at 120 columns, white
    space at line ends and empty lines at the end go. Nothing is sorted, no quote is changed, every comment stays.

    Raises:
        SheetError: The file is not YAML of our kind.
    """
    source = read_source(path)
    yaml = round_trip()
    try:
        data = yaml.load(source.text)
        out = io.StringIO()
        yaml.dump(data, out)
    except (YAMLError, ValueError, AttributeError, TypeError) as error:
        raise SheetNotWritten(f"this layout cannot be written anew: {error}", path=path) from error
    lines = [line.rstrip() for line in out.getvalue().rstrip().split("\n")]
    return "\n".join(_without_runs(lines)) + "\n"


def format_file(path: Path) -> bool:
    """Format a file in place; whether it changed.

    Raises:
        SheetError: The file is not YAML of our kind.
        SheetNotWritten: It cannot be written, or its data would change; it is as it was.
    """
    before = read_yaml(path).data

    def same_data(beside: Path) -> None:
        if read_yaml(beside).data != before:
            raise SheetInvalid("its data would change")

    return bool(rewrite({path: formatted(path)}, same_data))


def round_trip() -> YAML:
    """A reader and writer that keeps comments, order and quotes, in the layout of the shipped sheets."""
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = WIDTH
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.allow_unicode = True
    return yaml


def _without_runs(lines: list[str]) -> list[str]:
    """At most one empty line in a row, but within texts that keep their lines (`|`)."""
    kept: list[str] = []
    literal_indent: int | None = None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if literal_indent is not None and line and indent <= literal_indent:
            literal_indent = None
        if not line and kept and not kept[-1] and literal_indent is None:
            continue
        kept.append(line)
        if re.search(r"(?:^|[\s:-])[|>][-+0-9]*\s*(?:#.*)?$", line):
            literal_indent = indent
    return kept
