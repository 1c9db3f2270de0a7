"""Make model text into speech: no stage directions, role tags, think blocks or markup.

What players complain of most after silence is a character that speaks its stage directions or its thoughts; a text to
speech engine reads them aloud. Text is held back only while it could still become one of these, so that speech
streams; what was released is never taken back.

What is not covered: a stage direction written as plain prose ("She smiles.").
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_THINK_OPEN = "<think>"
_THINK_CLOSE = "</think>"
_GROUPS = {"*": "*", "[": "]", "(": ")", "<": ">"}
_QUOTES = '"“”„«»'
_SENTENCE_END = ".!?…"
_LIST_MARKER = re.compile(r"(?:[-•]|#{1,6}|\d{1,2}[.)])[ \t]+")
_MAYBE_LIST_MARKER = re.compile(r"(?:[-•]|#{1,6}|\d{1,2}[.)]?)[ \t]*\Z")
# A group longer than this is not a stage direction; its marks are dropped and its words are spoken.
MAX_GROUP_CHARS = 200
_ROLES = ("assistant", "npc", "character", "me")
_OTHERS = ("user", "player", "system", "human", "customer", "traveler", "traveller")


class SpeechCleaner:
    """Cleans one reply as it streams.

    Args:
        speaker: The character's name; a "Name:" tag of it is dropped.
        others: Names of the player and of whoever else may be tagged; a tag of one ends the speech.
    """

    def __init__(self, *, speaker: str, others: Iterable[str] = ()) -> None:
        own = (speaker, *speaker.split(), *_ROLES)
        self._own = tuple({name.casefold() for name in own if name})
        self._others = tuple({name.casefold() for name in (*others, *_OTHERS) if name} - set(self._own))
        self._raw = ""
        self._released = 0
        self.is_finished = False

    def feed(self, piece: str) -> str:
        """Add raw text of any size; return the speech that is now certain."""
        self._raw += piece
        return self._release(final=False)

    def flush(self) -> str:
        """Return what is still held, at the end of generation."""
        return self._release(final=True)

    def _release(self, *, final: bool) -> str:
        # A reply is at most a few hundred characters: scanning it anew each time costs less than it is complex.
        speech, self.is_finished = _scan(self._raw, self._own, self._others, final=final)
        fresh, self._released = speech[self._released :], len(speech)
        return fresh


def clean(text: str, *, speaker: str, others: Iterable[str] = ()) -> str:
    """The speech in a whole text."""
    cleaner = SpeechCleaner(speaker=speaker, others=others)
    return cleaner.feed(text) + cleaner.flush()


def _scan(raw: str, own: tuple[str, ...], others: tuple[str, ...], *, final: bool) -> tuple[str, bool]:
    """Clean the part of `raw` that is certain; also whether somebody else began to speak."""
    speech: list[str] = []
    space = False
    is_line_start = True
    position = 0
    while position < len(raw):
        if is_line_start:
            step = _line_start(raw[position:], own, others, final=final)
            if step is None:
                break
            if step < 0:
                return "".join(speech), True
            position += step
            is_line_start = False
            continue
        character = raw[position]
        if character == "<" and _THINK_OPEN.startswith(raw[position : position + len(_THINK_OPEN)]):
            end = raw.find(_THINK_CLOSE, position)
            if end < 0:
                break  # thoughts without an end are never spoken
            position = end + len(_THINK_CLOSE)
            is_line_start = not speech
            continue
        if character in _GROUPS and (character != "(" or _at_sentence_start(speech)):
            if raw.startswith("**", position):
                position += 2
                continue
            if character == "*" and position + 1 == len(raw) and not final:
                break  # may become "**"
            end = raw.find(_GROUPS[character], position + 1)
            if end < 0 and not final and len(raw) - position <= MAX_GROUP_CHARS:
                break
            is_group = 0 <= end - position <= MAX_GROUP_CHARS
            position = end + 1 if is_group else position + 1
            continue
        position += 1
        if character == "\n":
            is_line_start = True
        if character.isspace():
            space = bool(speech)
        elif character not in _QUOTES and character not in "*`":
            if space and character not in ",;:.!?…":
                speech.append(" ")
            space = False
            speech.append(character)
    return "".join(speech), False


def _line_start(rest: str, own: tuple[str, ...], others: tuple[str, ...], *, final: bool) -> int | None:
    """How much to skip at the start of a line; negative where another speaks; None while undecided."""
    indent = len(rest) - len(rest.lstrip(" \t\n\r" + _QUOTES))
    text = rest[indent:].lstrip("*")
    marks = len(rest) - len(text)
    if marker := _LIST_MARKER.match(text):
        return marks + marker.end()
    folded = text.casefold()
    for names, verdict in ((own, 1), (others, -1)):
        for name in names:
            if re.match(re.escape(name) + r"\*{0,2}\s*:", folded):
                return verdict * (marks + text.index(":") + 1)
    if not final:
        tags = (f"{name}{end}" for name in (*own, *others) for end in (":", " :", "**:"))
        if not text or _MAYBE_LIST_MARKER.match(text) or any(tag.startswith(folded) for tag in tags):
            return None
    return indent


def _at_sentence_start(speech: list[str]) -> bool:
    return not speech or speech[-1] in _SENTENCE_END
