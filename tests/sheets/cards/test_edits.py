"""What a writer changes in a sheet is in the card that is exported, and nothing else of the card changes."""

import copy
import json
import random

import pytest

from npc_engine.sheets.cards.json_fields import V1_FIELDS, json_text
from npc_engine.sheets.cards.kept import IN_CARD
from npc_engine.sheets.cards.reading import import_card, read_card
from npc_engine.sheets.cards.writing import export_card
from npc_engine.sheets.conditions import parse_condition
from npc_engine.sheets.fields import Fact
from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheet
from npc_engine.sheets.schema import VoiceExample
from tests.sheets.cards.generator import clean_card, wild_card

DESCRIPTION = "Mira is a ferrywoman.  Her boat leaks.\n* Mira likes rain.\nMira fears fire.\nMira owns a goat. \n"
EXAMPLES = "<START>\n{{user}}: Safe?\n{{char}}: It's wet.\n<START>\n{{char}}: Step in."
CARD = {
    "spec": "chara_card_v2",
    "spec_version": "2.0",
    "name": "Mira Oss",
    "data": {
        "name": "Mira Oss",
        "description": DESCRIPTION,
        "personality": "",
        "scenario": "The river is high.",
        "first_mes": '*nods* "Crossing?"',
        "mes_example": EXAMPLES,
        "alternate_greetings": ["Later."],
        "unknown": [1, {"a": None}],
        "character_book": {
            "odd": True,
            "entries": [
                {"keys": ["dragon", "wyrm"], "content": "@@depth 2\nDragons are dead. Drakes were big.", "odd": 1},
                {"keys": ["mill"], "content": "The mill is shut.", "odd": 2},
            ],
        },
    },
}


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


class Desk:
    """Imports a card, lets its sheet be edited as text, exports it."""

    def __init__(self, folder):
        self.card, self.sheet = folder / "card.json", folder / "sheet.yaml"

    def import_(self, document):
        self.card.write_text(json_text(document), encoding="utf-8")
        self.sheet.write_text(import_card(self.card).text, encoding="utf-8")
        return load_sheet(self.sheet)

    def edited(self, *changes, document=CARD, form="v2"):
        """The exported card's `data` after (old, new) changes to the sheet; and the whole card, without its sheet."""
        self.import_(document)
        text = self.sheet.read_text(encoding="utf-8")
        for old, new in changes:
            assert text.count(old) >= 1, old
            text = text.replace(old, new, 1)
        self.sheet.write_text(text, encoding="utf-8")
        return self.export(form)

    def export(self, form="v2"):
        return json.loads(export_card(load_sheet(self.sheet), form, path=str(self.sheet)).raw)


def expected(**changes):
    """The card with some fields of its data changed."""
    document = copy.deepcopy(CARD)
    document["data"] |= changes
    return document


def bare(document):
    """The card without the sheet in it."""
    document["data"]["extensions"].pop(IN_CARD)
    if not document["data"]["extensions"]:
        del document["data"]["extensions"]
    return document


@pytest.mark.parametrize(
    ("old", "new", "field", "value"),
    [
        ("greeting: Crossing?", "greeting: Well?", "first_mes", "Well?"),
        ("role: ferrywoman", "role: smith", "description", DESCRIPTION.replace("ferrywoman", "smith")),
        ("context: The river is high.", "context: All is dry.", "scenario", "All is dry."),
        ("text: I own a goat.", "text: I do.", "description", DESCRIPTION.replace("Mira owns a goat.", "I do.")),
        ("character: It's wet.", "character: It's dry.", "mes_example", EXAMPLES.replace("wet", "dry")),
        ("- Step in.", "- Step out.", "mes_example", EXAMPLES.replace("in.", "out.")),
    ],
)  # fmt: skip
def test_one_text(old, new, field, value, desk):
    assert bare(desk.edited((old, new))) == expected(**{field: value})


def test_a_fact_taken_out(desk):
    document = bare(desk.edited(("  - id: description-1\n    text: I own a goat.\n", "")))
    assert document == expected(description=DESCRIPTION.replace("Mira owns a goat.", ""))


def test_an_identity_text_that_the_card_had_no_place_for(desk):
    first = desk.import_(CARD)
    document = bare(desk.edited((f"register: {first.voice.register_}", "register: slow, dry")))
    assert document["data"]["description"] == DESCRIPTION.rstrip("\n") + "\nSpeech: slow, dry"


def test_a_name(desk):
    document = bare(desk.edited(("name: Mira Oss", "name: Mora Oss")))
    assert document == expected(name="Mora Oss") | {"name": "Mora Oss"}


def test_an_example_taken_out_and_two_added(desk):
    document = bare(
        desk.edited(("    - Step in.", "    - player: Who?\n      character: Me.\n    - Go on.\n    - Hm."))
    )
    assert document["data"]["mes_example"] == (
        "<START>\n{{user}}: Safe?\n{{char}}: It's wet.\n<START>\n<START>\n{{user}}: Who?\n{{char}}: Me.\n<START>\n"
        "{{char}}: Go on.\n<START>\n{{char}}: Hm."
    )


