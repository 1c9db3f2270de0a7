"""A card's JSON: strict reading, exact writing, and its fields by name. Knows nothing of files or of sheets.

V1 is one flat object; V2 and V3 hold their fields in `data`. Every key that is not looked at here is kept as it is.
"""

from __future__ import annotations

import copy
import json
import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from npc_engine.errors import CardInvalid, CardSyntax, CardTooLarge, CardUnknown

Version = Literal["v1", "v2", "v3"]
FieldPath = tuple[str | int, ...]

MAX_JSON_BYTES = 2_000_000
MAX_DEPTH = 64
V1_FIELDS = ("name", "description", "personality", "scenario", "first_mes", "mes_example")
SPECS: dict[Version, tuple[str, str]] = {"v2": ("chara_card_v2", "2.0"), "v3": ("chara_card_v3", "3.0")}
BOOK = "character_book"

_UTF16 = (b"\xff\xfe", b"\xfe\xff")
# What YAML or UTF-8 does not carry; in JSON these stand only inside strings, so an escape is the same data.
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


@dataclass(frozen=True)
class Card:
    """A card's whole JSON document.

    Attributes:
        document: The parsed object, unknown keys and all.
        version: Which published format it follows.
        warnings: What a reader of this version should know.
    """

    document: dict[str, Any]
    version: Version
    warnings: tuple[str, ...] = ()

    @property
    def data(self) -> dict[str, Any]:
        """The object that holds the fields: the document itself in V1."""
        data: dict[str, Any] = self.document if self.version == "v1" else self.document["data"]
        return data

    def text(self, name: str) -> str:
        """A text field; empty where it is missing or null."""
        return self.data.get(name) or ""

    def entries(self) -> list[tuple[FieldPath, dict[str, Any]]]:
        """The lorebook's entries with their places in `data`; a null or missing book has none."""
        entries = (self.data.get(BOOK) or {}).get("entries") or []
        keyed = entries.items() if isinstance(entries, dict) else enumerate(entries)
        return [((BOOK, "entries", key), entry) for key, entry in keyed]

    def copied(self) -> Card:
        """The same card with a document of its own."""
        return replace(self, document=copy.deepcopy(self.document))


