import pytest

from npc_engine.actions.confirm import is_yes

YES = (
    *("Yes.", "yes please", "Yes, deal.", "Aye!", '"Yes"', "Yeah, two of them.", "Yes I will take them"),
    *("OK", "okay then", "Sure thing.", "Of course.", "Deal.", "Done!", "Agreed, here is the money.", "Fine, do it"),
    *("I'll take it.", "I\u2019ll take them", "Go ahead.", "Please do.", "Sounds good.", "Right, I'll take it."),
)
NO = (
    *("No.", "Not now.", "", "...", "What does it cost?", "Maybe.", "A yes would be too much."),
    *("Yes, but cheaper.", "Yes, wait.", "Okay, never mind: no.", "Sure, but not today.", "Yes, I don't want it."),
    *("Fine weather today.", "Deal with the wolves first.", "Right behind you is a rat.", "Done that before."),
    *("Okay, how much is the dagger?", "Yes?", "Sure is cold.", "Yesterday I sold it.", "Okayish.", "Yes, later."),
)


@pytest.mark.parametrize("line", YES)
def test_yes(line):
    assert is_yes(line)


@pytest.mark.parametrize("line", NO)
def test_anything_else(line):
    assert not is_yes(line)
