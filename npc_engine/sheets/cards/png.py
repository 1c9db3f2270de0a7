"""PNG and APNG as chunks: find a card's text, put one in. Pixels are carried, never decoded.

Source: PNG specification, third edition, 5 (chunks) and 11.3.3 (tEXt, zTXt, iTXt); APNG's chunks are carried alike.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from npc_engine.errors import CardPng, CardTooLarge, CardUnknown
from npc_engine.sheets.cards.json_fields import MAX_JSON_BYTES

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_PNG_BYTES = 32_000_000
MAX_CHUNKS = 20_000
# The newer card wins where a file holds two.
KEYWORDS = ("ccv3", "chara")
MAX_TEXT_BYTES = MAX_JSON_BYTES * 4 // 3 + 8

PLACEHOLDER_SIZE = (400, 600)
_PLACEHOLDER_GREY = 0x60

_HINT = "download or export the card again"


def card_text(raw: bytes, *, path: Path | str) -> tuple[str, bytes]:
    """The keyword and the JSON bytes of the card in a PNG; `ccv3` before `chara`, and of several the first.

    Raises:
        CardPng: The file is cut short, a checksum is wrong, or the text is not base64.
        CardUnknown: A sound PNG without a card.
        CardTooLarge: A text is larger, once inflated, than a card may be.
    """
    found: dict[str, bytes] = {}
    for kind, data in chunks(raw, path=path):
        keyword = _keyword(kind, data)
        if keyword in KEYWORDS:
            found.setdefault(keyword, _text(kind, data, path))
    for keyword in KEYWORDS:
        if keyword in found:
            return keyword, _decoded(found[keyword], keyword, path)
    raise CardUnknown(
        "a picture without a card: no `ccv3` or `chara` text in the PNG",
        path=path,
        hint="sites and chat programs strip it when they shrink pictures: get the original file",
    )


def with_texts(raw: bytes, texts: Mapping[str, bytes], *, path: Path | str) -> bytes:
    """The same picture with these card texts and no others; every chunk else is as it was.

    Args:
        raw: A PNG or APNG.
        texts: JSON bytes by keyword.
        path: The picture's file, for errors.

    Raises:
        CardPng: The picture is damaged.
    """
    written = [SIGNATURE]
    for kind, data in chunks(raw, path=path):
        if kind == b"IEND":
            written += [_chunk(b"tEXt", key.encode() + b"\0" + base64.b64encode(text)) for key, text in texts.items()]
        if _keyword(kind, data) not in KEYWORDS:
            written.append(_chunk(kind, data))
    return b"".join(written)


def placeholder() -> bytes:
    """A plain grey picture in the size that card tools show, for a card that has none."""
    width, height = PLACEHOLDER_SIZE
    rows = (b"\0" + bytes([_PLACEHOLDER_GREY]) * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return SIGNATURE + b"".join(_chunk(kind, data) for kind, data in parts)


def chunks(raw: bytes, *, path: Path | str) -> Iterator[tuple[bytes, bytes]]:
    """Each chunk's type and data, up to and with IEND; what follows that is not PNG.

    Raises:
        CardPng: No PNG, cut short, a wrong checksum, or more than MAX_CHUNKS chunks.
    """
    if not raw.startswith(SIGNATURE):
        raise CardPng("not a PNG: its first bytes are something else", path=path, hint=_HINT)
    at = len(SIGNATURE)
    for number in range(MAX_CHUNKS):
        header = raw[at : at + 8]
        if len(header) < 8:
            raise CardPng(f"cut short after {len(raw):,} bytes", path=path, hint=_HINT)
        length, kind = struct.unpack(">I4s", header)
        end = at + 8 + length
        if end + 4 > len(raw):
            raise CardPng(f"cut short within its {_shown(kind)} chunk at byte {at:,}", path=path, hint=_HINT)
        if zlib.crc32(raw[at + 4 : end]) != int.from_bytes(raw[end : end + 4], "big"):
            raise CardPng(f"the checksum of its {_shown(kind)} chunk at byte {at:,} is wrong", path=path, hint=_HINT)
        if number == 0 and kind != b"IHDR":
            raise CardPng(f"begins with a {_shown(kind)} chunk, not with IHDR", path=path, hint=_HINT)
        yield kind, raw[at + 8 : end]
        if kind == b"IEND":
            return
        at = end + 4
    raise CardPng(f"more than {MAX_CHUNKS:,} chunks", path=path, hint=_HINT)


def _keyword(kind: bytes, data: bytes) -> str:
    if kind not in (b"tEXt", b"zTXt", b"iTXt"):
        return ""
    return data[:80].partition(b"\0")[0].decode("latin-1").lower()


def _text(kind: bytes, data: bytes, path: Path | str) -> bytes:
    rest = data.partition(b"\0")[2]
    if kind == b"tEXt":
        return rest
    if kind == b"zTXt":
        return _inflated(rest[1:], rest[:1], path)
    flags, rest = rest[:2], rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    return _inflated(rest, flags[1:], path) if flags[:1] == b"\1" else rest


def _inflated(data: bytes, method: bytes, path: Path | str) -> bytes:
    if method != b"\0":
        raise CardPng("its card's text is compressed in an unknown way", path=path, hint=_HINT)
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(data, MAX_TEXT_BYTES + 1)
    except zlib.error as error:
        raise CardPng("its card's compressed text is damaged", path=path, hint=_HINT) from error
    if len(text) <= MAX_TEXT_BYTES and not inflater.eof:
        raise CardPng("its card's compressed text is cut short", path=path, hint=_HINT)
    return text


def _decoded(text: bytes, keyword: str, path: Path | str) -> bytes:
    if len(text) > MAX_TEXT_BYTES:
        raise CardTooLarge(
            f"its `{keyword}` text is larger than {MAX_TEXT_BYTES:,} bytes",
            path=path,
            hint="take embedded pictures (data: addresses in `assets`) out of the card",
        )
    try:
        return base64.b64decode(re.sub(rb"\s+", b"", text), validate=True)
    except binascii.Error as error:
        raise CardPng(f"its `{keyword}` text is not base64", path=path, hint=_HINT) from error


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(kind + data))


def _shown(kind: bytes) -> str:
    return kind.decode("latin-1") if kind.isalpha() else kind.hex()