def parse_json(raw: bytes, *, path: Path | str) -> Any:
    """Parse JSON as the RFC has it: UTF-8, each key once, no NaN.

    Raises:
        CardTooLarge: Over MAX_JSON_BYTES, or nested deeper than MAX_DEPTH.
        CardSyntax: Anything else that is wrong, with line and column where they are known.
    """
    if len(raw) > MAX_JSON_BYTES:
        raise CardTooLarge(
            f"{len(raw):,} bytes of JSON, at most {MAX_JSON_BYTES:,} are read",
            path=path,
            hint="take embedded pictures (data: addresses in `assets`) out of the card",
        )
    if raw.startswith(_UTF16):
        raise CardSyntax("the JSON is UTF-16", path=path, hint="save it as UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise CardSyntax("the JSON is not UTF-8 text", path=path, line=line, hint="save it as UTF-8") from error
    try:
        data = json.loads(
            text,
            object_pairs_hook=lambda pairs: _object(pairs, path),
            parse_constant=lambda name: _no_number(name, path),
            parse_float=lambda number: _float(number, path),
        )
    except json.JSONDecodeError as error:
        raise CardSyntax(
            f"not JSON: {error.msg}",
            path=path,
            line=error.lineno,
            column=error.colno,
            hint="see this line and the one above it: a comma, a quote or a bracket",
        ) from error
    except RecursionError as error:
        raise _too_deep(path) from error
    except ValueError as error:  # a whole number of thousands of digits
        raise CardSyntax("a number of thousands of digits", path=path, hint="put it in quotes") from error
    if _depth_exceeds(data, MAX_DEPTH):
        raise _too_deep(path)
    return data


def json_text(data: Any, *, indent: int | None = None) -> str:
    """JSON text that parses to equal data, with every character such that UTF-8 and YAML carry it."""
    text = json.dumps(data, ensure_ascii=False, indent=indent, allow_nan=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def card_of(document: Any, *, path: Path | str) -> Card:
    """The card that a parsed document is, with every field that the mapping reads checked.

    Raises:
        CardUnknown: It is no character card.
        CardInvalid: A field is missing or of a wrong type; `key` says which.
    """
    if not isinstance(document, dict):
        raise CardUnknown("the JSON is not an object", path=path, hint="a card is { … } with a name and a description")
    card = _versioned(document, path)
    prefix = "" if card.version == "v1" else "data."
    for name in (*V1_FIELDS, "nickname"):
        value = card.data.get(name)
        if value is not None and not isinstance(value, str):
            raise _wrong(f"{prefix}{name}", "text", value, path)
    _check_book(card, prefix, path)
    return card


def _versioned(document: dict[str, Any], path: Path | str) -> Card:
    spec = document.get("spec")
    if spec == "lorebook_v3":
        raise CardUnknown(
            "a lorebook without a character", path=path, hint="put it into a card as `data.character_book`"
        )
    data = document.get("data")
    known: dict[Any, Version] = {name: version for version, (name, _) in SPECS.items()}
    if isinstance(spec, str) and spec in known:
        if not isinstance(data, dict):
            raise _wrong("data", "an object with the card's fields", data, path)
        return Card(document, known[spec], _newer(known[spec], document.get("spec_version")))
    if spec is not None:
        raise CardUnknown(
            f"the spec {str(spec)[:60]!r} is not known",
            path=path,
            hint=f"known are {', '.join(known)} and no spec (V1)",
        )
    if isinstance(data, dict) and set(V1_FIELDS) & set(data):
        return Card(document, "v2", ("no `spec`: read as V2",))
    if not set(V1_FIELDS) & set(document):
        raise CardUnknown(
            "no field of a character card",
            path=path,
            hint="a card has name, description, personality, scenario, first_mes, mes_example",
        )
    return Card(document, "v1")


def _newer(version: Version, given: Any) -> tuple[str, ...]:
    try:
        number = float(given)
    except (TypeError, ValueError):
        return (f"`spec_version` is {str(given)[:20]!r}: read as {SPECS[version][1]}",)
    newer = number > float(SPECS[version][1])
    return (f"`spec_version` {given} is newer than {SPECS[version][1]}: what is new in it is kept, not read",) * newer


def _check_book(card: Card, prefix: str, path: Path | str) -> None:
    book = card.data.get(BOOK)
    if book is None:
        return
    key = f"{prefix}{BOOK}"
    if not isinstance(book, dict):
        raise _wrong(key, "an object", book, path)
    entries = book.get("entries")
    if entries is not None and not isinstance(entries, (list, dict)):
        raise _wrong(f"{key}.entries", "a list", entries, path)
    for (*_, place), entry in card.entries():
        at = f"{key}.entries[{place}]"
        if not isinstance(entry, dict):
            raise _wrong(at, "an object", entry, path)
        if not isinstance(entry.get("content"), (str, type(None))):
            raise _wrong(f"{at}.content", "text", entry["content"], path)
        for name in ("keys", "secondary_keys", "key", "keysecondary"):
            value = entry.get(name)
            if not isinstance(value, (str, list, type(None))):
                raise _wrong(f"{at}.{name}", "a list of texts", value, path)
            for index, one in enumerate(value if isinstance(value, list) else ()):
                if not isinstance(one, (str, int, float)):
                    raise _wrong(f"{at}.{name}[{index}]", "text", one, path)


def _wrong(key: str, wanted: str, value: Any, path: Path | str) -> CardInvalid:
    kinds = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    found = "nothing" if value is None else kinds[type(value)]
    return CardInvalid(
        f"expected {wanted}, found {found}", path=path, key=key, hint="correct it in the tool it is from"
    )


def _object(pairs: list[tuple[str, Any]], path: Path | str) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise CardSyntax(f"the key {twice[:60]!r} stands twice in one object", path=path, hint="remove one of the two")
    return found


def _no_number(name: str, path: Path | str) -> Any:
    raise CardSyntax(f"{name} is no number of JSON", path=path, hint="write a number, or null")


def _float(number: str, path: Path | str) -> float:
    value = float(number)
    if math.isinf(value):
        raise CardSyntax(f"the number {number[:20]} is out of range", path=path, hint="put it in quotes")
    return value


def _too_deep(path: Path | str) -> CardTooLarge:
    return CardTooLarge(
        f"nested deeper than {MAX_DEPTH}", path=path, hint="no card needs that: the file is damaged, or not a card"
    )


def _depth_exceeds(data: Any, limit: int) -> bool:
    level = [data]
    for _ in range(limit + 1):
        level = [
            inner
            for value in level
            if isinstance(value, (dict, list))
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return False
    return True
