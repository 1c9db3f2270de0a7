"""A card's prose cut into pieces, each with its place in the text: sentences, and `Key: value` attributes.

Cards are written as prose, as lists, as `Age("34")` (W++) or as `[Mira: tall, loud]`; all are read line by line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from npc_engine.sheets.cards.macros import plain
from npc_engine.sheets.fields import MAX_FACT_CHARS

# A longer piece is cut at its commas, so that the plain text, macros replaced, fits a fact.
MAX_RAW_CHARS = 240
# Reading stops here: no sheet could hold more.
MAX_PROSE_SOURCE_CHARS = 1_000_000

_LINE = re.compile(r"[^\n]+")
# Repetitions are bounded, so that no text makes them slow.
_END = re.compile(r"[.!?…]{1,9}[\"'”’)*\]]{0,5}(?=\s)|[。！？][」』”]{0,3}")
_ABBREVIATION = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|St|Prof|Sgt|Capt|vs|etc|No|e\.g|i\.e)|\b[A-Z])\.$")
_BULLET = re.compile(r"(?:[-•*>+]|\d{1,3}[.)])\s+")
_HEADING = re.compile(r"#{1,6}\s")
_PLAYER_TURN = re.compile(r"(?:\{\{user\}\}|<USER>):", re.IGNORECASE)
_OWN_TURN = re.compile(r"(?:\{\{char\}\}|<BOT>|<CHAR>):", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    r"(?P<key>[^\W\d_][\w '/&-]{0,29}?)[ \t]{0,3}(?:\*\*)?[ \t]{0,3}[:=][ \t]{0,3}(?:\*\*)?[ \t]{0,3}(?P<value>\S.*)"
)
_WPP = re.compile(r"(?P<key>[^\W\d_][\w '/-]{0,29})[ \t]{0,3}\([ \t]{0,3}(?P<value>[\"“][^()]*[\"”])[ \t]{0,3}\)")
_EDGES = " \t\r[]*_;|~"
_QUOTES = '"“”'
_LETTER = re.compile(r"[^\W\d_]")
_REFERS_BACK = re.compile(r"(?:It|Its|He|His|She|Her|They|Their|Them|This|That|These|Those|There)\b")


@dataclass(frozen=True)
class Piece:
    """Something said in a text.

    Attributes:
        text: Plain text, at most MAX_FACT_CHARS long, never empty.
        start: Where it begins in the source text.
        end: Where it ends there.
        key: The attribute's name, where it is one; `text` then is its value.
    """

    text: str
    start: int
    end: int
    key: str = ""


def pieces(source: str, *, name: str) -> list[Piece]:
    """The pieces of a text in order; what says nothing is none."""
    found: list[Piece] = []
    for line in _LINE.finditer(source[:MAX_PROSE_SOURCE_CHARS]):
        for start, end, key in _cut_line(source, line.start(), line.end()):
            raw = source[start:end]
            if key:
                raw = re.sub(r"[\"“”]\s*[+,]\s*[\"“”]", ", ", raw)
            text = plain(raw, name=name).strip(_EDGES + "{}" + _QUOTES * bool(key))[:MAX_FACT_CHARS].rstrip(" ,")
            if _LETTER.search(text) or (key and text):
                found.append(Piece(text, start, end, plain(key, name=name)))
    return found


def with_referents(found: list[Piece]) -> list[Piece]:
    """The pieces, those that begin with "It", "They" and the like joined to the one before, where a fact holds both."""
    joined: list[Piece] = []
    for piece in found:
        before = joined[-1] if joined else None
        refers = before is not None and not (before.key or piece.key) and _REFERS_BACK.match(piece.text)
        if before is not None and refers and len(before.text) + 1 + len(piece.text) <= MAX_FACT_CHARS:
            joined[-1] = Piece(f"{before.text} {piece.text}", before.start, piece.end)
        else:
            joined.append(piece)
    return joined


def sentence_end(text: str, limit: int) -> str:
    """The text cut to at most `limit` characters, at the end of a sentence where there is one, else after a word."""
    if len(text) <= limit:
        return text
    ends = [found.end() for found in _END.finditer(text[: limit + 1]) if found.end() <= limit]
    if ends:
        return text[: ends[-1]]
    return text[: limit - 1].rsplit(" ", 1)[0].rstrip(" ,;:") + "…"


def _cut_line(source: str, start: int, end: int) -> Iterator[tuple[int, int, str]]:
    attributes = list(_WPP.finditer(source, start, end))
    if attributes:
        for attribute in attributes:
            yield attribute.start("value"), attribute.end("value"), attribute["key"].strip()
        return
    start, end = _trimmed(source, start, end)
    if _HEADING.match(source, start, end) or _PLAYER_TURN.match(source, start, end):
        return
    if lead := _BULLET.match(source, start, end) or _OWN_TURN.match(source, start, end):
        start, end = _trimmed(source, lead.end(), end)
    attribute_line = _ATTRIBUTE.fullmatch(source, start, end)
    if attribute_line and _is_attribute(attribute_line["key"], attribute_line["value"]):
        value_start, value_end = _trimmed(source, *attribute_line.span("value"))
        parts = list(_sentences(source, value_start, value_end))
        yield (*parts[0], attribute_line["key"].strip(" *_")) if parts else (value_start, value_end, "")
        yield from ((*part, "") for part in parts[1:])
        return
    yield from ((*part, "") for part in _sentences(source, start, end))


def _is_attribute(key: str, value: str) -> bool:
    return key[0].isupper() and len(key.split()) <= 3 and not value.startswith("//")


def _trimmed(source: str, start: int, end: int) -> tuple[int, int]:
    """The span without marks around it; a bullet's star stays, the space behind it tells it from emphasis."""
    while start < end and source[start] in _EDGES and source[start : start + 2] != "* ":
        start += 1
    while end > start and source[end - 1] in _EDGES:
        end -= 1
    return start, end


def _sentences(source: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    begin = start
    for found in _END.finditer(source, start, end):
        stop = found.end()
        following = stop
        while following < end and source[following].isspace():
            following += 1
        tail = source[max(begin, stop - 16) : stop].rstrip("\"'”’)*]")
        if (following < end and source[following].islower()) or _ABBREVIATION.search(tail):
            continue
        yield from _short(source, begin, stop)
        begin = following
    if source[begin:end].strip():
        yield from _short(source, begin, end)


def _short(source: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while end - start > MAX_RAW_CHARS:
        window = source[start : start + MAX_RAW_CHARS]
        cut = max(window.rfind(sign, MAX_RAW_CHARS // 3) for sign in ("; ", ", ", "，", "、"))
        cut = cut if cut > 0 else window.rfind(" ", MAX_RAW_CHARS // 3)
        middle = start + (cut + 1 if cut > 0 else MAX_RAW_CHARS)
        yield start, middle
        start = middle
        while start < end and source[start].isspace():
            start += 1
    if end > start:
        yield start, end