def test_tags_are_keys(desk):
    entries = bare(
        desk.edited(
            ("tags: [mill]", "tags: [mill, flour]"),
            ("[dragon, wyrm]", "[drake, wyrm]"),
            ("[dragon, wyrm]", "[drake, wyrm]"),
        )
    )
    first, second = entries["data"]["character_book"]["entries"]
    assert (first["keys"], second["keys"]) == (["wyrm", "drake"], ["mill", "flour"])
    assert (first["odd"], second["odd"]) == (1, 2)


def test_a_lorebook_sentence(desk):
    document = bare(desk.edited(("text: Drakes were big.", "text: Drakes were small.")))
    first = document["data"]["character_book"]["entries"][0]
    assert first["content"] == "@@depth 2\nDragons are dead. Drakes were small."


def test_the_last_fact_of_an_entry_takes_the_entry_with_it(desk):
    lines = '  - id: lore-2-mill-1\n    text: The mill is shut.\n    tags: [mill]\n    source: "card lorebook: mill"\n'
    document = bare(desk.edited((lines, "")))
    assert [entry["odd"] for entry in document["data"]["character_book"]["entries"]] == [1]


def test_new_facts(desk):
    document = bare(
        desk.edited(
            ("facts:\n", "facts:\n  - {id: a, text: The fee is 2.}\n  - {id: b, text: I swim., tags: [water]}\n")
        )
    )
    assert document["data"]["description"] == DESCRIPTION + "\nThe fee is 2."
    entry = document["data"]["character_book"]["entries"][2]
    assert (entry["keys"], entry["content"], entry["insertion_order"]) == (["water"], "I swim.", 2)


def test_what_has_a_condition_is_told_to_no_other_program(desk):
    document = desk.edited(("text: I own a goat.", "text: I own a goat.\n    when: trust >= 50\n    secret: true"))
    extension = document["data"]["extensions"][IN_CARD]
    assert "goat" not in json.dumps(bare(document))
    assert "goat" in json.dumps(extension)


@pytest.mark.parametrize("form", ["v2", "v3", "png", "charx"])
def test_an_edited_sheet_comes_back_whole(form, desk, tmp_path):
    self_made = (
        "facts:\n",
        "controls: {max_words: 20}\nunknown_topics:\n  - {topic: x, keywords: [elves]}\nfacts:\n"
        "  - {id: s, text: I stole it., when: trust >= 60, secret: true}\n",
    )
    desk.edited(self_made)
    sheet = load_sheet(desk.sheet)
    target = tmp_path / f"card.{form if form in ('png', 'charx') else 'json'}"
    target.write_bytes(export_card(sheet, form, path="x").raw)
    desk.sheet.write_text(import_card(target).text, encoding="utf-8")
    assert load_sheet(desk.sheet) == sheet
    assert export_card(load_sheet(desk.sheet), form, path="x").raw == target.read_bytes()


@pytest.mark.parametrize("form", ["v2", "v3", "png", "charx"])
@pytest.mark.parametrize("name", ["ambrose", "corin", "hesta"])
def test_a_sheet_that_never_was_a_card_comes_back_whole(name, form, tmp_path):
    sheet = load_sheet(shipped_sheets_dir() / f"{name}.yaml")
    target = tmp_path / f"card.{form if form in ('png', 'charx') else 'json'}"
    target.write_bytes(export_card(sheet, form, path="x").raw)
    again = tmp_path / "again.yaml"
    again.write_text(import_card(target).text, encoding="utf-8")
    assert load_sheet(again) == sheet.model_copy(update={"knowledge": ()})


def test_a_card_changed_elsewhere_is_read_from_its_own_fields(desk, tmp_path):
    document = desk.edited(("greeting: Crossing?", "greeting: Well?"))
    document["data"]["first_mes"] = "Changed elsewhere."
    desk.card.write_text(json_text(document), encoding="utf-8")
    made = import_card(desk.card)
    assert "greeting: Changed elsewhere." in made.text
    assert any("was changed since" in line for line in made.report.look)


def test_notes_that_another_program_adds_stay_beside_the_sheet(desk):
    document = desk.edited(("greeting: Crossing?", "greeting: Well?"))
    document["data"] |= {"creator_notes": "Have fun.", "alternate_greetings": []}
    document["data"]["extensions"]["fav"] = True
    document["beside"] = 1
    desk.card.write_text(json_text(document), encoding="utf-8")
    made = import_card(desk.card)
    desk.sheet.write_text(made.text, encoding="utf-8")
    assert made.report.went == ["extensions.npc_engine -> the whole sheet, as this engine exported it"]
    assert load_sheet(desk.sheet).greeting == "Well?"
    assert bare(desk.export()) == bare(document)


