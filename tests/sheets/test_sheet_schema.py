import json
import re
from pathlib import Path
from typing import Any

from npc_engine.cli.sheet import json_schema
from npc_engine.sheets.conditions import MAX_CONDITION_CHARS, MAX_CONDITION_DEPTH
from npc_engine.sheets.fields import MAX_FACTS, MAX_LINE_CHARS, MAX_NAME_CHARS, MAX_NOTE_CHARS, MAX_PROSE_CHARS
from npc_engine.sheets.loader import load_sheet
from npc_engine.sheets.questions import answers, load_questions
from npc_engine.sheets.schema import CharacterSheet, ControlValues
from npc_engine.sheets.yaml_reader import MAX_FILE_BYTES, MAX_NESTING

PUBLISHED = Path(__file__).parents[2] / "docs" / "schema" / "character-1.json"
GUIDE = Path(__file__).parents[2] / "docs" / "sheets.md"


def test_the_published_schema_is_the_model_s() -> None:
    assert PUBLISHED.read_text(encoding="utf-8") == json_schema(), (
        "npc-engine sheet schema > docs/schema/character-1.json"
    )


def test_every_field_says_its_effect() -> None:
    schema: dict[str, Any] = json.loads(json_schema())
    for name, definition in {"CharacterSheet": schema, **schema["$defs"]}.items():
        for key, value in definition.get("properties", {}).items():
            assert value.get("description"), f"{name}.{key}"


def test_every_field_is_in_the_guide() -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(json_schema())
    keys = set(schema["properties"])
    for definition in schema["$defs"].values():
        keys |= set(definition.get("properties", {}))
    assert not [key for key in sorted(keys) if f"`{key}`" not in guide]


def test_field_names_do_not_hide_model_methods() -> None:
    assert not set(CharacterSheet.model_fields) & {"schema", "copy", "json", "dict"}


def test_the_guide_s_own_sheet_and_questions_load(tmp_path: Path) -> None:
    sheet_text, question_text = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    sheet_file, question_file = tmp_path / "mira.yaml", tmp_path / "questions.yaml"
    sheet_file.write_text(sheet_text, encoding="utf-8")
    question_file.write_text(question_text, encoding="utf-8")
    facts = {fact.id: fact for fact in load_sheet(sheet_file).facts}
    for question in load_questions(question_file).questions:
        assert answers(facts[question.fact].text, question.answer)


def test_the_guide_s_limits_are_the_product_s() -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    limits = [MAX_NAME_CHARS, MAX_NOTE_CHARS, MAX_PROSE_CHARS, MAX_LINE_CHARS, MAX_FACTS, MAX_NESTING]
    table = guide[guide.index("| limit | value |") : guide.index("## Conditions")]
    assert [int(number) for number in re.findall(r"\| (\d+)", table)] == limits
    assert f"At most {MAX_CONDITION_CHARS} characters, nested at most {MAX_CONDITION_DEPTH} deep" in guide
    assert f"at most {MAX_FILE_BYTES:,} bytes" in guide
    defaults = ControlValues().model_dump()
    for name, value in defaults.items():
        assert re.search(rf"\| `{name}`(?: †)? \| {value}\b", guide), name
