"""`npc-engine sheet format`, `rename` and `diff`."""

import json
import shutil

import pytest

from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheet
from npc_engine.sheets.questions import load_questions
from npc_engine.sheets.templates import template_names, template_path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The shipped sheets, lore and questions, to change."""
    monkeypatch.setenv("NPC_ENGINE_CACHE_DIR", str(tmp_path / "no-models"))
    shutil.copytree(shipped_sheets_dir(), tmp_path / "sheets")
    return tmp_path / "sheets"


def everything(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*.yaml"))}


# --- format


def test_the_shipped_files_are_formatted(command):
    root = shipped_sheets_dir()
    assert command("sheet", "format", "--check", root, root / "lore", root / "questions")[:2] == (0, "nothing to do\n")


@pytest.mark.parametrize("name", template_names())
def test_templates_are_formatted(name, command):
    assert command("sheet", "format", "--check", template_path(name))[0] == 0


def test_format_keeps_comments_order_and_data(folder, command):
    path = folder / "hesta.yaml"
    original = path.read_text(encoding="utf-8")
    before = load_sheet(path)
    ragged = original.replace("\n  - to ", "\n- to ").replace("\nvoice:", "\n\n\n\nvoice:   ")
    ragged = ragged.replace("greeting: ", "greeting:     ").replace("{openness: 0.35, ", "{  openness: 0.35,  ")
    path.write_text(ragged + "\n\n", encoding="utf-8")
    assert command("sheet", "format", "--check", path)[0] == 1
    assert path.read_text(encoding="utf-8") == ragged + "\n\n"
    assert command("sheet", "format", path)[0] == 0
    assert path.read_text(encoding="utf-8") == original
    assert load_sheet(path) == before


def test_format_keeps_windows_line_ends(folder, command):
    path = folder / "hesta.yaml"
    content = path.read_bytes().replace(b"\n", b"\r\n")
    path.write_bytes(content.replace(b"greeting: ", b"greeting:    "))
    assert command("sheet", "format", path)[0] == 0
    assert path.read_bytes() == content


# --- rename


def test_a_fact_is_renamed_in_sheet_tests_and_questions(folder, command):
    code, out, _ = command("sheet", "rename", folder / "hesta.yaml", "price-short-sword", "short-sword")
    assert code == 0
    assert out.splitlines()[-1] == "4 places in 3 files"
    sheet = load_sheet(folder / "hesta.yaml")
    assert "short-sword" in [fact.id for fact in sheet.facts]
    assert any("short-sword" in test.facts for test in sheet.tests)
    asked = [one.fact for one in load_questions(folder / "questions" / "hesta.yaml").questions]
    assert "short-sword" in asked
    assert all(b"price-short-sword" not in content for content in everything(folder).values())


def test_a_lore_fact_is_renamed_for_everybody(folder, command):
    before = {name: load_sheet(folder / f"{name}.yaml") for name in ("ambrose", "corin", "hesta")}
    assert command("sheet", "rename", folder / "hesta.yaml", "fletcher", "bow-maker")[0] == 0
    for name, sheet in before.items():
        ids = [fact.id.replace("fletcher", "bow-maker") for fact in sheet.facts]
        assert [fact.id for fact in load_sheet(folder / f"{name}.yaml").facts] == ids
    texts = [content.decode() for content in everything(folder).values()]
    assert sum("fact: fletcher" in text or "[fletcher]" in text or "id: fletcher" in text for text in texts) == 0


def test_a_fact_of_the_same_id_in_another_sheet_stays(folder, command):
    assert command("sheet", "rename", folder / "hesta.yaml", "age", "years")[0] == 0
    assert "age" in [fact.id for fact in load_sheet(folder / "corin.yaml").facts]
    assert "years" in [fact.id for fact in load_sheet(folder / "hesta.yaml").facts]


def test_a_character_is_renamed_in_its_questions(folder, command):
    assert command("sheet", "rename", folder / "hesta.yaml", "hesta", "hesta-varrow")[0] == 0
    assert load_sheet(folder / "hesta.yaml").id == "hesta-varrow"
    assert load_questions(folder / "questions" / "hesta.yaml").character == "hesta-varrow"
    assert load_questions(folder / "questions" / "corin.yaml").character == "corin"


def test_an_action_is_renamed_in_its_tests(folder, command):
    assert command("sheet", "rename", folder / "hesta.yaml", "sell_item", "sell_weapon")[0] == 0
    sheet = load_sheet(folder / "hesta.yaml")
    assert "sell_weapon" in [action.name for action in sheet.actions]
    assert "sell_weapon" in [test.action for test in sheet.tests]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("pric-dagger", "knife", "did you mean `price-dagger`?"),
        ("price-dagger", "price-spear", "is taken"),
        ("price-dagger", "town", "is taken"),
        ("hesta", "corin", "is taken"),
        ("price-dagger", "Price Dagger", "cannot be the id of a fact"),
        ("sell_item", "none", "cannot be the name of an action"),
    ],
)
def test_a_wrong_name_changes_nothing(old, new, says, folder, command):
    before = everything(folder)
    code, _, err = command("sheet", "rename", folder / "hesta.yaml", old, new)
    assert code == 1
    assert "NPC119" in err
    assert says in err
    assert everything(folder) == before


def test_a_dry_run_writes_nothing(folder, command):
    before = everything(folder)
    code, out, _ = command("sheet", "rename", "--dry-run", folder / "hesta.yaml", "price-dagger", "dagger")
    assert code == 0
    assert "nothing written" in out
    assert everything(folder) == before


def test_an_id_of_two_kinds_asks_which(folder, command):
    path = folder / "hesta.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("- id: age\n", "- id: hesta\n"), encoding="utf-8")
    code, _, err = command("sheet", "rename", path, "hesta", "other")
    assert (code, "--kind" in err) == (1, True)
    assert command("sheet", "rename", path, "hesta", "other", "--kind", "fact")[0] == 0
    sheet = load_sheet(path)
    assert sheet.id == "hesta"
    assert "other" in [fact.id for fact in sheet.facts]


# --- diff


@pytest.fixture
def differ(folder, command):
    """Changes a copy of Hesta and returns the lines of the difference."""

    def run(*changes, arguments=("--no-models",)):
        old, new = folder / "hesta.yaml", folder / "changed.yaml"
        text = old.read_text(encoding="utf-8")
        for before, after in changes:
            assert before in text
            text = text.replace(before, after, 1)
        new.write_text(text, encoding="utf-8")
        code, out, _ = command("sheet", "diff", old, new, *arguments)
        assert code == 0
        return out.splitlines()

    return run


SWORD = "I charge 40 crowns for a short sword."


def test_no_difference(differ):
    assert differ() == ["0 changes"]


def test_another_price_contradicts(differ):
    lines = differ((SWORD, "A short sword costs 45 crowns."))
    assert lines[0] == "! contradicted: price-short-sword"
    assert lines[1:3] == [f"    {SWORD}", " -> A short sword costs 45 crowns."]


def test_the_same_in_other_words_is_reworded(differ):
    assert differ((SWORD, "A short sword costs 40 crowns."))[0].startswith("= reworded: price-short-sword")


def test_something_else_is_another_meaning(differ):
    assert differ((SWORD, "I forge short swords only in winter."))[0].startswith("~ changed meaning: price-short-sword")


def test_an_added_and_a_removed_fact(differ):
    lines = differ(
        (
            "  - id: mule\n    text: My mule is called Bishop, and he bites.\n    tags: [animal, pet, donkey, beast]\n",
            "",
        ),
        ("  - id: draughts\n", "  - id: bees\n    text: I keep two hives behind the forge.\n  - id: draughts\n"),
    )
    assert lines == [
        "- removed: mule: My mule is called Bishop, and he bites.",
        "+ added: bees: I keep two hives behind the forge.",
        "2 changes",
    ]


def test_a_renamed_fact_is_neither_lost_nor_new(differ):
    assert differ(("- id: mule\n", "- id: bishop\n"))[0].startswith("= renamed: bishop")


def test_conditions_and_other_sections(differ):
    lines = differ(("when: trust >= 50\n", "when: trust >= 20\n"), ("max_words: 35", "max_words: 30"))
    assert "* condition: eye" in lines
    assert " -> trust >= 20, secret" in lines
    assert "* changed: controls.max_words" in lines


def test_json_says_what_told_it(differ, monkeypatch):
    costs = (SWORD, "A short sword costs 40 crowns.")
    assert json.loads("\n".join(differ(costs, arguments=("--json",))))["changes"][0]["by"] == "nli"
    monkeypatch.setenv("NPC_ENGINE_NLI", "absent")
    document = json.loads("\n".join(differ(costs, arguments=("--json",))))
    (change,) = document["changes"]
    assert change["by"] == "text"
    assert [note.split(" ")[1] for note in document["notes"]] == ["encoder", "NLI"]


def test_the_encoder_tells_where_it_is_installed(differ, stubs, monkeypatch):
    monkeypatch.setenv("NPC_ENGINE_CACHE_DIR", str(stubs))
    monkeypatch.setenv("NPC_ENGINE_NLI", "absent")
    lines = differ((SWORD, "I charge 40 good crowns for a short sword."), arguments=())
    assert lines[0].startswith("= reworded: price-short-sword  [encoder ")
