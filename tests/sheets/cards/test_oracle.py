"""card-forge, another program for character cards, agrees on what we write, and we read what it writes.

It knows V2 and V3 as types and the PNG text chunks; not V1, not CHARX, not APNG, and it drops unknown keys, so only
what it does keep is compared.
"""

import json

import pytest
from forge.helper import embed_card_data, extract_card_data
from forge.models import CharacterCardV2, CharacterCardV3
from pydantic import ValidationError

from npc_engine.sheets.cards.json_fields import json_text
from npc_engine.sheets.cards.png import placeholder
from npc_engine.sheets.cards.reading import import_card, read_card
from npc_engine.sheets.cards.writing import export_card
from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheet
from tests.sheets.cards.generator import clean_card

MODELS = {"v2": CharacterCardV2, "v3": CharacterCardV3}


@pytest.mark.parametrize("form", sorted(MODELS))
@pytest.mark.parametrize("name", ["ambrose", "corin", "hesta"])
def test_cards_of_the_shipped_sheets_are_valid(name, form):
    sheet = load_sheet(shipped_sheets_dir() / f"{name}.yaml")
    card = MODELS[form].model_validate_json(export_card(sheet, form, path="x").raw)
    assert card.data.name == sheet.identity.name
    assert card.data.first_mes == sheet.greeting
    known = [fact.text for fact in sheet.facts if fact.when is None and fact.tags]
    assert [entry.content for entry in card.data.character_book.entries] == known


@pytest.mark.parametrize("form", sorted(MODELS))
@pytest.mark.parametrize("seed", range(45))
def test_what_we_make_of_any_card_is_valid(seed, form, tmp_path):
    source, target = tmp_path / "card.json", tmp_path / "sheet.yaml"
    source.write_text(json_text(clean_card(seed)), encoding="utf-8")
    target.write_text(import_card(source).text, encoding="utf-8")
    raw = export_card(load_sheet(target), form, path="x").raw
    assert json.loads(raw)["spec"] == f"chara_card_{form}"
    MODELS[form].model_validate(json.loads(raw))


@pytest.mark.parametrize("seed", [seed for seed in range(30) if seed % 3])
def test_it_finds_our_card_in_a_picture_and_we_find_its(seed, tmp_path, capsys):
    document = clean_card(seed)
    kinds = "v2" if seed % 3 == 1 else "v3"
    expected = MODELS[kinds].model_validate(document).data
    source, picture, sheet = tmp_path / "card.json", tmp_path / "card.png", tmp_path / "sheet.yaml"
    source.write_text(json_text(document), encoding="utf-8")
    sheet.write_text(import_card(source).text, encoding="utf-8")
    picture.write_bytes(export_card(load_sheet(sheet), "png", path="x").raw)
    theirs = extract_card_data(picture)
    assert theirs is not None, capsys.readouterr()
    assert theirs.data.model_dump(include=set(type(expected).model_fields)) == expected.model_dump()

    plain, made = tmp_path / "plain.png", tmp_path / "made.png"
    plain.write_bytes(placeholder())
    embed_card_data(json_text(document), plain, made, legacy=True)
    assert json.dumps(read_card(made).document) == json.dumps(document)


@pytest.mark.parametrize(
    ("field", "value"), [("name", 3), ("description", []), ("character_book", "none"), ("first_mes", {})]
)
def test_what_it_refuses_of_what_we_read_we_refuse_too(field, value, tmp_path):
    document = clean_card(2)
    document["data"][field] = value
    source = tmp_path / "card.json"
    source.write_text(json_text(document), encoding="utf-8")
    with pytest.raises(ValidationError):
        CharacterCardV3.model_validate(document)
    with pytest.raises(Exception, match="NPC115") as refused:
        import_card(source)
    assert refused.value.code == "NPC115"
