"""Lorebook entries as the mapping sees them: keys as words, decorators apart from content, regular expressions checked.

A key that is a regular expression is compiled by RE2, which runs in linear time, to see that it is one; it is never
run: what it spells out becomes search words. Knows nothing of sheets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import re2

from npc_engine.sheets.cards.json_fields import FieldPath
from npc_engine.sheets.cards.macros import plain
from npc_engine.sheets.fields import MAX_NAME_CHARS

_DECORATOR = re.compile(r"@@@?\w+.*")
_SLASHED = re.compile(r"/(?P<pattern>.+)/[a-z]*", re.DOTALL)
_WORD = re.compile(r"[^\W\d_]{3,}")
# Classes, counts and escapes of a pattern are no words of it.
_SYNTAX = re.compile(r"\\[A-Za-z]|\[[^\]]*\]|\{[\d,]*\}|\(\?[^):]*:?")
MAX_PATTERN_CHARS = 2_000
# Of a key or a title no more is read: a tag has 60 characters.
MAX_TITLE_CHARS = 300


@dataclass(frozen=True)
class Entry:
    """One entry.

    Attributes:
        place: Where it stands in the card's data.
        title: Its name, comment or first key, for people.
        keys: What is searched for; words, never patterns.
        texts: The key as the card has it, by each of `keys` that is one as it stands.
        content: What it says, behind its decorators.
        offset: Where that begins in the entry's own `content`.
        decorators: The lines before that, as they stand.
        is_enabled: Whether other programs use it.
        is_constant: Whether they always insert it.
        bad_patterns: Keys that RE2 does not accept.
        has_patterns: Whether a key is a pattern.
    """

    place: FieldPath
    title: str
    keys: tuple[str, ...]
    texts: dict[str, str]
    content: str
    offset: int
    decorators: tuple[str, ...]
    is_enabled: bool
    is_constant: bool
    bad_patterns: tuple[str, ...]
    has_patterns: bool


def read_entry(place: FieldPath, raw: dict[str, Any], *, name: str) -> Entry:
    """An entry's parts.

    Args:
        place: Where it stands in the card's data.
        raw: The entry; its content and keys have been checked to be text.
        name: What `{{char}}` stands for.
    """
    text = raw.get("content") or ""
    decorators, offset = _decorators(text)
    given = [*_listed(raw.get("keys", raw.get("key"))), *_listed(raw.get("secondary_keys", raw.get("keysecondary")))]
    words: dict[str, str] = {}
    bad: list[str] = []
    has_patterns = False
    for key in given:
        slashed = _SLASHED.fullmatch(key.strip())
        if slashed or raw.get("use_regex") is True:
            has_patterns = True
            pattern = slashed["pattern"] if slashed else key
            if not is_pattern(pattern):
                bad.append(key)
            for word in _WORD.findall(_SYNTAX.sub(" ", pattern[:MAX_PATTERN_CHARS])):
                words.setdefault(word[:MAX_NAME_CHARS], "")
        elif shown := plain(key[:MAX_TITLE_CHARS], name=name)[:MAX_NAME_CHARS].strip():
            words.setdefault(shown, key)
    title = next(
        (str(one) for one in (raw.get("name"), raw.get("comment"), *given) if isinstance(one, str) and one), ""
    )
    return Entry(
        place=place,
        title=plain(title[:MAX_TITLE_CHARS], name=name),
        keys=tuple(words),
        texts={word: key for word, key in words.items() if key},
        content=text[offset:],
        offset=offset,
        decorators=decorators,
        is_enabled=raw.get("enabled") is not False and raw.get("disable") is not True,
        is_constant=raw.get("constant") is True,
        bad_patterns=tuple(bad),
        has_patterns=has_patterns,
    )


def without_decorators(text: str) -> str:
    """An entry's content as a V2 program may show it."""
    return text[_decorators(text)[1] :]


def is_pattern(pattern: str) -> bool:
    """Whether RE2 accepts it; lookaround, back-references and endless patterns it does not."""
    if len(pattern) > MAX_PATTERN_CHARS:
        return False
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    try:
        re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError):
        return False
    return True


def _decorators(text: str) -> tuple[tuple[str, ...], int]:
    lines: list[str] = []
    offset = 0
    for line in text.splitlines(keepends=True):
        if not _DECORATOR.fullmatch(line.strip()):
            break
        lines.append(line.strip())
        offset += len(line)
    return tuple(lines), offset


def _listed(value: Iterable[Any] | str | None) -> list[str]:
    """Keys as a list: some programs write one text with commas."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [str(part) for part in value or ()]
