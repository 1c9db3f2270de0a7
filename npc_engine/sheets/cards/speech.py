"""What is said aloud in a card's role-play text, and the example talks of `mes_example`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from npc_engine.sheets.cards.macros import plain, without_vocative
from npc_engine.sheets.cards.prose import sentence_end
from npc_engine.sheets.fields import MAX_LINE_CHARS

MAX_EXAMPLES = 40
# Of one message no more is read: a line has 300 characters.
MAX_SPEECH_CHARS = 20_000

_QUOTED = re.compile(r"[\"“]([^\"“”]+)[\"”]")
_NARRATION = re.compile(r"\*[^*]+\*|_[^_]{3,}_|\([^()]*\)|\[[^\[\]]*\]")
_START = re.compile(r"<START>", re.IGNORECASE)
_TURN = re.compile(r"^[ \t]*(?P<who>[^:\n]{1,60}):[ \t]*", re.MULTILINE)
_LETTER = re.compile(r"[^\W\d_]")
_USER = ("{{user}}", "<user>", "you", "user")
_CHAR = ("{{char}}", "<bot>", "{{bot}}", "char")


@dataclass(frozen=True)
class Example:
    """An exchange in `mes_example`: the lines as spoken, and where the whole of it stands in the text."""

    player: str | None
    character: str
    start: int
    end: int


def spoken(text: str, *, name: str) -> str:
    """The words said aloud, at most MAX_LINE_CHARS; empty where nothing is.

    Where speech stands in quotes, it is what the quotes hold; else it is what is left without *narration*.
    """
    text = without_vocative(text[:MAX_SPEECH_CHARS])
    quoted = [part for part in _QUOTED.findall(text) if _LETTER.search(part)]
    said = " ".join(quoted) if quoted else _NARRATION.sub(" ", text.replace("**", ""))
    said = plain(said, name=name, user="you").strip("* ")
    said = re.sub(rf"^{re.escape(name)}:\s*", "", said)
    if said.endswith(","):  # "Well met," said Mira.
        said = f"{said[:-1]}."
    return sentence_end(said, MAX_LINE_CHARS) if _LETTER.search(said) else ""


def examples(text: str, *, name: str) -> list[Example]:
    """The exchanges of `mes_example` in which the character says something, at most MAX_EXAMPLES."""
    found: list[Example] = []
    starts = [0, *(match.end() for match in _START.finditer(text))]
    ends = [*(match.start() for match in _START.finditer(text)), len(text)]
    for start, end in zip(starts, ends, strict=True):
        found += _block(text, start, end, name)
    return found[:MAX_EXAMPLES]


def _block(text: str, start: int, end: int, name: str) -> list[Example]:
    turns = [
        (match, who)
        for match in _TURN.finditer(text, start, end)
        if (who := _speaker(match["who"].strip(" *"), name)) is not None
    ]
    found: list[Example] = []
    player: tuple[str, int] | None = None
    for index, (match, who) in enumerate(turns):
        stop = turns[index + 1][0].start() if index + 1 < len(turns) else end
        stop -= len(text[match.end() : stop]) - len(text[match.end() : stop].rstrip())
        said = spoken(text[match.end() : stop], name=name)
        if who == "player":
            player = (said, match.start())
        elif said:
            asked = player[0] if player else ""
            found.append(Example(asked or None, said, player[1] if player else match.start(), stop))
            player = None
    return found


def _speaker(who: str, name: str) -> str | None:
    lower = who.lower()
    if lower in _USER:
        return "player"
    return "character" if lower in _CHAR or lower in (name.lower(), name.lower().split()[0]) else None
