"""What a writer types behind a command, as data: states, control values, whole numbers."""

from __future__ import annotations

import shlex
from typing import Any

from npc_engine.errors import RequestError


def parse_state(text: str) -> dict[str, Any]:
    """State changes from `key=value` words.

    Raises:
        RequestError: A word is not of that form.
    """
    changes: dict[str, Any] = {}
    for key, value in _pairs("state", text, "/state trust=60 place=smithy"):
        if key in ("flags", "factions"):
            changes[key] = [item for item in value.split(",") if item]
        elif key == "quests":
            stages = (item.partition(":") for item in value.split(",") if item)
            changes[key] = {name: _integer(stage) for name, _, stage in stages}
        else:
            changes[key] = _integer(value)
    return changes


def parse_result(text: str) -> dict[str, Any]:
    """An action's result from `key=value` words: whole numbers, numbers, true and false as such, else text.

    Raises:
        RequestError: A word is not of that form.
    """
    return {key: parse_value(value) for key, value in _pairs("result", text, "price=40 item='short sword'")}


def parse_value(text: str) -> Any:
    """A number, true, false or none as such; anything else as text."""
    known = {"true": True, "false": False, "none": None}
    if text.lower() in known:
        return known[text.lower()]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def parse_count(command: str, text: str, *, default: int) -> int:
    """The number behind a command.

    Raises:
        RequestError: It is none.
    """
    if not text:
        return default
    try:
        return int(text)
    except ValueError:
        raise RequestError(f"{command}: {text!r} is not a whole number", hint=f"for example: {command} 1") from None


def _pairs(what: str, text: str, example: str) -> list[tuple[str, str]]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise RequestError(f"{what}: {error}", hint="close the quote, or leave it out") from error
    pairs = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise RequestError(f"{what}: {word!r} is not KEY=VALUE", hint=f"for example: {example}")
        pairs.append((key, value))
    return pairs


def _integer(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:
        return text
