"""Admit a player's line: text within limits, as one line."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from npc_engine.errors import RequestError, TextTooLong

if TYPE_CHECKING:
    from npc_engine.dialogue.session import Turn


def admit(turn: Turn) -> None:
    """Check and normalise the turn's line.

    Raises:
        TextTooLong: Over `max_text_chars`.
        RequestError: Nothing is left after removing white space and control characters.
    """
    turn.line = one_line(turn.line, max_chars=turn.max_text_chars)
    turn.trace.stage("admit", f"{len(turn.line)} characters")


def flat(text: str) -> str:
    """Text as one line without control characters: a line break could fake the prompt's own headings."""
    printable = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in unicodedata.normalize("NFC", text))
    return " ".join(printable.split())


def one_line(text: str, *, max_chars: int) -> str:
    """Text from outside, `flat` and within limits.

    Raises:
        TextTooLong: Over `max_chars`.
        RequestError: Nothing is left.
    """
    if len(text) > max_chars:
        raise TextTooLong(f"text has {len(text)} characters, the limit is {max_chars}", hint="send shorter lines")
    line = flat(text)
    if not line:
        raise RequestError("the text is empty", hint="send what the player said, at least one visible character")
    return line
