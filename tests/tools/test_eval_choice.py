"""Lines that a halved sheet has not seen, and what is counted of what came of them."""

from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheets
from tools.eval_choice import evidence_of, halved, lines_of, scored

SHEETS = load_sheets([shipped_sheets_dir()])


def test_no_line_that_is_said_is_left_in_its_sheet():
    num_wanted = 0
    for sheet in SHEETS.values():
        half = halved(sheet)
        left = {line for action in half.actions for line in action.examples}
        asked = list(lines_of(sheet, sheets_dir=shipped_sheets_dir()))
        wanted = [one for one in asked if one.wanted is not None]
        assert wanted
        assert any(one.wanted is None for one in asked)
        assert not left & {one.line for one in wanted}
        assert all(any(action.name == one.wanted for action in half.actions) for one in wanted)
        num_wanted += len(wanted)
    assert num_wanted > 80


def turn(*names, ranked=()):
    return {"calls": [], "trace": {"actions": [{"name": name} for name in names], "choice": {"ranked": list(ranked)}}}


def test_the_first_action_tried_is_what_counts():
    records = [
        {"wanted": "sell", "turn": turn("sell", "look")},
        {"wanted": "sell", "turn": turn("look", "sell")},
        {"wanted": "sell", "turn": turn()},
        {"wanted": None, "turn": turn()},
        {"wanted": None, "turn": turn("sell")},
    ]
    report = scored(records)
    task, talk = report["an action is wanted"], report["none is wanted"]
    assert (task["lines"], talk["lines"]) == (3, 2)
    assert [task[key].split()[0] for key in ("as wanted", "another", "nothing")] == ["33%"] * 3
    assert [talk[key].split()[0] for key in ("as wanted", "another", "nothing")] == ["0%", "50%", "50%"]


def test_a_record_is_evidence_for_the_fit():
    row = {"name": "sell", "example": 0.5, "description": 0.4, "model": -1.0, "in_play": False}
    (found,) = evidence_of(3, {"wanted": "sell", "turn": turn(ranked=[row])})
    assert (found.dialogue, found.wanted, found.names) == (3, frozenset({"sell"}), ("sell",))
    (none,) = evidence_of(3, {"wanted": None, "turn": turn(ranked=[row])})
    assert none.wanted == frozenset()
