from pathlib import Path

import pytest

from npc_engine.errors import SheetCondition, SheetError, SheetInvalid, SheetNotFound, SheetVersion
from npc_engine.sheets.conditions import GameState
from npc_engine.sheets.loader import load_lore, load_sheet, load_sheets
from npc_engine.sheets.schema import CharacterSheet, FallbackReason

SHEET = """\
schema: npc-engine/character@1
id: mira
identity:
  name: Mira
  role: ferrywoman
  social: Runs the ferry.
  personal: Likes quiet.
  context: The river is high.
voice:
  register: calm
  examples:
    - Step in.
    - {player: Hello., character: Hello yourself.}
facts:
  - id: fare
    text: The fare is two pennies.
  - id: leak
    text: My boat leaks.
    when: "trust >= 40"
    secret: true
actions:
  - name: ferry
    description: Take the player across.
    parameters:
      - {name: people, type: integer, description: how many, minimum: 1, maximum: 6}
fallbacks:
  unknown: [I don't know.]
  error: [Say again?]
  refusal: ["No."]
  out_of_world: [What is that?]
  busy: [Wait.]
greeting: Crossing?
tests:
  - {name: fare, lines: [What is the fare?], facts: [fare], says: [[two, "2"]]}
"""

LORE = """\
schema: npc-engine/lore@1
title: River
entries:
  - {id: river, text: The river is called Oss.}
  - {id: eddy, text: The eddy drowns swimmers., scopes: [boats]}
  - {id: ghost, text: A ghost walks the bank., scopes: [tales], when: flag('night')}
"""


def write(folder: Path, text: str, name: str = "mira.yaml") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def problems(folder: Path, text: str) -> tuple[SheetError, ...]:
    with pytest.raises(SheetInvalid) as caught:
        load_sheet(write(folder, text))
    return caught.value.problems


def test_a_sheet_loads_with_all_it_says(tmp_path: Path) -> None:
    sheet = load_sheet(write(tmp_path, SHEET))
    assert (sheet.id, sheet.identity.name, sheet.greeting) == ("mira", "Mira", "Crossing?")
    assert [example.player for example in sheet.voice.examples] == [None, "Hello."]
    assert sheet.fallback(FallbackReason.BUSY) == ("Wait.",)
    fare, leak = sheet.facts
    assert (fare.when, fare.secret, fare.source) == (None, False, "sheet")
    assert leak.when is not None
    assert leak.when.holds(GameState(trust=40))
    assert not leak.when.holds(GameState())
    assert sheet.action("ferry") is sheet.actions[0]
    assert sheet.action("fly") is None


def test_the_hash_is_of_content_not_of_layout(tmp_path: Path) -> None:
    plain = load_sheet(write(tmp_path, SHEET))
    commented = load_sheet(write(tmp_path, "# a comment\n" + SHEET.replace('"trust >= 40"', "trust>=40")))
    changed = load_sheet(write(tmp_path, SHEET.replace("two pennies", "three pennies")))
    assert plain.content_hash == commented.content_hash
    assert plain.content_hash != changed.content_hash
    assert len(plain.content_hash) == 64


def test_lore_is_merged_by_scope_and_condition(tmp_path: Path) -> None:
    write(tmp_path, LORE, "lore/river.yaml")
    knows = "knowledge:\n  - {lore: lore/river.yaml, scopes: [tales], when: trust >= 10}\n"
    sheet = load_sheet(write(tmp_path, SHEET + knows))
    lore = {fact.id: fact for fact in sheet.facts if fact.source == "lore/river.yaml"}
    assert list(lore) == ["river", "ghost"]
    assert lore["ghost"].when is not None
    assert lore["ghost"].when.text == "flag('night') and trust >= 10"
    assert lore["river"].when is not None
    assert lore["river"].when.text == "trust >= 10"
    changed = LORE.replace("Oss", "Ems")
    write(tmp_path, changed, "lore/river.yaml")
    assert load_sheet(tmp_path / "mira.yaml").content_hash != sheet.content_hash
    assert len(load_lore(tmp_path / "lore" / "river.yaml").entries) == 3


