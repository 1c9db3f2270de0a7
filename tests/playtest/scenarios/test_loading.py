"""Scenario files beside sheets: found, held to their sheet, and wrong at a line."""

from pathlib import Path

import pytest

from npc_engine.errors import SheetError, SheetInvalid, SheetNotFound, SheetVersion
from npc_engine.playtest.scenarios.loading import TEST_GROUP, load_casts, load_scenarios
from npc_engine.sheets.library import shipped_sheets_dir
from tests.talk import MARA

SCENARIOS = """\
schema: npc-engine/scenarios@1
character: mara
seeds: [1, 2]
scenarios:
  - name: the price
    lines: [What does a sword cost?]
    facts: [price-sword]
    says: [[forty]]
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mara.yaml").write_text(
        MARA + "tests:\n- {name: home, lines: [Where do you live?]}\n", encoding="utf-8"
    )
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "mara.yaml").write_text(SCENARIOS, encoding="utf-8")
    return tmp_path


def write(folder, text):
    (folder / "scenarios" / "mara.yaml").write_text(text, encoding="utf-8")


def test_a_sheet_brings_its_tests_and_the_scenarios_beside_it(folder):
    for path in (folder, folder / "mara.yaml"):
        (cast,) = load_casts([path])
        assert [(one.name, one.group) for one in cast.scenarios] == [("home", TEST_GROUP), ("the price", "scenario")]
        assert cast.seeds == (1, 2)


def test_a_scenario_file_finds_its_sheet(folder):
    (cast,) = load_casts([folder / "scenarios" / "mara.yaml"])
    assert [one.name for one in cast.scenarios] == ["the price"]
    assert cast.path == folder / "mara.yaml"


def test_a_scenario_takes_the_place_of_the_test_of_its_name(folder):
    write(folder, SCENARIOS.replace("the price", "home"))
    (cast,) = load_casts([folder])
    assert [(one.name, one.group) for one in cast.scenarios] == [("home", "scenario")]


def test_a_scenario_file_without_a_sheet(tmp_path):
    (tmp_path / "mara.yaml").write_text(SCENARIOS, encoding="utf-8")
    with pytest.raises(SheetNotFound, match=r"no sheet mara\.yaml"):
        load_casts([tmp_path / "mara.yaml"])


@pytest.mark.parametrize(
    ("old", "new", "line", "problem"),
    [
        ("price-sword]", "price-swrd]", 7, "no fact has the id 'price-swrd'"),
        ("says:", "sayz:", 8, "unknown key `sayz`"),
        ("says: [[forty]]", "action: sell_swords", 8, "no action is called 'sell_swords'"),
        ("says: [[forty]]", "action: sell_sword\n    arguments: {number: 2}", 9, "no parameter 'number'"),
        ("character: mara", "character: gil", 2, "that of 'mara'"),
        ("seeds: [1, 2]", "seeds: [one]", 3, "a whole number"),
        ("lines: [What does a sword cost?]", "lines:", 6, "nothing is written here"),
        ("[What does a sword cost?]", "[{say: Hi, same_as: 1}]", 5, "names no line before line 1"),
        ("    says: [[forty]]", "    says: [[forty]]\n  - {name: the price, lines: [Hi.]}", 9, "a second scenario"),
        ("[[forty]]", "forty", 8, "expected a list"),
        ("[[forty]]", "[[forty]]\n    any_of: [{facts: [nowhere]}]", 9, "no fact has the id 'nowhere'"),
    ],
)
def test_a_wrong_file_is_wrong_at_a_line(folder, old, new, line, problem):
    assert old in SCENARIOS
    write(folder, SCENARIOS.replace(old, new))
    with pytest.raises(SheetInvalid) as raised:
        load_casts([folder])
    assert problem in str(raised.value)
    assert f"mara.yaml:{line}:" in str(raised.value)


def test_a_later_version_is_told_apart(folder):
    write(folder, SCENARIOS.replace("@1", "@9"))
    with pytest.raises(SheetVersion, match="another version"):
        load_casts([folder])


def test_every_broken_file_of_a_folder_is_named(folder):
    write(folder, SCENARIOS.replace("price-sword", "nothing"))
    (folder / "gil.yaml").write_text("schema: npc-engine/character@1\n", encoding="utf-8")
    with pytest.raises(SheetError) as raised:
        load_casts([folder])
    assert "gil.yaml" in str(raised.value)
    assert "nothing" in str(raised.value)


SHIPPED = load_casts([shipped_sheets_dir()])


@pytest.mark.parametrize("cast", SHIPPED, ids=lambda cast: cast.sheet.id)
def test_shipped_characters_have_scenarios_of_every_kind(cast):
    assert (cast.path.parent / "scenarios" / cast.path.name).is_file()
    assert len(cast.scenarios) >= 8
    groups = {one.group for one in cast.scenarios}
    assert {"facts", "secrets", "actions", "limits", "voice", "consistency"} <= groups
    hidden = {fact.id for fact in cast.sheet.facts if fact.secret}
    guarded = {fact for one in cast.scenarios for step in one.steps() for fact in step.no_facts}
    assert hidden & guarded


@pytest.mark.parametrize("cast", SHIPPED, ids=lambda cast: cast.sheet.id)
def test_shipped_scenarios_can_come_out_right(cast):
    """What a fact must say, the fact says; what must be found holds in the scenario's state."""
    facts = {fact.id: fact for fact in cast.sheet.facts}
    for scenario in cast.scenarios:
        state = scenario.state
        for step in scenario.steps():
            for name in step.facts:
                assert facts[name].when is None or facts[name].when.holds(state), (scenario.name, name)
            for name in step.no_facts:
                assert facts[name].when is not None, (scenario.name, name)
                assert not facts[name].when.holds(state), (scenario.name, name)


def test_no_scenario_lies_among_the_sheets():
    assert not [path for path in Path(shipped_sheets_dir()).glob("*.scenarios.*")]


def test_the_example_of_the_page_is_a_scenario_file(tmp_path):
    page = (Path(__file__).parents[3] / "docs" / "playtest.md").read_text(encoding="utf-8")
    example = page.split("```yaml\n")[1].split("```")[0]
    path = tmp_path / "hesta.yaml"
    path.write_text(example, encoding="utf-8")
    (hesta,) = [cast.sheet for cast in SHIPPED if cast.sheet.id == "hesta"]
    assert len(load_scenarios(path, hesta).scenarios[0].lines) == 4
