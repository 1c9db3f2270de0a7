"""tools/eval_personality.py: the variants of a sheet, and what is counted of their replies."""

import pytest

from npc_engine.sheets.personality.inventory import TRAITS
from tests.talk import mara, talking
from tools.eval_personality import HIGH, LINES, LOW, interval, quantities, replies, rows, variants


@pytest.fixture
def sheets(tmp_path):
    return variants(mara(tmp_path), is_bare=True)


def test_one_variant_in_the_middle_and_two_a_trait(sheets):
    assert [sheet.id for sheet in sheets] == [
        "middle",
        *(f"{trait}-{side}" for trait in TRAITS for side in (LOW, HIGH)),
    ]
    for sheet in sheets[1:]:
        trait, side = sheet.id.rsplit("-", 1)
        assert sheet.personality.big_five.model_dump() == dict.fromkeys(TRAITS, 0.5) | {trait: float(side)}
        assert sheet.voice.examples == ()


def test_what_is_counted():
    counts = quantities("Good day! I am glad. Perhaps it is bad?")
    assert (counts["words a reply"], counts["words a sentence"]) == (9, 3)
    assert (counts["exclamation marks"], counts["questions"]) == (1, 1)
    assert counts["positive words"] == pytest.approx(200 / 9)
    assert counts["negative words"] == counts["hedges"] == pytest.approx(100 / 9)


def test_low_against_high():
    said = {f"{trait}-{side}": ["One two three."] * 4 for trait in TRAITS for side in (LOW, HIGH)}
    said[f"extraversion-{HIGH}"] = ["One two three four five!"] * 4
    table = {(row["trait"], row["quantity"]): row for row in rows(said)}
    louder = table["extraversion", "words a reply"]
    assert (louder["low"], louder["high"], louder["difference"], louder["interval"]) == (3, 5, 2, (2, 2))
    assert louder["expected"] == "+"
    assert table["openness", "words a reply"]["difference"] == 0
    low, high = interval([-1.0, 1.0, -1.0, 1.0])
    assert low < 0 < high


async def test_every_line_is_answered(sheets, reciter, word_encoder):
    async with talking(*sheets[:2], model=reciter("Well", " met."), encoder=word_encoder) as dialogue:
        assert await replies(dialogue, "middle") == ["Well met."] * len(LINES)
