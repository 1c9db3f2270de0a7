"""CHARX: a zip with `card.json` at its root and assets beside it. Only `card.json` is read; assets are carried.

Nothing is ever unpacked to the disk, so a name in the archive is never a path here. Names that would be one outside
the archive are refused all the same: other programs do unpack what an export hands on.
"""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from npc_engine.errors import CardNotFound, CardTooLarge, CardUnknown, CardZip
from npc_engine.sheets.cards.json_fields import MAX_JSON_BYTES

CARD_NAME = "card.json"
MAX_ARCHIVE_BYTES = 256_000_000
MAX_ENTRIES = 5_000
MAX_DIRECTORY_BYTES = MAX_ENTRIES * 300
MAX_ASSET_BYTES = 64_000_000
MAX_ASSETS_BYTES = 256_000_000

# Archives of one card are byte for byte the same.
_DATE = (1980, 1, 1, 0, 0, 0)
_HINT = "download or export the card again"
# What zipfile raises for archives that are damaged or made by a method it does not have.
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError)


def read_charx(path: Path) -> bytes:
    """The bytes of `card.json`.

    Raises:
        CardZip: The archive is damaged, encrypted, or has a name that leads out of it.
        CardUnknown: It has no `card.json`.
        CardTooLarge: `card.json` is larger than a card may be, or there are more than MAX_ENTRIES entries.
    """
    with _opened(path) as archive:
        entries = _checked(archive, path)
        if CARD_NAME not in entries:
            raise CardUnknown("an archive without `card.json`", path=path, hint="is it a CHARX file?")
        return _read(archive, entries[CARD_NAME], MAX_JSON_BYTES, path)


def read_assets(path: Path) -> dict[str, bytes]:
    """Everything else in the archive, by name.

    Raises:
        CardZip: As `read_charx`.
        CardTooLarge: An asset is over MAX_ASSET_BYTES, or all are over MAX_ASSETS_BYTES.
    """
    assets: dict[str, bytes] = {}
    left = MAX_ASSETS_BYTES
    with _opened(path) as archive:
        for name, entry in _checked(archive, path).items():
            if name != CARD_NAME and not entry.is_dir():
                assets[name] = _read(archive, entry, min(left, MAX_ASSET_BYTES), path)
                left -= len(assets[name])
    return assets


def write_charx(card: bytes, assets: dict[str, bytes]) -> bytes:
    """An archive of a card and its assets."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in ((CARD_NAME, card), *assets.items()):
            entry = zipfile.ZipInfo(name, _DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return buffer.getvalue()


class _Archive(io.FileIO):
    """A file that gives at most `max_read` bytes at once, while that is set.

    zipfile reads the whole list of entries, as long as the archive says it is, before anyone can count them.
    """

    max_read: int | None = MAX_DIRECTORY_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        """As a file's; raises `_ListTooLong` for more than may be read now."""
        left = os.fstat(self.fileno()).st_size - self.tell()
        wanted = left if size is None or size < 0 else min(size, left)
        if self.max_read is not None and wanted > self.max_read:
            raise _ListTooLong
        return super().read(wanted) or b""


class _ListTooLong(Exception):
    """The archive's list of entries is longer than is read."""


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        file = _Archive(path)
    except OSError as error:
        raise CardNotFound(error.strerror or str(error), path=path, hint="give the path of a .charx file") from error
    with file:
        try:
            archive = zipfile.ZipFile(file)
        except _ListTooLong as error:
            raise _too_many(path) from error
        except _DAMAGED as error:
            raise CardZip("not a zip archive, or a damaged one", path=path, hint=_HINT) from error
        file.max_read = None
        with archive:
            yield archive


def _too_many(path: Path) -> CardTooLarge:
    return CardTooLarge(f"more than {MAX_ENTRIES:,} entries", path=path, hint="take assets out of it")


def _checked(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    listed = archive.infolist()
    if len(listed) > MAX_ENTRIES:
        raise _too_many(path)
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in listed:
        name = entry.orig_filename
        shown = name[:80]
        parts = PurePosixPath(name)
        if parts.is_absolute() or ".." in parts.parts or any(sign in name for sign in "\\:\0"):
            raise CardZip(f"its entry {shown!r} leads out of the archive", path=path, hint="do not use this file")
        if entry.flag_bits & 1:
            raise CardZip(f"its entry {shown!r} is encrypted", path=path, hint="export the card without a password")
        if name in entries:
            raise CardZip(f"its entry {shown!r} is there twice", path=path, hint=_HINT)
        entries[name] = entry
    return entries


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, limit: int, path: Path) -> bytes:
    """At most `limit` bytes, whatever the entry says of itself."""
    try:
        with archive.open(entry) as file:
            data = file.read(limit + 1)
    except _DAMAGED as error:
        raise CardZip(f"its entry {entry.filename[:80]!r} is damaged", path=path, hint=_HINT) from error
    if len(data) > limit:
        raise CardTooLarge(
            f"its entry {entry.filename[:80]!r} is larger than {limit:,} bytes", path=path, hint="make it smaller"
        )
    return data
