"""Cards survive import, export and import: the same data at every level, in the same order."""

import json
import random
import struct
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from npc_engine.errors import SheetError
from npc_engine.sheets.cards.json_fields import SPECS, card_of, json_text, parse_json
from npc_engine.sheets.cards.png import placeholder, with_texts
from npc_engine.sheets.cards.reading import Imported, import_card, read_card
from npc_engine.sheets.cards.writing import export_card
from npc_engine.sheets.loader import load_sheet
from tests.sheets.cards.generator import clean_card, wild_card

SEEDS = range(100)


def exact(data):
    """Text that is equal only for data that is: 1 is not 1.0 is not true, and order counts."""
    return json.dumps(data)


def imported(raw, folder, *, suffix=".json"):
    """The sheet of a card, through the files that a writer has."""
    source = folder / f"card{suffix}"
    source.write_bytes(raw)
    made = import_card(source)
    sheet = folder / "sheet.yaml"
    sheet.write_text(made.text, encoding="utf-8")
    return load_sheet(sheet)


def own_format(document):
    return {"chara_card_v2": "v2", "chara_card_v3": "v3"}.get(document.get("spec"), "v1")


def there_and_back(document, folder):
    sheet = imported(json_text(document).encode("utf-8"), folder)
    form = own_format(document)
    once = export_card(sheet, form, path="sheet.yaml").raw
    assert exact(json.loads(once)) == exact(document)
    again = imported(once, folder)
    assert again == sheet
    assert export_card(again, form, path="sheet.yaml").raw == once


@pytest.mark.parametrize("make", [clean_card, wild_card])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_card_comes_back_as_it_was(make, seed, tmp_path):
    there_and_back(make(seed), tmp_path)


@pytest.mark.parametrize("seed", range(0, 60, 3))
@pytest.mark.parametrize("make", [clean_card, wild_card])
def test_a_card_comes_back_out_of_a_picture(make, seed, tmp_path):
    for number in (seed, seed + 1, seed + 2):
        document = make(number)
        sheet = imported(json_text(document).encode("utf-8"), tmp_path)
        picture = export_card(sheet, "png", path="sheet.yaml").raw
        target = tmp_path / "out.png"
        target.write_bytes(picture)
        assert exact(read_card(target).document) == exact(document)
        assert imported(picture, tmp_path, suffix=".png") == sheet


@pytest.mark.parametrize("seed", range(2, 60, 3))
@pytest.mark.parametrize("make", [clean_card, wild_card])
def test_a_v3_card_comes_back_out_of_an_archive(make, seed, tmp_path):
    document = make(seed)
    sheet = imported(json_text(document).encode("utf-8"), tmp_path)
    target = tmp_path / "out.charx"
    target.write_bytes(export_card(sheet, "charx", path="sheet.yaml").raw)
    assert exact(read_card(target).document) == exact(document)


@pytest.mark.parametrize("seed", range(30))
def test_an_older_card_in_a_newer_format_loses_nothing(seed, tmp_path):
    document = clean_card(seed)
    sheet = imported(json_text(document).encode("utf-8"), tmp_path)
    newer = json.loads(export_card(sheet, "v3", path="sheet.yaml").raw)
    data = document.get("data", document)
    assert (newer["spec"], newer["spec_version"]) == SPECS["v3"]
    for key, value in data.items():
        if key == "character_book":
            for before, after in zip(value["entries"], newer["data"][key]["entries"], strict=True):
                assert exact(after) == exact(before | {"use_regex": before.get("use_regex", False)})
        else:
            assert exact(newer["data"][key]) == exact(value)


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=[]))
)
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8
)
TEXTS = st.text(st.characters(exclude_categories=[]), max_size=400)
FIELDS = st.fixed_dictionaries(
    {"name": st.just("Mira Oss")},
    optional={
        **dict.fromkeys(("description", "personality", "scenario", "first_mes", "mes_example", "nickname"), TEXTS),
        "character_book": st.none()
        | st.fixed_dictionaries(
            {
                "entries": st.lists(
                    st.fixed_dictionaries(
                        {"keys": st.lists(TEXTS, max_size=3), "content": TEXTS},
                        optional={"enabled": st.booleans(), "use_regex": st.booleans(), "odd": ANYTHING},
                    ),
                    max_size=3,
                )
            },
            optional={"odd": ANYTHING},
        ),
        "extensions": ANYTHING,
        "something else": ANYTHING,
    },
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(FIELDS, ANYTHING)
def test_any_text_in_any_field_comes_back(tmp_path_factory, data, beside):
    document = {"spec": "chara_card_v2", "spec_version": "2.0", "beside": beside, "data": data}
    there_and_back(document, tmp_path_factory.mktemp("card"))


@settings(deadline=None)
@given(ANYTHING)
def test_json_text_parses_to_equal_data(data):
    assert exact(parse_json(json_text(data).encode("utf-8"), path="x")) == exact(data)


def tried(source):
    """What came of an import: the sheet, or the coded error."""
    try:
        return import_card(source)
    except SheetError as error:
        return error


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=300) | ANYTHING.map(lambda data: json_text(data).encode("utf-8")))
def test_any_bytes_are_a_card_or_a_coded_error(tmp_path_factory, raw):
    folder = tmp_path_factory.mktemp("bytes")
    for suffix, before in ((".json", b""), (".png", b""), (".charx", b""), (".png", placeholder()[:33])):
        source = folder / f"card{suffix}"
        source.write_bytes(before + raw)
        seen = tried(source)
        assert seen.text if isinstance(seen, Imported) else (seen.code.startswith("NPC11") and seen.hint), seen


def test_a_picture_s_other_chunks_are_left_alone():
    picture = placeholder()
    rng = random.Random(1)
    texts = {"chara": bytes(rng.randrange(256) for _ in range(200))}
    with_card = with_texts(picture, texts, path="x")
    assert with_texts(with_card, {}, path="x") == picture
    assert with_texts(with_card, texts, path="x") == with_card


def test_an_animation_stays_one(tmp_path):
    """APNG's own chunks are carried like any other."""
    still, frame = placeholder(), b"\0\0\0\1" + bytes(30)
    animated = still[:33] + chunk(b"acTL", bytes(8)) + chunk(b"fcTL", bytes(26)) + still[33:-12]
    animated += chunk(b"fdAT", frame) + still[-12:]
    with_card = with_texts(animated, {"chara": b'{"name": "Mira"}'}, path="x")
    (tmp_path / "mira.apng").write_bytes(with_card)
    assert read_card(tmp_path / "mira.apng").text("name") == "Mira"
    assert with_texts(with_card, {}, path="x") == animated


def chunk(kind, data):
    return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(kind + data))


def test_a_v2_card_and_a_v1_card_read_alike():
    flat = clean_card(0)
    wrapped = {"spec": "chara_card_v2", "spec_version": "2.0", "data": flat}
    one, other = card_of(flat, path="x"), card_of(wrapped, path="x")
    assert one.data == other.data
    assert (one.version, other.version) == ("v1", "v2")