def test_notes_that_another_program_adds_to_a_new_card_stay_beside_the_sheet(desk):
    sheet = load_sheet(shipped_sheets_dir() / "hesta.yaml")
    document = json.loads(export_card(sheet, "v3", path="x").raw)
    document["data"] |= {"creator_notes": "Have fun.", "tags": ["smith"]}
    desk.card.write_text(json_text(document), encoding="utf-8")
    desk.sheet.write_text(import_card(desk.card).text, encoding="utf-8")
    again = load_sheet(desk.sheet)
    assert again.model_copy(update={"extensions": {}}) == sheet.model_copy(update={"knowledge": ()})
    exported = desk.export("v3")
    del exported["data"]["extensions"], document["data"]["extensions"]
    assert exported == document


def test_what_cannot_be_taken_over_is_told(desk):
    document = desk.edited(("greeting: Crossing?", "greeting: Well?"), form="v3")
    document["data"]["creator_notes"] = "Have fun."
    desk.card.write_text(json_text(document), encoding="utf-8")
    made = import_card(desk.card)
    assert made.report.look == ["creator_notes: written in another program and version; not taken over"]


@pytest.mark.parametrize("sheet", [None, 7, {}, {"schema": "npc-engine/character@1", "id": "x"}])
def test_a_carried_sheet_that_is_none_is_not_used(sheet, desk):
    document = desk.edited(("greeting: Crossing?", "greeting: Well?"))
    document["data"]["extensions"][IN_CARD]["sheet"] = sheet
    desk.card.write_text(json_text(document), encoding="utf-8")
    made = import_card(desk.card)
    assert any("does not validate" in line for line in made.report.look)
    assert "greeting: Well?" in made.text


def test_a_given_name_is_the_writer_s_and_nothing_else_changes(desk):
    nameless = expected(name="") | {"name": ""}
    desk.card.write_text(json_text(nameless), encoding="utf-8")
    desk.sheet.write_text(import_card(desk.card, name="Mora").text, encoding="utf-8")
    assert load_sheet(desk.sheet).identity.name == "Mora"
    assert desk.export() == expected(name="Mora") | {"name": ""}


def test_v1_says_what_it_has_no_place_for(desk):
    desk.import_(CARD)
    exported = export_card(load_sheet(desk.sheet), "v1", path="x")
    assert list(json.loads(exported.raw)) == [
        "name",
        "description",
        "personality",
        "scenario",
        "first_mes",
        "mes_example",
    ]
    assert exported.report.look == ["V1 has no place for alternate_greetings, character_book, unknown: not in the card"]


def test_a_v2_copy_has_no_decorators(desk):
    desk.import_(CARD | {"spec": "chara_card_v3", "spec_version": "3.0"})
    exported = export_card(load_sheet(desk.sheet), "v2", path="x")
    assert json.loads(exported.raw)["data"]["character_book"]["entries"][0]["content"].startswith("Dragons are dead.")
    assert any("V2 has no decorators" in line for line in exported.report.look)


def changed(sheet, rng):
    """The sheet with some of what writers do to one."""
    facts = list(sheet.facts)
    rng.shuffle(facts)
    facts = facts[: rng.randrange(len(facts) + 1)]
    for index, fact in enumerate(facts):
        if rng.random() < 0.4:
            update = rng.choice(
                (
                    {"text": "It is otherwise: 3 pennies."},
                    {"tags": (*fact.tags[1:], "new tag")},
                    {"when": parse_condition("trust >= 50"), "secret": True},
                )
            )
            facts[index] = fact.model_copy(update=update)
    facts += [Fact(id="new", text="I am new."), Fact(id="newer", text="I am newer.", tags=("age",))]
    identity = sheet.identity.model_copy(update={rng.choice(("name", "role", "social", "context")): "Another text"})
    left = rng.sample(sheet.voice.examples, len(sheet.voice.examples) // 2)
    examples = (*left, VoiceExample(character="Hm."))
    voice = sheet.voice.model_copy(update={"examples": examples, "avoid": ("okay",)})
    update = {"facts": tuple(facts), "identity": identity, "voice": voice, "goals": ("to sleep",)}
    return sheet.model_copy(update=update | ({"greeting": "New."} if rng.random() < 0.5 else {}))


@pytest.mark.parametrize("make", [clean_card, wild_card])
@pytest.mark.parametrize("seed", range(30))
def test_any_change_to_any_card_comes_back(make, seed, desk, tmp_path):
    rng = random.Random(seed)
    sheet = changed(desk.import_(make(seed)), rng)
    form = rng.choice(("v2", "v3", "png", "charx"))
    target = tmp_path / f"card.{form if form in ('png', 'charx') else 'json'}"
    target.write_bytes(export_card(sheet, form, path="x").raw)
    desk.sheet.write_text(import_card(target).text, encoding="utf-8")
    assert load_sheet(desk.sheet) == sheet
    told = json.dumps(
        [read_card(target).text(name) for name in V1_FIELDS] + [e for _, e in read_card(target).entries()]
    )
    for fact in sheet.facts:
        if fact.id in ("new", "newer") or "otherwise" in fact.text:
            assert (fact.text in told) == (fact.when is None)
    json.loads(export_card(sheet, "v1", path="x").raw)
