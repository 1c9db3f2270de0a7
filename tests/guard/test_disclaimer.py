"""Does a reply say that the speaker does not know? The shipped sheets' own lines are the test set."""

import pytest

from npc_engine.guard.disclaimer import says_not_knowing
from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheets

SHEETS = load_sheets([shipped_sheets_dir()])
# Evades without a word of not knowing, which the rule does not cover.
EVASIONS = {"I eat, I do not inquire. The kitchen at the Drowned Bell will know."}


@pytest.mark.parametrize(
    "line",
    [
        line
        for sheet in SHEETS.values()
        for lines in (sheet.fallbacks.unknown, *(topic.lines for topic in sheet.unknown_topics))
        for line in lines
    ],
)
def test_the_shipped_lines_of_not_knowing_say_so(line):
    assert says_not_knowing(line) is (line not in EVASIONS)


def test_no_shipped_fact_says_so():
    assert [fact.id for sheet in SHEETS.values() for fact in sheet.facts if says_not_knowing(fact.text)] == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("I don’t really know.", True),
        ("Couldn't rightly say.", True),
        ("I have no idea.", True),
        ("I'm not sure.", True),
        ("Never heard of him.", True),
        ("I cannot provide that.", True),
        ("You know that I charge 40 crowns.", False),
        ("Nobody knows it better than I.", False),
        ("It never breaks.", False),
        ("I do not sell armour.", False),
        ("", False),
    ],
)
def test_wordings(text, says):
    assert says_not_knowing(text) is says
