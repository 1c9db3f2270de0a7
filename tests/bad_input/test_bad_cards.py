"""Broken and hostile character cards: each a coded error with a hint, in under a second, and nothing written."""

import base64
import io
import json
import struct
import time
import zipfile
import zlib
from dataclasses import dataclass

import pytest

from npc_engine.sheets.cards.json_fields import MAX_DEPTH, MAX_JSON_BYTES
from npc_engine.sheets.cards.png import SIGNATURE, placeholder, with_texts
from tests.bad_input.boundary import refused, run, tree

# Of this process's own time, so that a busy machine fails nobody.
LONGEST_S = 1.0
GOOD = {"spec": "chara_card_v2", "spec_version": "2.0", "data": {"name": "Mira", "description": "Mira is a smith."}}


def text(document):
    return json.dumps(document).encode("utf-8")


def card(**data):
    return text(GOOD | {"data": GOOD["data"] | data})


def chunk(kind, data, crc=None):
    crc = zlib.crc32(kind + data) if crc is None else crc
    return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", crc)


def png(*chunks):
    """A picture with these chunks before its end."""
    whole = placeholder()
    return whole[:-12] + b"".join(chunks) + whole[-12:]


def chara(raw, keyword=b"chara"):
    return png(chunk(b"tEXt", keyword + b"\0" + raw))


GOOD_PNG = with_texts(placeholder(), {"chara": text(GOOD)}, path="x")
AT_IDAT = GOOD_PNG.index(b"IDAT") + 10


