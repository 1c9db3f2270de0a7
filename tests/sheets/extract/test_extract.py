"""From prose to proposals: the two chapters of tests/data/extract, and one sentence at a time."""

from pathlib import Path

import pytest

from npc_engine.errors import CharacterUnclear, TextUnreadable
from npc_engine.sheets.extract.changes import history
from npc_engine.sheets.extract.claims import claims
from npc_engine.sheets.extract.names import find_character
from npc_engine.sheets.extract.run import extract
from npc_engine.sheets.extract.text import read_text

DATA = Path(__file__).parents[2] / "data" / "extract"
CHAPTERS = [DATA / "ferrywoman_1.txt", DATA / "ferrywoman_2.txt"]


@pytest.fixture
def told(tmp_path):
    """What a text says of the character, as the character says it."""

    def told(text, name=None):
        path = tmp_path / "text.txt"
        path.write_text(text, encoding="utf-8")
        read = read_text(path)
        return [claim.text for claim in claims([read], find_character([read], name))]

    return told


def texts(extraction):
    return [one.claim.text for one in extraction.proposals]


def test_one_chapter():
    found = extract(CHAPTERS[:1])
    assert found.character.name == "Mira Oss"
    assert texts(found) == [
        "I was born on the ferry, on a night of high water.",
        "I live in the ferry house at Harrow Ford.",
        "I am seventeen years old.",
        "I have never left the valley.",
        "I own two boats, the Wren and the Otter.",
        "I mend nets in the winter.",
        "I charge 2 pennies for a crossing.",
        "My left hand has a scar from a mooring line.",
        "I am afraid of bridges.",
        "Anna Reed was my best friend.",
    ]
    assert [(one.name, one.kind) for one in found.people] == [("Anna Reed", "best friend")]


def test_a_later_chapter_has_the_last_word():
    found = extract(CHAPTERS)
    changes = {one.was: (one.claim.text, one.history) for one in found.proposals if one.was}
    assert changes == {
        "I live in the ferry house at Harrow Ford.": (
            "I moved to Weir, a day's walk downstream.",
            "I used to live in the ferry house at Harrow Ford.",
        ),
        "I am seventeen years old.": ("I am nineteen years old.", ""),
        "I own two boats, the Wren and the Otter.": ("I now own one boat.", ""),
        "I charge 2 pennies for a crossing.": ("I charge 3 pennies for a crossing.", ""),
        "I am afraid of bridges.": ("I am not afraid of bridges.", "I used to be afraid of bridges."),
    }
    assert not {"I am seventeen years old.", "I am afraid of bridges."} & set(texts(found))
    assert texts(found).count("I charge 3 pennies for a crossing.") == 1
    assert {one.name for one in found.people} == {"Anna Reed", "Old Pell", "Sanna Brook"}


def test_every_claim_stands_where_it_says():
    for one in extract(CHAPTERS).proposals:
        position = one.claim.position
        source = position.path.read_text(encoding="utf-8")
        there = " ".join(source[position.start : position.end].split())
        assert there == one.claim.evidence
        assert source.count("\n", 0, position.start) + 1 == position.line


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("Mira sells nets.", ["I sell nets."]),
        ("Mira sells nets and buys rope in the spring.", ["I sell nets and buy rope in the spring."]),
        ("Mira often sings and rarely drinks.", ["I often sing and rarely drink."]),
        ("Mira fears her brothers and their dogs.", ["I fear my brothers and their dogs."]),
        ("Mira keeps a dog that follows her.", ["I keep a dog that follows me."]),
        ("Mira wants what is hers.", ["I want what is mine."]),
        ("Mira blames herself for the flood.", ["I blame myself for the flood."]),
        ("In her youth, Mira sailed to the coast.", ["In my youth, I sailed to the coast."]),
        ("However, Mira sailed home.", ["I sailed home."]),
        ("While there, Mira sold nets.", ["I sold nets."]),
        ("Mira, a widow, keeps the ferry.", ["I keep the ferry."]),
        ("Mira's house stands by the river.", ["My house stands by the river."]),
        ("Mira has a house (a small one) by the river.[3]", ["I have a house by the river."]),
        ("Mira never works and sings.", ["I never work and sing."]),
        # Somebody else may be meant, or it is only supposed, or nobody in the world could say it.
        ("Anna trusts her.", []),
        ("Mira told Anna that she was right.", []),
        ("If it rains, Mira stays at home.", []),
        ("Mira may be a witch.", []),
        ("According to Anna, Mira is a witch.", []),
        ("Mira is the protagonist of two novels.", []),
        ("Mira first appears in The Ferry.", []),
        ("Mira was assassinated in the autumn.", []),
        ("Is Mira a witch?", []),
        ('"Mira is a witch of the old kind," said Anna.', []),
        ("Mira and Anna keep the ferry.", []),
    ],
)
def test_a_sentence_in_the_first_person(told, sentence, said):
    # The frame tells that the name is Mira and the pronoun she.
    frame = "Mira is old. She is grey. Mira likes tea. She likes bread.\n\n"
    assert told(frame + sentence, "Mira")[4:] == said


