"""Make a card of a sheet: the card it was imported from with the writer's changes, or a new one.

A sheet that was not changed gives its card's data back, every unknown key included. One that was, or that never was a
card, also travels whole in the card's `extensions`, so that importing the card gives the same sheet.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from npc_engine.errors import CardNotFound, CardTooLarge
from npc_engine.sheets.cards.charx import read_assets, write_charx
from npc_engine.sheets.cards.edits import carry_edits
from npc_engine.sheets.cards.json_fields import SPECS, V1_FIELDS, Card, Version, json_text
from npc_engine.sheets.cards.kept import IN_SHEET, kept_in, plain_sheet, with_sheet
from npc_engine.sheets.cards.lorebook import without_decorators
from npc_engine.sheets.cards.mapping import Mapping, Report, map_card
from npc_engine.sheets.cards.png import MAX_PNG_BYTES, placeholder, with_texts
from npc_engine.sheets.schema import CharacterSheet

Format = Literal["v1", "v2", "v3", "png", "charx"]
SUFFIXES: dict[Format, str] = {"v1": ".json", "v2": ".json", "v3": ".json", "png": ".png", "charx": ".charx"}

# The note that the V3 specification asks for in a V2 copy beside a V3 card.
_BACKFILL_NOTE = (
    "This character card is Character Card V3, but it is loaded as a Character Card V2. Please use a Character Card V3 "
    "compatible application to use this character card properly.\n"
)
_EMBEDDED = "embeded://"  # the specification's own spelling
_ICON = "assets/icon/images/main.png"
_DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(V1_FIELDS, ""),
    "creator_notes": "",
    "system_prompt": "",
    "post_history_instructions": "",
    "alternate_greetings": [],
    "tags": [],
    "creator": "",
    "character_version": "",
    "extensions": {},
}


@dataclass(frozen=True)
class Exported:
    """A card's file.

    Attributes:
        raw: Its bytes.
        report: What the writer should know.
    """

    raw: bytes
    report: Report


def export_card(sheet: CharacterSheet, form: Format, *, path: str, image: Path | None = None) -> Exported:
    """A card of a sheet.

    Args:
        sheet: The sheet, as loaded.
        form: What to write.
        path: The sheet's file, for errors.
        image: For `png` the picture; for `charx` a picture, or an archive whose assets are taken over.

    Raises:
        CardInvalid: The card that the sheet keeps was damaged.
        CardNotFound: No such image.
        CardPng: The image is no sound PNG.
        CardZip: The archive is damaged or unsafe.
        CardTooLarge: The image is over a limit.
    """
    report = Report()
    card, is_changed = _card(sheet, path)
    # V1 has no place for a changed sheet; V2 is the oldest that has.
    newer: Version = "v2" if is_changed and card.version == "v1" else card.version
    versions: dict[Format, Version] = {"v1": "v1", "v2": "v2", "v3": "v3", "png": newer, "charx": "v3"}
    version = versions[form]
    document = _converted(card, version, report)
    _say(sheet, version, is_changed, report)
    if form == "charx":
        return Exported(_charx(document, sheet if is_changed else None, image, report), report)
    if is_changed and version != "v1":
        document = with_sheet(document, version, sheet)
    if form != "png":
        return Exported(json_text(document, indent=2).encode("utf-8") + b"\n", report)
    texts = {"chara": json_text(document).encode("utf-8")}
    if version == "v3":
        texts = {"ccv3": texts["chara"], "chara": json_text(_backfill(document)).encode("utf-8")}
    if image is None:
        report.look.append("no --image was given: the picture is a plain grey one")
    picture = placeholder() if image is None else _read_image(image)
    return Exported(with_texts(picture, texts, path=image or path), report)


def _card(sheet: CharacterSheet, path: str) -> tuple[Card, bool]:
    """The card with the sheet's changes, and whether there are any."""
    kept = kept_in(sheet, path=path)
    if kept is None:
        document = {"spec": SPECS["v3"][0], "spec_version": SPECS["v3"][1]}
        blank = Card(document | {"data": copy.deepcopy(_DEFAULTS) | {"group_only_greetings": []}}, "v3")
        return carry_edits(blank, _nothing(), sheet), True
    card = kept.card
    if kept.name != card.text("name"):
        card = card.copied()
        card.data["name"] = kept.name
    base = map_card(card, name=kept.name, path=path)
    before = CharacterSheet.model_validate(base.sheet)
    if _said(sheet) == _said(before):
        return card, False
    return carry_edits(card, base, sheet), True


def _said(sheet: CharacterSheet) -> dict[str, Any]:
    data = plain_sheet(sheet)
    extensions = {key: value for key, value in data.pop("extensions", {}).items() if key != IN_SHEET}
    return data | {"extensions": extensions}


