"""Where the shipped characters lie."""

from __future__ import annotations

from pathlib import Path

from npc_engine.errors import SheetNotFound

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped_sheets_dir() -> Path:
    """The folder of the shipped sheets: package data in an installed wheel, beside the package in a checkout.

    Raises:
        SheetNotFound: Neither is there.
    """
    for folder in (_PACKAGE / "character_sheets", _PACKAGE.parent / "character_sheets"):
        if folder.is_dir():
            return folder
    raise SheetNotFound("the shipped character sheets are not installed", hint="reinstall npc-dialogue-engine")
