"""A talk that went wrong, written where the next run finds it."""

import pytest

from npc_engine.errors import SheetError, SheetNotWritten
from npc_engine.playtest.scenarios.loading import load_casts, scenario_path
from npc_engine.playtest.scenarios.saving import bad_talk, save_scenario
from npc_engine.playtest.scenarios.schema import Step
from npc_engine.sheets.conditions import GameState
from tests.talk import MARA


@pytest.fixture
def sheet_path(tmp_path):
    path = tmp_path / "mara.yaml"
    path.write_text(MARA, encoding="utf-8")
    return path


def test_a_bad_talk_is_found_beside_the_sheet(sheet_path):
    scenario = bad_talk(
        ["Good day.", Step(say="Sell me two swords, please.", state=GameState(trust=60))],
        reply="As an assistant I have no swords. Sorry.",
        name="talks like an assistant",
        state=GameState(trust=10, flags=frozenset({"war"})),
    )
    path = scenario_path(sheet_path)
    assert save_scenario(path, scenario, character="mara") == "talks like an assistant"
    (cast,) = load_casts([sheet_path])
    (loaded,) = cast.scenarios
    assert loaded.steps() == scenario.steps()
    assert loaded.state == scenario.state
    assert loaded.never_says == ("As an assistant I have no swords",)
    assert "- Good day.\n" in path.read_text(encoding="utf-8")


def test_comments_stay_and_names_stay_apart(sheet_path):
    path = scenario_path(sheet_path)
    path.parent.mkdir()
    path.write_text(
        "# ours\nschema: npc-engine/scenarios@1\ncharacter: mara\nscenarios:\n  - name: How much?  # often\n"
        "    lines: [How much?]\n",
        encoding="utf-8",
    )
    for name in ("How much? (2)", "How much? (3)"):
        assert save_scenario(path, bad_talk(["How much?"], reply="Much."), character="mara") == name
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ours\n")
    assert "# often" in text


def test_long_replies_and_names_are_cut_at_words(sheet_path):
    scenario = bad_talk(["Why? " * 30], reply="Because " + "of reasons " * 30 + ". No.")
    assert len(scenario.name) <= 60
    assert scenario.never_says[0] == "Because" + " of reasons" * 4 + " of"


def test_anothers_file_and_no_file_of_scenarios_stay_as_they_are(sheet_path):
    path = scenario_path(sheet_path)
    save_scenario(path, bad_talk(["Hi."], reply="Ho."), character="mara")
    before = path.read_text(encoding="utf-8")
    with pytest.raises(SheetNotWritten, match="scenarios of 'mara'"):
        save_scenario(path, bad_talk(["Hi."], reply="Ho."), character="gil")
    assert path.read_text(encoding="utf-8") == before
    with pytest.raises(SheetError):
        save_scenario(sheet_path, bad_talk(["Hi."], reply="Ho."), character="mara")
    assert sheet_path.read_text(encoding="utf-8") == MARA