def test_long_sentences_are_cut_where_the_rest_is_still_so(told):
    long = (
        "Mira keeps the ferry at the ford below the old mill, which has belonged to the family of the miller for as "
        "long as anybody in the valley can think of."
    )
    assert told(f"{long}\n\n{long.replace('keeps', 'never keeps')}", "Mira") == [
        "I keep the ferry at the ford below the old mill."
    ]


def test_attributes(told):
    text = (
        "Name: Mira Oss\nAge: 34\nOccupation: Ferrywoman\nPersonality: Calm, stubborn, and quick to laugh.\n"
        "Background: Grew up on the river.\nHome: Weir\nFavourite food: eel pie\nLikes: quiet mornings\n"
    )
    assert told(text) == [
        "I am 34 years old.",
        "I am a ferrywoman.",
        "I am calm, stubborn and quick to laugh.",
        "I grew up on the river.",
        "I live in Weir.",
        "My favourite food is eel pie.",
        "I like quiet mornings.",
    ]


def test_a_text_in_the_first_person(told):
    text = "I keep the ferry at Weir. My brother drowned. I was born here. Do you want to cross? I am old. Click here."
    assert told(text, "Mira")[:2] == ["I keep the ferry at Weir.", "My brother drowned."]


def test_whose_pronoun_it_is(told):
    text = "Mira is old. She keeps bees.\n\nAnna is young. She keeps cows. Mira likes Anna. She sells honey.\n"
    assert told(text, "Mira") == ["I am old.", "I keep bees.", "I like Anna.", "I sell honey."]


def test_wrapped_lines_are_one_sentence_and_keep_their_place(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("Mira Oss keeps the ferry at the ford below the mill\nand has done so for years.\nShort\nA line.\n")
    sentences = read_text(path).sentences
    assert sentences[0].text.endswith("the mill and has done so for years.")
    assert [(one.position.line, one.text) for one in sentences][1:] == [(3, "Short"), (4, "A line.")]


@pytest.mark.parametrize(
    ("old", "new", "past"),
    [
        ("I live in Harrow.", "I moved to Weir.", "I used to live in Harrow."),
        ("I am a cooper.", "I am no cooper.", "I used to be a cooper."),
        ("I have a dog.", "I do not have a dog.", "I used to have a dog."),
        ("My hair is red.", "My hair is grey.", "My hair used to be red."),
        ("I am twelve years old.", "I am thirteen years old.", ""),
        ("I charge 2 pennies.", "I charge 3 pennies.", ""),
        ("I sold the boat.", "I did not sell the boat.", ""),
        ("I can swim.", "I cannot swim.", ""),
    ],
)
def test_history(old, new, past):
    assert history(old, new) == past


@pytest.mark.parametrize(
    ("raw", "problem"),
    [(b"", "no sentence"), (b"\xff\xfe\xff", "UTF-8"), (b"a\0b", "not a text"), (b"... 123 ...", "no sentence")],
)
def test_what_is_no_text(tmp_path, raw, problem):
    path = tmp_path / "text.txt"
    path.write_bytes(raw)
    with pytest.raises(TextUnreadable, match=problem):
        read_text(path)


@pytest.mark.parametrize("path", ["none.txt", "."])
def test_what_cannot_be_read(tmp_path, path):
    with pytest.raises(TextUnreadable):
        read_text(tmp_path / path)


def test_whom_it_is_about_must_be_clear(told):
    with pytest.raises(CharacterUnclear, match="whom"):
        told("It rained. The river rose. Nobody came.")
    with pytest.raises(CharacterUnclear, match="nowhere"):
        told("Mira is old. Mira is grey. Mira sleeps.", "Anna")
