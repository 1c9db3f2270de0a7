"""What a sheet keeps of the card it was made from, in `extensions.character_card`, and a card of its sheet.

    character_card: {mapping: 1, name: Mira, card: "{ … }"}        in a sheet: the card's JSON as a text
    npc_engine: {mapping: 1, digest: "…", sheet: { … }}            in a card's extensions: a sheet that says more

The card's JSON is a text so that no limit of YAML touches it. The sheet inside a card counts only while `digest` is
that of the texts that a sheet is made of: a card whose texts were changed in another program is read from them.
"""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from npc_engine.errors import CardInvalid, SheetError
from npc_engine.sheets.cards.json_fields import BOOK, V1_FIELDS, Card, Version, card_of, json_text, parse_json
from npc_engine.sheets.cards.mapping import MAPPING_VERSION
from npc_engine.sheets.cards.sheet_text import Block
from npc_engine.sheets.schema import CharacterSheet

IN_SHEET = "character_card"
IN_CARD = "npc_engine"
# What a sheet is made of; everything else in a card is carried along.
MAPPED = (*V1_FIELDS, "nickname", BOOK)
_EMPTY: tuple[Any, ...] = (None, "", [], {})
# Longer ones are kept on one line: nobody reads them there, and the sheet has a limit.
READABLE_CHARS = 50_000
_HINT = "import the card again, and bring your changes over"


@dataclass(frozen=True)
class Kept:
    """The card a sheet was made from.

    Attributes:
        card: The card, as it was imported.
        name: The name it was imported under.
    """

    card: Card
    name: str


def keep(card: Card, name: str) -> dict[str, Any]:
    """The value of `extensions.character_card`."""
    text = json_text(card.document)
    if len(text) <= READABLE_CHARS:
        text = json_text(card.document, indent=1)
    return {"mapping": MAPPING_VERSION, "name": name, "card": Block(text)}


def kept_in(sheet: CharacterSheet, *, path: str) -> Kept | None:
    """The card that a sheet keeps; None for a sheet that never was one.

    Raises:
        CardInvalid: The kept card was damaged, or was read by rules that this version does not have.
    """
    value = sheet.extensions.get(IN_SHEET)
    if value is None:
        return None
    key = f"extensions.{IN_SHEET}"
    if not isinstance(value, dict) or not isinstance(value.get("card"), str) or not isinstance(value.get("name"), str):
        raise CardInvalid("the kept card is damaged: it has `mapping`, `name`, `card`", path=path, key=key, hint=_HINT)
    if value.get("mapping") != MAPPING_VERSION:
        raise CardInvalid(
            f"imported by rules {value.get('mapping')!r}, this version has {MAPPING_VERSION}",
            path=path,
            key=f"{key}.mapping",
            hint=_HINT,
        )
    try:
        card = card_of(parse_json(value["card"].encode("utf-8"), path=""), path="")
    except SheetError as error:
        raise CardInvalid(
            f"the kept card does not read: {error.message}", path=path, key=f"{key}.card", hint=_HINT
        ) from error
    return Kept(card, value["name"])


def plain_sheet(sheet: CharacterSheet) -> dict[str, Any]:
    """Everything the sheet says as plain data, its lore merged in, defaults left out."""
    data: dict[str, Any] = sheet.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    data.pop("knowledge", None)
    return {"schema": sheet.schema_} | data


def with_sheet(document: dict[str, Any], version: Version, sheet: CharacterSheet) -> dict[str, Any]:
    """A copy of a V2 or V3 card that carries the whole sheet."""
    found = without_sheet(document, version)
    extensions = found["data"].setdefault("extensions", {})
    extensions[IN_CARD] = {"mapping": MAPPING_VERSION, "digest": digest(found, version), "sheet": plain_sheet(sheet)}
    return found


def without_sheet(document: dict[str, Any], version: Version) -> dict[str, Any]:
    """A copy of a card without a sheet in it."""
    found = copy.deepcopy(document)
    data = found if version == "v1" else found["data"]
    if version != "v1" and not isinstance(data.get("extensions"), dict):
        data["extensions"] = {}
    if isinstance(data.get("extensions"), dict):
        data["extensions"].pop(IN_CARD, None)
    return found


def sheet_in(card: Card) -> tuple[CharacterSheet | None, str]:
    """The sheet that a card carries, if it may be used, and else, where there is one, why not."""
    extensions = card.data.get("extensions")
    value = extensions.get(IN_CARD) if isinstance(extensions, dict) else None
    if value is None:
        return None, ""
    if not isinstance(value, dict) or value.get("mapping") != MAPPING_VERSION:
        return None, "the card carries a sheet of another version of this engine; read from the card's own fields"
    if value.get("digest") != digest(without_sheet(card.document, card.version), card.version):
        return None, "the card carries a sheet but was changed since; read from the card's own fields"
    try:
        return CharacterSheet.model_validate(value.get("sheet")), ""
    except ValidationError:
        return None, "the card carries a sheet that does not validate; read from the card's own fields"


def digest(document: dict[str, Any], version: Version) -> str:
    """SHA-256 of the texts that a sheet is made of, hex digits; empty ones do not count."""
    data = document if version == "v1" else document["data"]
    mapped = {name: data[name] for name in MAPPED if data.get(name) not in _EMPTY}
    return hashlib.sha256(json.dumps(mapped, sort_keys=True).encode("ascii")).hexdigest()


def kept_beside(carried: CharacterSheet, card: Card, *, path: str) -> tuple[Kept | None, list[str]]:
    """The card that a carried sheet keeps, with what other programs have written into the card since.

    Args:
        carried: The sheet in the card.
        card: The card; its texts are as they were when the sheet was put into it.
        path: The card's file, for errors.

    Returns:
        The card to keep, or None where there is nothing but the sheet; and the names of what cannot be kept, since the
        card has become one of another version.
    """
    kept = kept_in(carried, path=path)
    bare = without_sheet(card.document, card.version)
    data = bare if card.version == "v1" else bare["data"]
    rest = {name: value for name, value in data.items() if name not in MAPPED}
    if kept is None:
        if all(value in _EMPTY for value in rest.values()):
            return None, []
        for name in MAPPED:
            data.pop(name, None)
        data |= dict.fromkeys(V1_FIELDS, "")
        return Kept(Card(bare, card.version), carried.identity.name), []
    if kept.card.version != card.version:
        was = kept.card.data
        return kept, sorted(name for name, value in rest.items() if value not in _EMPTY and value != was.get(name))
    updated = kept.card.copied()
    if not rest.get("extensions") and not isinstance(updated.data.get("extensions"), dict):
        rest.pop("extensions", None)
    beside = {name: value for name, value in bare.items() if name not in (*MAPPED, "data")}
    for target, source in ((updated.document, beside), (updated.data, rest)):
        target |= {name: value for name, value in source.items() if value not in _EMPTY or name in target}
    return Kept(updated, kept.name), []