@pytest.mark.parametrize(
    ("reference", "problem", "hint"),
    [
        ("{lore: lore/none.yaml}", "no lore file", ""),
        ("{lore: ../river.yaml}", "in or below", "lore/vale.yaml"),
        ("{lore: /etc/passwd}", "in or below", "lore/vale.yaml"),
        ("{lore: 'C:\\river.yaml'}", "in or below", "lore/vale.yaml"),
        ("{lore: lore/river.yaml, scopes: [tale]}", "no scope 'tale'", "did you mean `tales`?"),
        ("{lore: lore/clash.yaml}", "fact id 'fare' is used twice", "rename"),
        ("{lore: lore/broken.yaml}", "unknown key `titel`", "did you mean `title`?"),
        ("{lore: lore/tab.yaml}", "token", "tabs"),
    ],
)
def test_lore_that_cannot_be_taken(tmp_path: Path, reference: str, problem: str, hint: str) -> None:
    write(tmp_path, LORE, "lore/river.yaml")
    write(tmp_path, LORE.replace("id: river", "id: fare"), "lore/clash.yaml")
    write(tmp_path, LORE.replace("title: River", "title: River\ntitel: x"), "lore/broken.yaml")
    write(tmp_path, "a:\n\tb: 1\n", "lore/tab.yaml")
    (found,) = problems(tmp_path, SHEET + f"knowledge:\n  - {reference}\n")
    assert problem in found.problem
    assert hint in found.hint
    assert found.line


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "problem", "hint"),
    [
        ("facts:\n", "fact:\n", 14, "fact", "unknown key `fact`", "did you mean `facts`?"),
        ("  role: ferrywoman\n", "", 4, "identity", "missing key `role`", "Trade and place"),
        ("greeting: Crossing?\n", "", 1, "", "missing key `greeting`", "conversation opens"),
        ("name: Mira", "name: 12", 4, "identity.name", "expected text, found a whole number (12)", "quotes"),
        ("name: Mira", "name:", 4, "identity.name", "nothing is written here", "remove"),
        ('when: "trust >= 40"', "when:", 19, "facts[1].when", "nothing is written here", "remove"),
        ("- Step in.", "-", 12, "voice.examples[0]", "nothing is written here", "remove"),
        ("name: Mira", "name: ''", 4, "identity.name", "empty text", "remove"),
        ("name: Mira", f"name: {'x' * 61}", 4, "identity.name", "61 characters, at most 60", "shorten"),
        ("id: mira", "id: Mira K", 2, "id", "does not have the form", "lower-case"),
        ("secret: true", "secret: yes", 20, "facts[1].secret", "expected true or false, found text", ""),
        (
            "maximum: 6",
            "maximum: six",
            25,
            "actions[0].parameters[0].maximum",
            "expected a whole number or a number",
            "",
        ),
        ("type: integer", "type: int", 25, "actions[0].parameters[0].type", "'int' is not one of", "`integer`"),
        ("maximum: 6", "maximum: 0", 25, "actions[0].parameters[0]", "minimum is larger than maximum", ""),
        ("maximum: 6", "choices: [a]", 25, "actions[0].parameters[0]", "choice 'a' is not of type integer", ""),
        ("unknown: [I don't know.]", "unknown: []", 27, "fallbacks.unknown", "0 entries, at least 1", ""),
        ("unknown: [I don't know.]", "unknown: What?", 27, "fallbacks.unknown", "expected a list, found text", "- "),
        ("    secret: true\n", "    secret: true\n  - Just text.\n", 21, "facts[2]", "expected keys and values", ""),
        ("id: leak", "id: fare", 17, "facts[1]", "fact id 'fare' is used twice", "rename"),
        ('    when: "trust >= 40"\n', "", 17, "facts[1]", "has no `when`", "trust >= 60"),
        ("facts: [fare]", "facts: [fair]", 34, "tests[0].facts[0]", "no fact has the id 'fair'", "`fare`"),
        ("facts: [fare]", "facts: [leak]", 34, "tests[0].facts[0]", "hidden in this test's state", "trust >= 40"),
        (
            "{name: people,",
            "{name: action,",
            25,
            "actions[0].parameters[0].name",
            "cannot be called 'action'",
            "another",
        ),
        ("  - name: ferry", "  - name: none", 22, "actions[0].name", "cannot be called 'none'", "another"),
        (
            "description: Take the",
            "offer: Now?\n    description: Take the",
            23,
            "actions[0].offer",
            "no yes",
            "confirm",
        ),
        (
            "description: Take the",
            "confirm: true\n    offer: For {peple}?\n    description: Take the",
            24,
            "actions[0].offer",
            "no required parameter",
            "`people`",
        ),
        ("facts: [fare]", "action: fery", 34, "tests[0].action", "no action is called 'fery'", "`ferry`"),
        ("facts: [fare]", "state: {place: 3}", 34, "tests[0].state.place", "expected text", "quotes"),
        (
            "greeting:",
            "controls: {routes: {tsk: {}}}\ngreeting:",
            32,
            "controls.routes.tsk",
            "'tsk' is not one of",
            "`task`",
        ),
        ("greeting:", "controls: {role_play: 7}\ngreeting:", 32, "controls.role_play", "must be less than", ""),
    ],
)
def test_one_fault_gives_one_located_problem(
    tmp_path: Path, old: str, new: str, line: int, key: str, problem: str, hint: str
) -> None:
    assert SHEET.count(old) == 1
    (found,) = problems(tmp_path, SHEET.replace(old, new))
    assert (found.line, found.key) == (line, key)
    assert problem in found.problem
    assert hint in found.hint


