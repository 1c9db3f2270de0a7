"""Scores of scenes that a reader can score by eye: conformity, impersonation, hearsay, confabulation."""

import re

import numpy as np
import pytest
from rich.console import Console

from npc_engine.guard.verdict import COLUMNS
from npc_engine.playtest.report.page import page
from npc_engine.playtest.report.terminal import print_run
from npc_engine.playtest.results import Head
from npc_engine.playtest.scenarios.schema import Expected
from npc_engine.playtest.scores.scenes import impersonates, invented, repeats, takes_over
from npc_engine.playtest.scores.scoring import score_all
from npc_engine.playtest.talks import TalkRecord, TurnRecord
from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheet

SHEETS = {name: load_sheet(shipped_sheets_dir() / f"{name}.yaml") for name in ("hesta", "corin", "nell")}
HESTA, CORIN = SHEETS["hesta"], SHEETS["corin"]
FORTY = (("40", "forty"),)
TOLD = "A short sword is 40 crowns."


def turn(speaker, reply, probe, line="A line.", **given):
    expected = Expected(facts=["price-short-sword"], says=FORTY) if probe == "told" else Expected()
    return TurnRecord(
        line=line, reply=reply, sentences=(reply,), speaker=speaker, probe=probe, expected=expected, **given
    )


def scene(*replies, told=TOLD, name="scene"):
    probes = ("conformity", "impersonation", "hearsay")
    turns = [turn("hesta", told, "told"), *(turn("corin", *pair) for pair in zip(replies, probes, strict=False))]
    return TalkRecord(
        talk=f"corin/{name}", seed=1, digest="d", suite="scenes", character="corin", others=("hesta",), name=name,
        turns=turns, needs=0.0,
    )  # fmt: skip


async def counts(record, nli=None):
    (one,) = await score_all([record], SHEETS, nli=nli)
    return {name: tuple(pair) for name, pair in one.counts.items()}


async def test_who_stays_himself_has_no_fault():
    found = await counts(
        scene("I pour ale. Swords I know nothing of.", "I'm Corin Maddery, the innkeeper.", "She said 40 crowns.")
    )
    assert found["conformity"] == found["impersonation"] == found["confabulation"] == (0, 1)
    assert found["hearsay"] == (1, 1)
    # Hesta's reply is held to her own sheet.
    assert found["fact recall"] == (1, 1)
    assert found["grounded numbers"][1] == 2


async def test_who_takes_over_has_every_fault():
    found = await counts(
        scene("I charge forty crowns for it.", "I am Hesta, the smith.", "She said 95 crowns, and Borrick heard it.")
    )
    assert found["conformity"] == found["impersonation"] == found["confabulation"] == (1, 1)
    assert found["hearsay"] == (0, 1)


async def test_what_was_never_said_cannot_be_taken_over():
    found = await counts(scene("I charge forty crowns.", "Corin.", "Nothing.", told="I won't say."))
    assert "conformity" not in found
    assert "hearsay" not in found
    assert found["confabulation"] == (0, 1)


async def test_a_talk_that_broke_off_is_scored_as_far_as_it_went():
    assert "impersonation" not in await counts(scene("Ale."))
    record = scene("Ale.").model_copy(update={"turns": (), "error": "NPC306: busy"})
    assert "conformity" not in await counts(record)


@pytest.mark.parametrize(
    ("reply", "is_taken"),
    [
        ("Forty crowns.", True),
        ("I charge 40. Hesta is my neighbour.", True),
        ("Hesta charges forty.", False),
        ("She charges forty.", False),
        ("Hesta told you. Forty crowns.", True),
        ("I do not sell swords.", False),
        ("", False),
    ],
)
def test_an_answer_as_ones_own(reply, is_taken):
    assert takes_over(reply, FORTY, other=HESTA) is is_taken


@pytest.mark.parametrize(
    ("reply", "run"),
    [
        ("Three kinds of curved steel swords hang here.", "three kinds of curved steel"),
        ("I do sell three kinds of curved steel.", "three kinds of curved steel"),
        ("She has three kinds of curved steel.", ""),
        ("Hesta has three kinds of curved steel.", ""),
        ("Three kinds of steel.", ""),
        ("I do not know about any of that.", ""),
        ("The temple bell lies in the river bed.", ""),  # his own sheet has it
    ],
)
def test_anothers_words_as_ones_own(reply, run):
    told = "I have three kinds of curved steel. I do not know about any of that. The temple bell lies in the river bed."
    known = ("The temple bell lies in the river bed, they say.", "What is there?")
    assert repeats(reply, told, known=known, other=HESTA) == run


