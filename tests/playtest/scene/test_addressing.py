"""Who is called, and who is only mentioned."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_engine.playtest.scene.addressing import address, call_names

NAMES = {"hesta": "Hesta Varrow", "corin": "Corin Vey", "nell": "Nell Harker"}


@pytest.mark.parametrize(
    ("line", "members"),
    [
        ("Hesta, what do you sell?", "hesta"),
        ("What do you sell, Corin?", "corin"),
        ("Corin what do you sell", "corin"),
        ("hesta", "hesta"),
        ("HESTA VARROW!", "hesta"),
        ("Hesta? Are you there?", "hesta"),
        ("Hesta I want a sword.", "hesta"),
        ("Hesta tell Corin that I am here.", "hesta"),
        ("Corin who are you", "corin"),
        ("Hesta, is Corin honest?", "hesta"),
        ("Corin, Hesta said that you charge twelve.", "corin"),
        ("Do you like Hesta, Corin?", "corin"),
        ("Ask Hesta, Nell.", "nell"),
        ("And you, Corin, what do you sell?", "corin"),
        ("And Corin, what about you?", "corin"),
        ("Corin is honest. Hesta, what do you think?", "hesta"),
        ("Thank you, Mistress Varrow.", "hesta"),
        ("Good evening Corin.", "corin"),
        ("Tell me Corin, is it far?", "corin"),
        ("Hesta and Corin, what do you sell?", "hesta corin"),
        ("Hello Corin and Hesta.", "corin hesta"),
        ("Hesta, Corin: good day.", "hesta corin"),
        ("What would you say, Nell, Corin and Hesta?", "nell corin hesta"),
        ("Hesta, Corin and Nell are thieves.", "hesta"),
        ("Hesta, does anyone sell rope?", "hesta"),
        ("Hesta\n, \u201cwhat\u201d do you sell?", "hesta"),
        ("Hesta, Hesta, Hesta!", "hesta"),
    ],
)
def test_who_is_called(line, members):
    found = address(line, NAMES, last="nell")
    assert (found.how, " ".join(found.members)) == ("named", members)


@pytest.mark.parametrize(
    "line",
    [
        "both of you, listen",
        "What do all of you sell?",
        "You two, come here.",
        "Everyone, listen!",
        "Good evening, everybody.",
        "Good evening all.",
        "Does anyone know the way?",
        "Which of you is the smith?",
    ],
)
def test_all_of_them(line):
    assert address(line, NAMES, last="nell").how == "everyone"
    assert address(line, NAMES).members == ("hesta", "corin", "nell")


@pytest.mark.parametrize(
    "line",
    [
        "What does Corin sell?",
        "Is that Hesta's sword?",
        "I met Hesta, Nell and Corin.",
        "Who is honest, Hesta or Corin?",
        "Hesta, Corin, and Nell are thieves.",
        "Who told you? Corin.",
        "And Corin?",
        "Corin who sells fish is nice.",
        "Tell me about Corin.",
        "Give it to Hesta, please.",
        "It is cold, Corin says.",
        "I told everyone.",
        "That is all.",
        "I'll tell you all about it.",
        "What does everyone else think?",
        "Hestaville is far away.",
        "A Corin-like man, I think.",
        "",
        "?!",
    ],
)
def test_who_is_only_mentioned(line):
    assert address(line, NAMES, last="nell").how == "last"


def test_nobody_called_is_whoever_was_last_or_the_first():
    assert address("And why?", NAMES, last="corin").members == ("corin",)
    assert address("And why?", NAMES).members == ("hesta",)
    # Whoever has left is spoken with no more.
    assert address("And why?", {"nell": "Nell Harker"}, last="corin").how == "first"


def test_a_shared_word_calls_nobody_and_a_whole_name_its_own():
    names = {"ann": "Ann Reed", "tobin": "Tobin Reed", "ann-marie": "Ann"}
    assert "reed" not in call_names(names)
    assert address("Reed, come here.", names).how == "first"
    assert address("Tobin Reed, come here.", names).members == ("tobin",)
    assert address("Ann, come here.", names).members == ("ann-marie",)


@given(st.text(alphabet=st.sampled_from("Hesta Corin,and.?!&:; \n'’you of all-"), max_size=120))
def test_any_line_is_meant_for_somebody(line):
    found = address(line, NAMES)
    assert found.members
    assert set(found.members) <= set(NAMES)
    assert len(set(found.members)) == len(found.members)