def test_a_condition_is_located_inside_its_quotes(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, SHEET.replace('"trust >= 40"', '"trust >= 4 and tust > 1"'))
    assert isinstance(found, SheetCondition)
    assert (found.line, found.column, found.key) == (19, 27, "facts[1].when")
    assert found.hint == "did you mean `trust`?"


def test_all_problems_of_a_file_come_at_once_in_order(tmp_path: Path) -> None:
    text = (
        SHEET.replace("facts:\n", "fact:\n").replace("name: Mira", "name: 1").replace("greeting: Crossing?", "mood: x")
    )
    found = problems(tmp_path, text)
    assert [problem.key for problem in found] == ["", "identity.name", "fact", "mood"]
    with pytest.raises(SheetInvalid, match=r"4 problems(.|\n)*mira\.yaml:4:9: identity\.name: expected text"):
        load_sheet(tmp_path / "mira.yaml")


@pytest.mark.parametrize(
    ("first", "hint"),
    [
        ("", "write as the first line"),
        ("schema: npc-engine/character@2\n", "the npc-engine that reads it"),
        ("schema: chara_card_v2\n", "write schema: npc-engine/character@1"),
    ],
)
def test_another_schema_is_not_read(tmp_path: Path, first: str, hint: str) -> None:
    text = SHEET.replace("schema: npc-engine/character@1\n", first)
    with pytest.raises(SheetVersion) as caught:
        load_sheet(write(tmp_path, text))
    assert hint in caught.value.hint
    assert caught.value.line == 1


@pytest.mark.parametrize("text", ["", "just text", "- a\n- b\n"])
def test_yaml_that_is_no_mapping_is_no_sheet(tmp_path: Path, text: str) -> None:
    (found,) = problems(tmp_path, text)
    assert "expected keys and values" in found.problem


def test_folders_hold_sheets_by_id(tmp_path: Path) -> None:
    mira = write(tmp_path, SHEET)
    write(tmp_path, SHEET.replace("id: mira", "id: bo"), "bo.yml")
    write(tmp_path, LORE, "lore/river.yaml")
    assert list(load_sheets([tmp_path])) == ["bo", "mira"]
    assert list(load_sheets([mira, mira])) == ["mira"]


def test_two_sheets_of_one_id_name_both_files(tmp_path: Path) -> None:
    write(tmp_path, SHEET, "a.yaml")
    write(tmp_path, SHEET, "b.yaml")
    with pytest.raises(SheetInvalid, match=r"b\.yaml: id: .*a\.yaml"):
        load_sheets([tmp_path])


def test_problems_of_several_files_come_together(tmp_path: Path) -> None:
    write(tmp_path, SHEET.replace("id: mira", "id: 3"), "a.yaml")
    write(tmp_path, "a: [", "b.yaml")
    write(tmp_path, SHEET, "c.yaml")
    with pytest.raises(SheetInvalid) as caught:
        load_sheets([tmp_path])
    assert [problem.code for problem in caught.value.problems] == ["NPC103", "NPC102"]


def test_nothing_to_load_is_an_error(tmp_path: Path) -> None:
    for paths in ([], [tmp_path], [tmp_path / "none.yaml"]):
        with pytest.raises(SheetNotFound):
            load_sheets(paths)


def test_extensions_are_kept_as_they_are(tmp_path: Path) -> None:
    sheet = load_sheet(write(tmp_path, SHEET + "extensions:\n  tool: {deep: [1, {x: null}]}\n"))
    assert sheet.extensions == {"tool": {"deep": [1, {"x": None}]}}


def test_five_thousand_facts_load(tmp_path: Path) -> None:
    facts = "".join(f"  - {{id: f{i}, text: Fact number {i}.}}\n" for i in range(4990))
    sheet: CharacterSheet = load_sheet(write(tmp_path, SHEET.replace("facts:\n", "facts:\n" + facts)))
    assert len(sheet.facts) == 4992
