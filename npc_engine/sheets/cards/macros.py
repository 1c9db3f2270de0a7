"""What card tools replace in a text before a model sees it, replaced here once: `{{char}}`, `{{user}}` and their kin.

The result is plain text: nothing in a card can address the engine through it.
"""

from __future__ import annotations

import re
import unicodedata

PLAYER = "the player"

# Every repetition below is bounded or stops at its own first sign, so that no text makes them slow.
_MACRO = re.compile(r"\{\{([^{}]*)\}\}|<(BOT|USER|CHAR)>", re.IGNORECASE)
_NO_TEXT = re.compile(r"</?[a-z][^<>]{0,200}>|!\[[^\]\n]{0,200}\]\([^)\n]{0,500}\)", re.IGNORECASE)
_LINK = re.compile(r"\[([^\]\n]{0,200})\]\([^)\n]{0,500}\)")
_MARKUP = re.compile(r"\*+|__|~~|`+")
_VOCATIVE = re.compile(r",?[ \t]{0,3}(?:\{\{user\}\}|<USER>)(?=[.!?…,]|$)", re.IGNORECASE)


def plain(text: str, *, name: str, user: str = PLAYER) -> str:
    """The text on one line, without macros, tags, pictures and marks of emphasis.

    Args:
        text: As the card has it.
        name: What `{{char}}` stands for.
        user: What `{{user}}` stands for; a capital is given to it where a sentence begins.
    """
    text = _MACRO.sub(lambda found: _replaced(found, name, user), text)
    text = _MARKUP.sub("", _LINK.sub(r"\1", _NO_TEXT.sub(" ", text)))
    return " ".join("".join(map(_visible, text)).split())


def without_vocative(text: str) -> str:
    """The text without a `{{user}}` that is only addressed: "Hello, {{user}}!" is "Hello!"."""
    return _VOCATIVE.sub("", text)


def _replaced(found: re.Match[str], name: str, user: str) -> str:
    kind, _, argument = (found[1] if found[1] is not None else found[2]).partition(":")
    match kind.strip().lower():
        case "char" | "bot":
            return name
        case "user":
            before = found.string[max(0, found.start() - 12) : found.start()].rstrip(" \t*_\"'“")
            return user[0].upper() + user[1:] if not before or before[-1] in ".!?…:\n" else user
        case "random" | "pick":
            return re.split(r",|::", argument.lstrip(":"))[0].strip()
        case "reverse":
            return argument[::-1]
        case "comment" | "hidden_key" | "original" | "noop" | "trim":
            return ""
        case "newline":
            return " "
        case word if word.startswith("//"):
            return ""
    return found[0]


def _visible(character: str) -> str:
    """The character; a space for controls, U+FFFD for half a surrogate pair."""
    kind = unicodedata.category(character)
    return " " if kind in ("Cc", "Cn", "Zl", "Zp") or character == "\ufeff" else "\ufffd" if kind == "Cs" else character
