"""Regressions are planted where they can be, and what catches them is told apart from what was wrong before."""

import pytest

from npc_engine.playtest.scenarios.loading import load_casts
from npc_engine.playtest.scenarios.schema import Expected
from npc_engine.playtest.scores.scored import Scored
from npc_engine.playtest.talks import TalkRecord, TurnRecord
from npc_engine.sheets.library import shipped_sheets_dir
from tools.eval_plants import PLANTS, breaks_loading, caught, planted

CASTS = load_casts([shipped_sheets_dir()])


@pytest.mark.parametrize("cast", CASTS, ids=lambda cast: cast.sheet.id)
def test_every_shipped_sheet_takes_every_plant(cast):
    for plant in PLANTS:
        sheet = planted(cast, plant)
        assert sheet is not None, plant.name
        assert sheet.content_hash != cast.sheet.content_hash
        said = breaks_loading(cast, sheet)
        assert bool(said) == (plant.name == "action renamed"), (plant.name, said)


def scored(name, is_right):
    turn = TurnRecord(line="?", reply="!", expected=Expected(says=[["!"]]))
    one = Scored(TalkRecord(talk=f"m/{name}", seed=1, digest="", character="m", name=name, turns=(turn,)))
    one.add("as expected", is_right)
    return one


def test_only_what_was_right_can_go_wrong():
    before = [scored("a", True), scored("b", False), scored("c", True)]
    after = [scored("a", False), scored("b", False), scored("c", True)]
    assert caught(before, after) == ["scenario m/a"]
    assert caught(before, before) == []