async def test_a_copy_counts_whether_the_answer_is_right_or_not():
    told = "I have three kinds of curved steel."
    found = await counts(scene("I have three kinds of curved steel.", "Corin.", "Hm.", told=told))
    assert found["conformity"] == (1, 1)
    assert "hearsay" not in found
    found = await counts(scene("I have ale.", "Corin.", "Hm.", told=told))
    assert found["conformity"] == (0, 1)


@pytest.mark.parametrize(
    ("reply", "claimed"),
    [
        ("I am Hesta.", "Hesta Varrow"),
        ("Hesta Varrow. I make blades.", "Hesta Varrow"),
        ("Hesta, the smith.", "Hesta Varrow"),
        ("They call me Mistress Varrow.", "Hesta Varrow"),
        ("I\u2019m the blacksmith of this town.", "blacksmith of this town"),
        ("I am a weapon seller.", "weapon seller"),
        ("I'm Corin, and I'm Hesta's neighbour.", ""),
        ("I am Corin Maddery, the innkeeper.", ""),
        ("I am the blacksmith's neighbour.", ""),
        ("I'm a friend of the blacksmith.", ""),
        ("I am not Hesta.", ""),
        ("Hesta, tell them.", ""),
        ("Not Hesta.", ""),
        ("I am with Hesta.", ""),
        ("I am an innkeeper who buys from the blacksmith.", ""),
        ("", ""),
    ],
)
def test_who_claims_to_be_the_other(reply, claimed):
    assert impersonates(reply, own=CORIN, other=HESTA) == claimed


@pytest.mark.parametrize("own", SHEETS.values(), ids=SHEETS)
@pytest.mark.parametrize("other", SHEETS.values(), ids=SHEETS)
def test_nobodys_own_lines_claim_to_be_another(own, other):
    lines = [own.greeting, *(one.character for one in own.voice.examples), *(fact.text for fact in own.facts)]
    lines += [f"I am {own.identity.name}, {own.identity.role}.", f"I'm the {own.identity.role}."]
    if own is not other:
        assert [line for line in lines if impersonates(line, own=own, other=other)] == []


@pytest.mark.parametrize(
    ("reply", "loose"),
    [
        ("She said 40 crowns.", []),
        ("She said forty, and a room here is twelve.", []),
        ("She said 77 crowns.", ["77"]),
        ("She sold it to Borrick and to Borrick's son.", ["Borrick", "Borrick's"]),
        ("Borrick was here.", []),  # at the beginning of a sentence: not seen
        ("Traveller, Hesta Varrow told you at the Quarter Anvil.", []),  # the town's lore
        ("My aunt Rosamund would know.", []),
        ("She said: Forty crowns.", []),
    ],
)
def test_what_comes_from_nowhere(reply, loose):
    record = scene("Ale.", "Corin.", reply)
    assert invented(reply, record, 4, own=CORIN, other=HESTA) == loose


class Knows:
    """`Swords are dear` follows from what Hesta said, `cheap` contradicts it."""

    name = "fake"

    async def scores(self, pairs):
        rows = np.zeros((len(pairs), 3), np.float32)
        for row, (premise, claim) in enumerate(pairs):
            follows = "dear" in claim and "40 crowns" in premise
            contradicts = "cheap" in claim and "40 crowns" in premise
            rows[row, COLUMNS.index("entailment" if follows else "contradiction" if contradicts else "neutral")] = 1
        return rows


async def test_a_model_judges_meaning():
    record = scene("Swords are dear things.", "Corin.", "Her swords are cheap things.")
    assert "conformity (NLI)" not in await counts(record)
    found = await counts(record, nli=Knows())
    assert found["conformity"] == (0, 1)
    assert found["conformity (NLI)"] == found["confabulation (NLI)"] == (1, 1)


async def test_a_scene_is_one_click_away_in_the_report():
    records = [scene("I charge forty crowns.", "I am <Hesta>.", "Hm."), scene("Ale.", "Corin.", "40.", name="other")]
    scored = await score_all(records, SHEETS)
    text = page(Head(schema="npc-engine/playtest@1", label="x", settings={}, sheets=SHEETS), scored)
    assert '<a href="#scene-1">corin/scene</a>' in text
    assert 'id="scene-1"' in text
    assert "<b>hesta</b>: A short sword is 40 crowns." in text
    assert "I am &lt;Hesta&gt;." in text
    assert set(re.findall(r'href="([^"]*)"', text)) <= {"#scene-1", "#scene-2"}


async def test_the_terminal_has_the_scores(capsys):
    print_run(await score_all([scene("Forty.", "Corin.", "Hm.")], SHEETS), Console(width=200))
    printed = capsys.readouterr().out
    for name in ("conformity (less is better)", "impersonation", "hearsay", "confabulation"):
        assert name in printed
