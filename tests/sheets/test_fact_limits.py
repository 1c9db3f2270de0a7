"""Sheets with no facts, with far too long ones, and with as many as there may be."""

import pytest

from npc_engine.errors import SheetInvalid
from npc_engine.sheets.fields import MAX_FACT_CHARS, MAX_FACTS
from npc_engine.sheets.loader import load_sheet
from tests.talk import MARA

BEFORE, _, REST = MARA.partition("facts:\n")
AFTER = "relationships:" + REST.partition("relationships:")[2]


def load(folder, facts):
    path = folder / "mara.yaml"
    path.write_text(f"{BEFORE}{facts}{AFTER}", encoding="utf-8")
    return load_sheet(path)


@pytest.mark.parametrize("facts", ["", "facts: []\n"])
def test_a_sheet_without_facts_loads(tmp_path, facts):
    assert load(tmp_path, facts).facts == ()


def test_a_fact_of_two_thousand_words_is_named_with_its_place_and_limit(tmp_path):
    text = "word " * 2000
    with pytest.raises(SheetInvalid) as caught:
        load(tmp_path, f"facts:\n  - id: short\n    text: Fine.\n  - id: long\n    text: {text}\n")
    (problem,) = caught.value.problems
    line = BEFORE.count("\n") + 5
    assert (problem.key, problem.line) == ("facts[1].text", line)
    assert str(MAX_FACT_CHARS) in problem.problem
    assert len(str(caught.value)) < 500


def test_more_facts_than_there_may_be(tmp_path):
    facts = "".join(f"  - {{id: f{number}, text: Number.}}\n" for number in range(MAX_FACTS + 1))
    with pytest.raises(SheetInvalid, match=f"{MAX_FACTS}"):
        load(tmp_path, f"facts:\n{facts}")
