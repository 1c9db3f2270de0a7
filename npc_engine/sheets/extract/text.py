"""A text file as sentences, each with its file, line and characters; lines that were only wrapped are joined."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from npc_engine.errors import TextUnreadable

# A whole novel has less; what is longer is no text about one character.
MAX_TEXT_BYTES = 5_000_000
# Words of a quotation from which it is somebody's speech and not a title or a word in marks.
SPEECH_WORDS = 4
# The lines of a wrapped paragraph are about so long; a shorter one ends it, a longer one is a paragraph of its own.
MIN_WRAPPED_CHARS, MAX_WRAPPED_CHARS = 45, 100

_HEADING = re.compile(r"(?:#{1,6}\s|=+[^=\n]+=+\s*$)")
_BULLET = re.compile(r"(?:[-•*+]|\d{1,3}[.)])\s+")
_ATTRIBUTE = re.compile(r"(?P<key>[A-Z][\w '/&-]{0,29}?)[ \t]*[:=][ \t]+(?P<value>\S.*)", re.DOTALL)
_END = re.compile(r"[.!?…]{1,3}[\"'”’)\]]{0,3}(?:\[\w{1,3}\])*(?=\s|$)")
_ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|St|Prof|Sgt|Capt|Jr|Sr|vs|No|c|ca|b|d|fl|e\.g|i\.e|a\.k\.a)|(?<![\w])[A-Z])\.$"
)
# These end a sentence as often as not: what follows decides.
_SUFFIX = re.compile(r"\b(?:Jr|Sr)\.$")
_STARTS_SENTENCE = re.compile(r"(?:He|She|It|They|The|This|In|On|At|As|His|Her|A|An|After|During|By)\b")
_QUOTED = re.compile(r"“[^”\n]*”|\"[^\"\n]*\"")


@dataclass(frozen=True, kw_only=True)
class Position:
    """Where a text stands.

    Attributes:
        path: The file, as it was given.
        line: 1-based line of its first character.
        start: 0-based character in the file, line ends as one character.
        end: The character after its last.
    """

    path: Path
    line: int
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.path.name}:{self.line}, characters {self.start}-{self.end}"


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """One sentence of a text.

    Attributes:
        text: The sentence on one line, reference marks and what stands in parentheses left out.
        position: Where it stands.
        paragraph: Counts up through the text.
        chapter: Which of the given texts it is from, counted from 0.
        key: The name of the attribute that it is the value of, or the first sentence of: `Age` of `Age: 34`.
        is_speech: Whether it holds what somebody says aloud.
    """

    text: str
    position: Position
    paragraph: int
    chapter: int
    key: str = ""
    is_speech: bool = False


@dataclass(frozen=True, kw_only=True)
class Text:
    """A text with its headings and sentences in order."""

    path: Path
    headings: tuple[str, ...]
    sentences: tuple[Sentence, ...]


def read_text(path: Path, *, chapter: int = 0) -> Text:
    """Read a text file.

    Raises:
        TextUnreadable: It is missing, cannot be read, is too large, is no UTF-8 text, or holds no sentence.
    """
    try:
        raw = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise TextUnreadable(reason, path=path, hint="name a text file") from error
    if len(raw) > MAX_TEXT_BYTES:
        raise TextUnreadable(
            f"{len(raw):,} bytes, at most {MAX_TEXT_BYTES:,}", path=path, hint="give the chapters that matter"
        )
    try:
        source = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise TextUnreadable(f"not UTF-8 at byte {error.start}", path=path, hint="save it as UTF-8 text") from error
    if "\0" in source:
        raise TextUnreadable("not a text", path=path, hint="name a text file: .txt or .md")
    text = _cut(source, path, chapter)
    if not text.sentences:
        raise TextUnreadable("no sentence in it", path=path, hint="name a text about the character")
    return text


def _cut(source: str, path: Path, chapter: int) -> Text:
    headings: list[str] = []
    sentences: list[Sentence] = []
    for number, (start, end) in enumerate(_blocks(source)):
        block = source[start:end]
        if _HEADING.match(block):
            headings.append(block.strip("#= \t\n"))
            continue
        lead = _BULLET.match(block)
        begin = start + (lead.end() if lead else 0)
        key = ""
        if (found := _ATTRIBUTE.fullmatch(source, begin, end)) and len(found["key"].split()) <= 4:
            key, begin = found["key"].strip(), found.start("value")
        speech = [(each.start(), each.end()) for each in _QUOTED.finditer(source, begin, end) if _is_speech(each[0])]
        for first, last in _sentences(source, begin, end):
            shown = _plain(source[first:last])
            if not re.search(r"[^\W\d_]", shown) and not (key and shown):
                continue
            position = Position(path=path, line=source.count("\n", 0, first) + 1, start=first, end=last)
            is_speech = any(a < last and first < b for a, b in speech)
            sentences.append(
                Sentence(text=shown, position=position, paragraph=number, chapter=chapter, key=key, is_speech=is_speech)
            )
            key = ""
    return Text(path=path, headings=tuple(headings), sentences=tuple(sentences))


def _blocks(source: str) -> Iterator[tuple[int, int]]:
    """Paragraphs, list entries, attributes and headings: lines, joined where one only goes on."""
    start = end = -1
    for line in re.finditer(r"[^\n]*\n?", source):
        text = line[0].rstrip("\n")
        if not text.strip():
            if start >= 0:
                yield start, end
            start = -1
            continue
        goes_on = start >= 0 and not _begins_anew(text) and not _HEADING.match(source, start, end)
        # A short line is a heading or a verse; one that ends a sentence may end its paragraph.
        goes_on = goes_on and len(source[start:end].rsplit("\n", 1)[-1]) >= MIN_WRAPPED_CHARS
        goes_on = goes_on and not re.search(r"[.!?…:][\"”’)\]]*$", source[start:end].rstrip())
        if goes_on or (start >= 0 and _is_wrapped(source[start:end], text)):
            end = line.start() + len(text)
            continue
        if start >= 0:
            yield start, end
        start, end = line.start(), line.start() + len(text)
    if start >= 0:
        yield start, end


def _begins_anew(line: str) -> bool:
    return bool(_HEADING.match(line) or _BULLET.match(line) or _ATTRIBUTE.match(line))


def _is_wrapped(before: str, line: str) -> bool:
    """Whether a line goes on a paragraph of wrapped lines that happened to break at the end of a sentence."""
    lines = before.split("\n")
    return (
        not _begins_anew(line)
        and not _begins_anew(before)
        and MIN_WRAPPED_CHARS <= len(lines[-1]) <= MAX_WRAPPED_CHARS >= len(line)
    )


def _sentences(source: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    begin = start
    for found in _END.finditer(source, start, end):
        following = found.end()
        while following < end and source[following].isspace():
            following += 1
        tail = source[max(begin, found.end() - 16) : found.end()].rstrip("\"'”’)]")
        if following < end and source[following].islower():
            continue
        is_open = following < end and _ABBREVIATION.search(tail)
        if is_open and not (_SUFFIX.search(tail) and _STARTS_SENTENCE.match(source, following)):
            continue
        yield begin, found.end()
        begin = following
    if source[begin:end].strip():
        yield begin, end


def _plain(text: str) -> str:
    """On one line, without reference marks, emphasis and parentheses."""
    text = re.sub(r"\[[^\[\]]{0,40}\]|\*+|(?<!\w)_+|_+(?!\w)", "", text)
    for _ in range(2):  # parentheses within parentheses
        text = re.sub(r"\s*\([^()]{0,400}\)", "", text)
    text = re.sub(r"(?<=\w)\s?—\s?(?=\w)", " — ", text)
    return re.sub(r"\s+([,.;])", r"\1", " ".join(text.split()))


def _is_speech(quoted: str) -> bool:
    return len(quoted.split()) >= SPEECH_WORDS or bool(re.search(r"[.,!?…]\W?$", quoted))