def charx(*entries, method=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, raw in entries:
            archive.writestr(zipfile.ZipInfo(name), raw, method)
    return buffer.getvalue()


def damaged(raw, at, new):
    return raw[:at] + new + raw[at + len(new) :]


def encrypted():
    raw = bytearray(charx(("card.json", text(GOOD))))
    raw[6] |= 1
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    return bytes(raw)


def twice():
    with pytest.warns(UserWarning, match="Duplicate name"):
        return charx(("card.json", text(GOOD)), ("card.json", text(GOOD)))


def lying():
    """An archive that says of its card.json that it is small, and inflates to 100 MB."""
    raw = bytearray(charx(("card.json", b" " * 100_000_000)))
    for at in (22, raw.index(b"PK\x01\x02") + 24):
        raw[at : at + 4] = struct.pack("<I", 500)
    return bytes(raw)


def crowded():
    """An archive that lists its one entry a million times."""
    raw = charx(("card.json", text(GOOD)))
    at = raw.index(b"PK\x01\x02")
    end = raw.index(b"PK\x05\x06")
    listed = raw[at:end] * 1_000_000
    return raw[:at] + listed + raw[end : end + 12] + struct.pack("<II", len(listed), at) + b"\0\0"


def itxt(raw, compressed=1, method=0):
    return png(chunk(b"iTXt", b"chara\0" + bytes([compressed, method]) + b"\0\0" + raw))


@dataclass(frozen=True)
class Row:
    """A file that is no good.

    Attributes:
        what: What is wrong.
        name: The file's name.
        raw: Its bytes, or what makes them.
        says: Part of the message.
    """

    what: str
    name: str
    raw: object
    code: str
    says: str


ROWS = (
    Row("no such file", "none.json", None, "NPC110", "No such file"),
    Row("a folder", ".", None, "NPC110", "directory"),
    Row("a name too long", "x" * 5000, None, "NPC110", "name too long"),
    Row("a picture without a card", "a.png", placeholder(), "NPC111", "a picture without a card"),
    Row("a JPEG", "a.jpg", b"\xff\xd8\xff\xe0" + bytes(100), "NPC111", "a JPEG picture"),
    Row("an archive without card.json", "a.charx", charx(("x.txt", b"x")), "NPC111", "without `card.json`"),
    Row("some other JSON", "a.json", b'{"a": 1}', "NPC111", "no field of a character card"),
    Row("a JSON list", "a.json", b"[1, 2]", "NPC111", "not an object"),
    Row("a spec of the future", "a.json", text({"spec": "chara_card_v9", "data": {}}), "NPC111", "'chara_card_v9'"),
    Row("a spec that is a number", "a.json", text({"spec": 3}), "NPC111", "'3'"),
    Row("a lorebook alone", "a.json", text({"spec": "lorebook_v3", "data": {}}), "NPC111", "a lorebook without"),
    Row("an empty file", "a.json", b"", "NPC112", "not JSON"),
    Row("JSON cut short", "a.json", text(GOOD)[:-20], "NPC112", "a.json:1:"),
    Row("not JSON at all", "a.json", b"name: Mira\n", "NPC112", "a.json:1:1"),
    Row("an error on its line", "a.json", b'{\n "name": "Mira",\n}', "NPC112", "a.json:3:1"),
    Row("Latin-1", "a.json", '{"name": "Zo\xeb"}'.encode("latin-1"), "NPC112", "not UTF-8"),
    Row("UTF-16", "a.json", '{"name": "Mira"}'.encode("utf-16"), "NPC112", "UTF-16"),
    Row("a key twice", "a.json", b'{"name": "Mira", "name": "Mora"}', "NPC112", "'name' stands twice"),
    Row("NaN", "a.json", b'{"name": "Mira", "x": NaN}', "NPC112", "NaN is no number"),
    Row("minus infinity", "a.json", b'{"name": "Mira", "x": -Infinity}', "NPC112", "-Infinity"),
    Row("a number out of range", "a.json", b'{"name": "Mira", "x": 1e999}', "NPC112", "1e999"),
    Row("a number of 5,000 digits", "a.json", b'{"name": "Mira", "x": ' + b"1" * 5000 + b"}", "NPC112", "digits"),
    Row("bytes that are nothing", "a.json", bytes(range(256)) * 40, "NPC112", "not UTF-8"),
    Row("text in a PNG's place", "a.png", b"<!DOCTYPE html><html>", "NPC113", "not a PNG"),
    Row("a JPEG called PNG", "a.png", b"\xff\xd8\xff\xe0" + bytes(100), "NPC113", "a JPEG picture"),
    Row("a PNG cut short", "a.png", GOOD_PNG[: len(GOOD_PNG) // 2], "NPC113", "cut short within its IDAT"),
    Row("a PNG without an end", "a.png", GOOD_PNG[:-12], "NPC113", "cut short after"),
    Row("a PNG of a signature", "a.png", SIGNATURE, "NPC113", "cut short after 8 bytes"),
    Row(
        "a pixel's bit turned over", "a.png", damaged(GOOD_PNG, AT_IDAT, b"\xff\x00"),
        "NPC113", "checksum of its IDAT",
    ),
    Row("a wrong checksum", "a.png", png(chunk(b"tEXt", b"chara\0e30=", crc=1)), "NPC113", "checksum of its tEXt"),
    Row("a chunk of 4 GB", "a.png", SIGNATURE + b"\xff\xff\xff\xffIHDR", "NPC113", "cut short within its IHDR"),
    Row("a PNG without a header", "a.png", SIGNATURE + chunk(b"IEND", b""), "NPC113", "not with IHDR"),
    Row("a hundred thousand chunks", "a.png", png(chunk(b"tEXt", b"") * 100_000), "NPC113", "more than 20,000 chunks"),
    Row("text that is not base64", "a.png", chara(b"{}!!"), "NPC113", "not base64"),
    Row("base64 cut short", "a.png", chara(base64.b64encode(text(GOOD))[:-3]), "NPC113", "not base64"),
    Row("JSON that is not in base64", "a.png", chara(text(GOOD)), "NPC113", "not base64"),
    Row("base64 of nonsense", "a.png", chara(base64.b64encode(b"\xff\xfe\x00")), "NPC112", "UTF-16"),
    Row("base64 of Latin-1", "a.png", chara(base64.b64encode(b'{"name":"\xeb"}')), "NPC112", "not UTF-8"),
    Row("damaged compressed text", "a.png", itxt(b"x\x9c\xff\xff\xff"), "NPC113", "compressed text is damaged"),
    Row("compressed text cut short", "a.png", itxt(zlib.compress(b"e30=" * 99)[:-9]), "NPC113", "text is cut short"),
    Row("an unknown compression", "a.png", itxt(b"x", method=7), "NPC113", "an unknown way"),
    Row("an iTXt bomb", "a.png", itxt(zlib.compress(b"A" * 100_000_000, 9)), "NPC116", "is larger than"),
    Row(
        "a zTXt bomb", "a.png", png(chunk(b"zTXt", b"ccv3\0\0" + zlib.compress(b"A" * 50_000_000, 9))),
        "NPC116", "larger",
    ),
    Row(
        "a worse V3 beside a good V2", "a.png", with_texts(GOOD_PNG, {"ccv3": b"{", "chara": b"{}"}, path="x"),
        "NPC112", "not JSON",
    ),
    Row("an archive that is none", "a.charx", b"not a zip", "NPC114", "not a zip archive"),
    Row("an archive cut short", "a.charx", charx(("card.json", text(GOOD)))[:60], "NPC114", "damaged"),
    Row(
        "an entry's bytes changed", "a.charx", lambda: damaged(charx(("card.json", text(GOOD))), 45, b"\xff\xff\xff"),
        "NPC114", "is damaged",
    ),
    Row("an encrypted archive", "a.charx", encrypted, "NPC114", "is encrypted"),
    Row(
        "a name that leads out", "a.charx", charx(("card.json", text(GOOD)), ("../../evil", b"x")),
        "NPC114", "'../../evil' leads out",
    ),
    Row("an absolute name", "a.charx", charx(("/etc/passwd", b"x"), ("card.json", b"{}")), "NPC114", "leads out"),
    Row("a name of Windows", "a.charx", charx(("C:\\evil.exe", b"x"), ("card.json", b"{}")), "NPC114", "leads out"),
    Row("two card.json", "a.charx", twice, "NPC114", "is there twice"),
    Row("a zip bomb", "a.charx", lambda: charx(("card.json", b" " * 100_000_000)), "NPC116", "larger than 2,000,000"),
    Row("a zip bomb that lies", "a.charx", lying, "NPC114", "damaged"),
    Row(
        "ten thousand entries", "a.charx", lambda: charx(*((f"{n}", b"") for n in range(10_000)), method=0),
        "NPC116", "more than 5,000 entries",
    ),
    Row("a million entries", "a.charx", crowded, "NPC116", "more than 5,000 entries"),
    Row(
        "missing data", "a.json", text({"spec": "chara_card_v2", "spec_version": "2.0"}),
        "NPC115", "data: expected an object",
    ),
    Row("data that is a list", "a.json", text({"spec": "chara_card_v3", "data": []}), "NPC115", "found a list"),
    Row("a name that is a number", "a.json", card(name=7), "NPC115", "data.name: expected text, found a number"),
    Row("a description that is a list", "a.json", card(description=["x"]), "NPC115", "data.description"),
    Row("a flat name that is no text", "a.json", b'{"name": {}}', "NPC115", "name: expected text, found an object"),
    Row("a book that is text", "a.json", card(character_book="x"), "NPC115", "data.character_book: expected an object"),
    Row("entries that are text", "a.json", card(character_book={"entries": "x"}), "NPC115", "character_book.entries"),
    Row(
        "an entry that is null", "a.json", card(character_book={"entries": [{}, None]}),
        "NPC115", "entries[1]: expected an object, found nothing",
    ),
    Row(
        "content that is a number", "a.json", card(character_book={"entries": [{"content": 1}]}),
        "NPC115", "entries[0].content",
    ),
    Row(
        "keys that are objects", "a.json", card(character_book={"entries": [{"keys": [{}]}]}),
        "NPC115", "entries[0].keys[0]",
    ),
    Row("a file of 50 MB", "a.json", lambda: b" " * 50_000_000, "NPC116", "50,000,000 bytes"),
    Row("a picture of 50 MB", "a.png", lambda: SIGNATURE + bytes(50_000_000), "NPC116", "bytes, at most"),
    Row(
        "much JSON in a picture", "a.png", lambda: chara(base64.b64encode(b" " * (MAX_JSON_BYTES + 1))),
        "NPC116", "bytes of JSON",
    ),
    Row("JSON nested 100,000 deep", "a.json", b"[" * 100_000, "NPC116", "nested deeper"),
    Row(
        "JSON nested a little too deep", "a.json", b'{"name":' * (MAX_DEPTH + 2) + b"1" + b"}" * (MAX_DEPTH + 2),
        "NPC116", "nested",
    ),
    Row("objects nested 100,000 deep", "a.json", b'{"a":' * 100_000, "NPC116", "nested deeper"),
    Row("ten thousand sentences", "a.json", lambda: card(description="It is so. " * 10_000), "NPC116", "sentences"),
    Row(
        "a sheet over the limit", "a.json", lambda: card(creator_notes="x" * 1_200_000),
        "NPC116", "the sheet would have",
    ),
    Row("an empty name", "a.json", card(name="  "), "NPC117", "name is empty"),
    Row("no name", "a.json", text({"description": "A smith."}), "NPC117", "name is empty"),
    Row("a name of nothing but a macro", "a.json", card(name="{{char}}"), "NPC117", "name is empty"),
)  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_a_bad_card_is_refused_at_once_and_nothing_is_written(row, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / row.name
    if row.raw is not None:
        path.write_bytes(row.raw() if callable(row.raw) else row.raw)
    before = tree(tmp_path)
    begun = time.process_time()
    seen = refused("sheet", "import", path)
    assert time.process_time() - begun < LONGEST_S
    assert seen.code == row.code
    assert row.says in seen.message
    assert seen.hint
    assert str(path) in seen.message
    assert tree(tmp_path) == before


SLOW = {
    "spaces": " " * 120_000,
    "brackets": "[" * 120_000,
    "pictures": "![" * 60_000,
    "braces": "{" * 120_000,
    "users": "{{user}}" * 15_000,
    "dots": "." * 120_000,
    "short sentences": "a. " * 40_000,
    "quotes": '"' * 120_000,
    "open quotes": "“" * 60_000,
    "stars": "*" * 120_000,
    "colons": ":" * 120_000,
    "key and spaces": "A" + " " * 120_000,
    "call and spaces": 'Age("' + " " * 120_000,
    "starts": "<START>" * 15_000,
    "tags": "<a" * 60_000,
    "one line of one word": "a" * 120_000,
}


@pytest.mark.parametrize("text_", SLOW.values(), ids=SLOW)
@pytest.mark.parametrize("field", ["description", "first_mes", "mes_example", "keys"])
def test_no_text_is_slow(field, text_, tmp_path):
    """A card ends in a sheet or in a coded error; neither takes long, whatever stands in it."""
    fields = {field: text_}
    if field == "keys":
        entry = {"content": "A thing.", "keys": [text_, f"/{text_}/"], "comment": text_}
        fields = {"character_book": {"entries": [entry]}}
    path, out = tmp_path / "a.json", tmp_path / "a.yaml"
    path.write_bytes(card(**fields))
    begun = time.process_time()
    printed = run("sheet", "import", path, "--out", out)
    assert time.process_time() - begun < 2 * LONGEST_S
    assert out.exists() == (printed.exit_code == 0)
    assert printed.exit_code == 0 or printed.error.code == "NPC116"


def imported(tmp_path, **data):
    source, sheet = tmp_path / "a.json", tmp_path / "mira.yaml"
    source.write_bytes(card(**data))
    assert run("sheet", "import", source, "--out", sheet).exit_code == 0
    return sheet


@pytest.mark.parametrize(
    ("name", "raw", "code", "says"),
    [
        ("none.png", None, "NPC110", "No such file"),
        ("a.png", b"GIF89a", "NPC113", "not a PNG"),
        ("a.png", GOOD_PNG[:-20], "NPC113", "cut short"),
        ("a.png", SIGNATURE + bytes(50_000_000), "NPC116", "bytes, at most"),
    ],
)
@pytest.mark.parametrize("form", ["png", "charx"])
def test_a_bad_image_is_refused_and_nothing_is_written(form, name, raw, code, says, tmp_path):
    sheet = imported(tmp_path)
    if raw is not None:
        (tmp_path / name).write_bytes(raw)
    before = tree(tmp_path)
    seen = refused("sheet", "export", sheet, "--format", form, "--image", tmp_path / name, "--out", tmp_path / "new")
    assert (seen.code, says in seen.message, bool(seen.hint)) == (code, True, True)
    assert tree(tmp_path) == before


def test_an_archive_of_assets_that_leads_out_is_refused(tmp_path):
    sheet, assets = imported(tmp_path), tmp_path / "old.charx"
    assets.write_bytes(charx(("card.json", b"{}"), ("../x", b"x")))
    seen = refused("sheet", "export", sheet, "--format", "charx", "--image", assets, "--out", tmp_path / "new")
    assert seen.code == "NPC114"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("mapping: 1", "mapping: 99", "imported by rules 99"),
        ("mapping: 1", "mapping: [", "expected"),
        ('"spec": "chara_card_v2"', '"spec": "chara_card_v2', "does not read"),
        ('"spec": "chara_card_v2"', '"spec": "x"', "does not read"),
        ("    card: |-", "    other: |-", "damaged"),
    ],
)
def test_a_kept_card_that_was_damaged_is_told(old, new, says, tmp_path):
    sheet = imported(tmp_path)
    changed = sheet.read_text(encoding="utf-8")
    assert old in changed
    sheet.write_text(changed.replace(old, new), encoding="utf-8")
    seen = refused("sheet", "export", sheet, "--format", "v2", "--out", tmp_path / "new")
    assert seen.code in ("NPC115", "NPC102")
    assert says in seen.message
    assert not (tmp_path / "new").exists()
