"""Write a sheet's data as the YAML that the loader reads: plain where that is safe, quoted where not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from npc_engine.sheets.cards.json_fields import json_text

SCHEMA_COMMENT = "# A character sheet; docs/sheets.md says what each key does.\n"

# Text that YAML reads as this text and nothing else, whatever stands around it.
_PLAIN = re.compile(r"[A-Za-z](?:[\w '’.!?;/()-]|,(?= ))*(?<=[\w.!?)])", re.ASCII)
_CONSTANT = re.compile(r"null|true|false|\.?nan|[-+]?\.?inf", re.IGNORECASE)
_INLINE_CHARS = 90


class Block(str):
    """Text that is written as a literal block, line by line; every character of it must be one that YAML carries."""

    __slots__ = ()


def sheet_yaml(sheet: dict[str, Any]) -> str:
    """The sheet as YAML text."""
    parts = [SCHEMA_COMMENT]
    for key, value in sheet.items():
        if isinstance(value, (dict, list)) and value:
            parts.append("\n")
        parts += _entry(key, value, 0)
    return "".join(parts)


def _entry(key: str, value: Any, indent: int) -> Iterator[str]:
    lead = f"{' ' * indent}{_scalar(key)}:"
    if isinstance(value, Block):
        yield f"{lead} |-\n"
        yield from (f"{' ' * (indent + 2)}{line}\n" for line in value.split("\n"))
    elif isinstance(value, dict) and value:
        yield f"{lead}\n"
        for inner, one in value.items():
            yield from _entry(inner, one, indent + 2)
    elif isinstance(value, list) and value:
        line = f"[{', '.join(map(_inline, value))}]" if all(_is_short(one) for one in value) else ""
        if line and len(line) + indent <= _INLINE_CHARS:
            yield f"{lead} {line}\n"
            return
        yield f"{lead}\n"
        for one in value:
            yield from _item(one, indent + 2)
    else:
        yield f"{lead} {_scalar(value)}\n"


def _item(value: Any, indent: int) -> Iterator[str]:
    lead = f"{' ' * indent}- "
    if isinstance(value, dict) and value:
        lines = [line for key, one in value.items() for line in _entry(key, one, indent + 2)]
        yield lead + lines[0][indent + 2 :]
        yield from lines[1:]
    elif isinstance(value, list) and value:
        yield f"{lead}{json_text(value)}\n"
    else:
        yield f"{lead}{_scalar(value)}\n"


def _is_short(value: Any) -> bool:
    return not isinstance(value, (dict, list, Block)) and len(str(value)) <= 40


def _inline(value: Any) -> str:
    text = _scalar(value)
    return json_text(value) if isinstance(value, str) and re.search(r"[,?]", text) else text


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and not _CONSTANT.fullmatch(value):
        return str(value)
    return json_text(value)
