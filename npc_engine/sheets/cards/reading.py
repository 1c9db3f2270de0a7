"""Read a card's file, whatever it is in, and make a sheet of it. Nothing is written, unpacked or fetched here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from npc_engine.errors import CardNameless, CardNotFound, CardPng, CardTooLarge, CardUnknown, CardZip
from npc_engine.sheets.cards.charx import MAX_ARCHIVE_BYTES, read_charx
from npc_engine.sheets.cards.json_fields import MAX_JSON_BYTES, Card, card_of, parse_json
from npc_engine.sheets.cards.kept import IN_SHEET, keep, kept_beside, plain_sheet, sheet_in
from npc_engine.sheets.cards.macros import plain
from npc_engine.sheets.cards.mapping import Report, describe, map_card
from npc_engine.sheets.cards.png import MAX_PNG_BYTES, SIGNATURE, card_text
from npc_engine.sheets.cards.sheet_text import sheet_yaml
from npc_engine.sheets.yaml_reader import MAX_FILE_BYTES

_ZIP = b"PK\x03\x04"
_PICTURES = {b"\xff\xd8\xff": "JPEG", b"GIF8": "GIF", b"RIFF": "WebP", b"BM": "BMP"}


@dataclass(frozen=True)
class Imported:
    """A card made into a sheet.

    Attributes:
        id: The sheet's id.
        text: The sheet's YAML.
        report: What became of the card.
    """

    id: str
    text: str
    report: Report


def import_card(path: Path, *, name: str = "") -> Imported:
    """The sheet that a card's file is.

    Args:
        path: A JSON, PNG, APNG or CHARX file.
        name: The character's name, in place of the card's; empty takes the card's.

    Raises:
        CardNotFound: No such file.
        CardUnknown: The file holds no character card.
        CardSyntax: Its JSON cannot be read.
        CardPng: The PNG is damaged.
        CardZip: The archive is damaged, encrypted or unsafe.
        CardInvalid: A field is missing or of a wrong type.
        CardTooLarge: The card, or its sheet, is over a limit.
        CardNameless: The card has no name, and none was given.
    """
    card = read_card(path)
    called = name.strip() or card.text("name")
    if not plain(called, name=""):
        raise CardNameless("the card's name is empty", path=path, key="name", hint="give one: --name 'Mira Oss'")
    carried, problem = sheet_in(card)
    report = Report()
    if carried is not None and not name.strip():
        report.went.append("extensions.npc_engine -> the whole sheet, as this engine exported it")
        kept, lost = kept_beside(carried, card, path=str(path))
        sheet = plain_sheet(carried)
        if kept is not None:
            sheet["extensions"] = sheet.get("extensions", {}) | {IN_SHEET: keep(kept.card, kept.name)}
        if lost:
            report.look.append(f"{', '.join(lost)}: written in another program and version; not taken over")
    else:
        mapping = map_card(card, name=called, path=str(path))
        report = describe(card, mapping)
        sheet = mapping.sheet | {"extensions": {IN_SHEET: keep(card, called)}}
        report.look += [problem] if problem else []
    return Imported(sheet["id"], _sized(sheet, path), report)


def read_card(path: Path) -> Card:
    """The card in a file; the newer one where a PNG holds two.

    Raises:
        SheetError: As `import_card`, but for CardNameless.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(len(SIGNATURE))
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise CardNotFound(words, path=path, hint="give the path of a card: .json, .png or .charx") from error
    suffix = path.suffix.lower()
    if head.startswith(_ZIP) or suffix == ".charx":
        _limit(size, MAX_ARCHIVE_BYTES, path)
        if not head.startswith(_ZIP):
            raise CardZip("not a zip archive", path=path, hint="download or export the card again")
        raw = read_charx(path)
    elif head == SIGNATURE or suffix in (".png", ".apng"):
        if picture := _picture(head):
            raise CardPng(f"named .png, but a {picture} picture", path=path, hint="get the original file")
        _limit(size, MAX_PNG_BYTES, path)
        _, raw = card_text(path.read_bytes(), path=path)
    else:
        if picture := _picture(head):
            raise CardUnknown(
                f"a {picture} picture: cards travel in PNG", path=path, hint="get the original PNG; converting loses it"
            )
        _limit(size, MAX_JSON_BYTES, path)
        raw = path.read_bytes()
    return card_of(parse_json(raw, path=path), path=path)


def _picture(head: bytes) -> str:
    return next((kind for magic, kind in _PICTURES.items() if head.startswith(magic)), "")


def _limit(size: int, limit: int, path: Path) -> None:
    if size > limit:
        raise CardTooLarge(f"{size:,} bytes, at most {limit:,} are read", path=path, hint="is this the right file?")


def _sized(sheet: dict[str, Any], path: Path) -> str:
    text = sheet_yaml(sheet)
    size = len(text.encode("utf-8"))
    if size > MAX_FILE_BYTES:
        raise CardTooLarge(
            f"the sheet would have {size:,} bytes, at most {MAX_FILE_BYTES:,} are loaded",
            path=path,
            hint="take entries out of the card's lorebook, or pictures (data: addresses) out of `assets`",
        )
    return text
