from pathlib import Path

import pytest

from npc_engine.errors import SheetInvalid
from npc_engine.sheets.questions import answers, load_questions

PRICE = (("40", "forty"), ("gold", "crowns"))


@pytest.mark.parametrize(
    "reply",
    [
        "Forty crowns.",
        "That's 40 gold, not a penny less.",
        "crowns: forty",
        "FORTY\n  Crowns!",
        "A 40-crown sword? 40 crowns.",
    ],
)
def test_every_group_is_matched_by_one_of_its_strings(reply: str) -> None:
    assert answers(reply, PRICE)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "Forty.",
        "Crowns.",
        "140 crowns",
        "1,40 crowns",
        "40.5 crowns",
        "40,000 crowns",
        "fortyish crowns",
        "x40 gold",
    ],
)
def test_a_part_of_a_word_or_number_is_no_match(reply: str) -> None:
    assert not answers(reply, PRICE)


def test_what_is_written_may_differ_in_hyphens_quotes_and_spaces() -> None:
    assert not answers("twenty-four", (("four",),))
    assert answers("My father’s sword", (("father's sword",),))
    assert answers("three   weeks", (("three weeks",),))
    assert answers("about 10% (ten)", (("10%",),))


def test_a_question_file_is_checked_like_a_sheet(tmp_path: Path) -> None:
    file = tmp_path / "q.yaml"
    file.write_text(
        "schema: npc-engine/questions@1\n"
        "character: hesta\n"
        "questions:\n"
        "  - question: How much?\n"
        "    fact: price\n"
        "    answer: [[40, forty]]\n"
        "    state: {trst: 3}\n",
        encoding="utf-8",
    )
    with pytest.raises(SheetInvalid) as caught:
        load_questions(file)
    first, second = caught.value.problems
    assert (first.line, first.key, first.problem) == (
        6,
        "questions[0].answer[0][0]",
        "expected text, found a whole number (40)",
    )
    assert (second.line, second.hint) == (7, "did you mean `trust`?")