def _nothing() -> Mapping:
    texts = dict.fromkeys(("name", "role", "social", "personal", "context"), "")
    sheet: dict[str, Any] = {"identity": texts, "voice": {"register": ""}, "greeting": "", "facts": []}
    return Mapping(sheet=sheet, identity={}, facts={}, entries={}, examples=(), report=Report())


def _say(sheet: CharacterSheet, version: Version, is_changed: bool, report: Report) -> None:
    conditional = sum(fact.when is not None for fact in sheet.facts)
    if is_changed and version == "v1":
        report.look.append("V1 has no place for conditions, actions, fallbacks and tags: they are not in the card")
    elif is_changed:
        report.went.append("the whole sheet -> extensions.npc_engine, so that importing the card gives it back")
        if conditional:
            report.kept.append(
                f"{conditional} facts with a condition are only there: other programs have none, but people can read it"
            )


def _converted(card: Card, version: Version, report: Report) -> dict[str, Any]:
    """The card's document in another version; the document itself in its own."""
    if card.version == version:
        return card.document
    if version == "v1":
        left_out = [
            name for name, value in card.data.items() if name not in V1_FIELDS and value not in (None, "", [], {})
        ]
        if left_out:
            report.look.append(f"V1 has no place for {', '.join(sorted(left_out))}: not in the card")
        return {name: card.text(name) for name in V1_FIELDS}
    spec, number = SPECS[version]
    source = card.copied()
    beside = {key: value for key, value in source.document.items() if key not in ("spec", "spec_version", "data")}
    if card.version == "v1":
        beside = {key: value for key, value in beside.items() if key not in V1_FIELDS}
    known = {key: value for key, value in source.data.items() if key not in beside or card.version != "v1"}
    data = copy.deepcopy(_DEFAULTS) | {key: value for key, value in known.items() if value is not None}
    document = {"spec": spec, "spec_version": number, "data": data, **beside}
    entries = Card(document, version).entries()
    if version == "v3":
        data.setdefault("group_only_greetings", [])
        for _, entry in entries:
            entry.setdefault("use_regex", False)
    elif card.version == "v3":
        decorated = 0
        for _, entry in entries:
            text = entry.get("content") or ""
            entry["content"] = without_decorators(text)
            decorated += entry["content"] != text
        if decorated:
            report.look.append(
                f"V2 has no decorators: the @@ lines of {decorated} lorebook entries are not in the card"
            )
    return document


def _backfill(document: dict[str, Any]) -> dict[str, Any]:
    """The V2 copy that older programs read in a V3 picture."""
    found = _converted(Card(document, "v3"), "v2", Report())
    notes = found["data"].get("creator_notes")
    found["data"]["creator_notes"] = _BACKFILL_NOTE + (notes if isinstance(notes, str) else "")
    return found


def _charx(document: dict[str, Any], sheet: CharacterSheet | None, image: Path | None, report: Report) -> bytes:
    assets: dict[str, bytes] = {}
    if image is not None and image.suffix.lower() in (".charx", ".zip"):
        assets = read_assets(image)
    elif image is not None:
        assets = {_ICON: with_texts(_read_image(image), {}, path=image)}
        document = copy.deepcopy(document)
        listed = document["data"].get("assets")
        icon = {"type": "icon", "uri": _EMBEDDED + _ICON, "name": "main", "ext": "png"}
        others = [one for one in listed if not _is_main_icon(one)] if isinstance(listed, list) else []
        document["data"]["assets"] = [icon, *others]
    missing = [uri for uri in _embedded(document) if uri.removeprefix(_EMBEDDED) not in assets]
    if missing:
        report.look.append(
            f"{len(missing)} assets that the card names are not in the archive; give the original: --image old.charx"
        )
    if sheet is not None:
        document = with_sheet(document, "v3", sheet)
    return write_charx(json_text(document, indent=2).encode("utf-8"), assets)


def _embedded(document: dict[str, Any]) -> list[str]:
    listed = document["data"].get("assets")
    uris = [one.get("uri") for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return [uri for uri in uris if isinstance(uri, str) and uri.startswith(_EMBEDDED)]


def _is_main_icon(asset: Any) -> bool:
    return isinstance(asset, dict) and asset.get("type") == "icon" and asset.get("name") == "main"


def _read_image(path: Path) -> bytes:
    try:
        if (size := path.stat().st_size) > MAX_PNG_BYTES:
            raise CardTooLarge(f"{size:,} bytes, at most {MAX_PNG_BYTES:,} are read", path=path, hint="make it smaller")
        return path.read_bytes()
    except OSError as error:
        raise CardNotFound(error.strerror or str(error), path=path, hint="give the path of a PNG picture") from error
