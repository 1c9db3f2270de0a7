"""Scores of talks that a reader can score by eye, and the report made of them."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from npc_engine.errors import ReportNotWritten
from npc_engine.guard.verdict import COLUMNS
from npc_engine.playtest.compare import compare
from npc_engine.playtest.report.machine import as_json, junit, write_whole
from npc_engine.playtest.report.page import comparison_page, confusion, page, worst
from npc_engine.playtest.results import Head
from npc_engine.playtest.scenarios.schema import Expected
from npc_engine.playtest.scores.definitions import BY_NAME, SCORES
from npc_engine.playtest.scores.scoring import score_all
from npc_engine.playtest.scores.summary import summarise, verdicts
from npc_engine.playtest.scores.voice import voice_likeness, voice_text
from npc_engine.playtest.talks import ActionRecord, TalkRecord, TurnRecord
from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheet

HESTA = load_sheet(shipped_sheets_dir() / "hesta.yaml")
PRICE = {"facts": ["price-short-sword"], "says": [["40", "forty"]]}
FOUND = {"premises": [{"id": "price-short-sword", "text": "I charge 40 crowns for a short sword.", "kind": "fact"}]}


def turn(reply, line="What is a short sword?", trace=None, **expected):
    return TurnRecord(
        line=line, reply=reply, sentences=(reply,), expected=Expected(**expected), trace=trace or {},
        first_sentence_s=0.5, total_s=1.0,
    )  # fmt: skip


def talk(*turns, name="talk", **given):
    return TalkRecord(talk=f"hesta/{name}", seed=1, digest="d", character="hesta", name=name, turns=turns, **given)


async def counts(*records, nli=None):
    scored = await score_all(records, {"hesta": HESTA}, nli=nli)
    for one in scored:
        assert one.counts.keys() <= BY_NAME.keys()
    return [{name: tuple(pair) for name, pair in one.counts.items()} for one in scored]


async def test_facts_numbers_and_what_was_found():
    (right,) = await counts(talk(turn("Forty crowns.", trace=FOUND, **PRICE)))
    assert right["as expected"] == right["fact recall"] == right["fact found"] == (1, 1)
    assert right["number contradiction"] == (0, 1)
    assert right["grounded numbers"] == (1, 1)
    (wrong,) = await counts(talk(turn("It is 999 crowns.", **PRICE)))
    assert wrong["as expected"] == wrong["fact recall"] == wrong["fact found"] == (0, 1)
    assert wrong["number contradiction"] == (1, 1)
    assert wrong["grounded numbers"] == (0, 1)


async def test_limits_secrets_and_actions():
    had = talk(
        turn("I do not know.", unknown=True),
        turn("I clouded it.", tells_not=[["clouded"]]),
        turn("As an AI, no.", in_character=True),
        turn("Here.", action="sell_item", arguments={"item": "dagger"}),
    )
    (one,) = await counts(had)
    assert one["knowledge boundary"] == (1, 1)
    assert one["secrets kept"] == (0, 1)
    assert one["in character"] == (3, 4)
    assert one["action success"] == (0, 1)
    assert "refusal in character" not in one
    (attacked,) = await counts(had.model_copy(update={"suite": "redteam"}))
    assert attacked["refusal in character"] == (3, 4)


async def test_retest_and_paraphrase_are_told_apart():
    (one,) = await counts(
        talk(
            turn("Forty crowns."),
            turn("Forty.", same_as=1),
            turn("Fifty crowns.", line="What do you take for a short sword?", same_as=1),
        )
    )
    assert one["retest consistency"] == (1, 1)
    assert one["paraphrase consistency"] == (0, 1)


async def test_repeats_are_held_to_the_first():
    first, other = talk(turn("Forty crowns.")), talk(turn("Fifty crowns."), repeat=1)
    before, after = await counts(first, other)
    assert "retest consistency" not in before
    assert after["retest consistency"] == (0, 1)


async def test_late_turns_weigh_more():
    good, bad = turn("Good iron."), turn("As an AI, no.")
    (early,) = await counts(talk(bad, *[good] * 5))
    (late,) = await counts(talk(*[good] * 5, bad))
    assert early["position-weighted consistency"] == (20, 21)
    assert late["position-weighted consistency"] == (15, 21)
    (short,) = await counts(talk(*[good] * 5))
    assert "position-weighted consistency" not in short


async def test_catchphrases_raise_the_index():
    phrase = HESTA.personality.catchphrases[0]
    (plain,) = await counts(talk(turn("The short sword hangs behind the door.")))
    (loud,) = await counts(talk(turn(phrase)))
    assert plain["flanderization"][0] < 0.2 < loud["flanderization"][0]


async def test_authored_lines_are_not_the_models():
    (one,) = await counts(talk(turn("I do not know.").model_copy(update={"source": "fallback"})))
    assert one["authored replies"] == (1, 1)
    assert "flanderization" not in one


def test_the_sheets_own_lines_are_most_like_it():
    own = voice_likeness([voice_text(HESTA)], HESTA)
    foreign = voice_likeness(
        ["Greetings, esteemed customer! How may our establishment delight you this evening?"] * 2, HESTA
    )
    assert own == pytest.approx(1)
    assert foreign < own
    assert voice_likeness(["Yes."], HESTA) is None


class Contradicts:
    """Everything that says `never` contradicts everything; the rest is neutral."""

    name = "fake"

    async def scores(self, pairs):
        rows = np.zeros((len(pairs), 3), np.float32)
        for row, (_, hypothesis) in enumerate(pairs):
            rows[row, COLUMNS.index("contradiction" if "never" in hypothesis else "neutral")] = 1
        return rows


async def test_claims_are_judged_where_there_is_a_model():
    had = talk(turn("I never forge swords."), turn("I forge swords daily."))
    (without,) = await counts(had)
    assert "contradiction (NLI)" not in without
    (one,) = await counts(had, nli=Contradicts())
    assert one["contradiction (NLI)"] == (1, 2)
    assert one["supported (NLI)"] == (0, 2)


def records():
    return [
        talk(turn("Forty crowns.", trace=FOUND | {"latency": {"route_s": 0.1, "judge_s": 0.2}}, **PRICE), name="price"),
        talk(
            turn('<script src="https://evil.example/x.js">\x00', line="<b>&", **PRICE),
            turn("I.", action="sell_item", arguments={"item": "dagger"}),
            name="<i>wrong</i>",
        ),
        talk(
            turn("Sold.", action="sell_item").model_copy(update={"actions": (ActionRecord(name="buy_item"),)}), name="x"
        ),
        talk(name="broken", error="NPC306: busy"),
        talk(turn("Hm."), name="player", needs=0.0, suite="players"),
    ]


async def report():
    scored = await score_all(records(), {"hesta": HESTA})
    return Head(
        schema="npc-engine/playtest@1", label="a <b> run", settings={"model": "m"}, sheets={"hesta": HESTA}
    ), scored


async def test_the_page_needs_nothing_outside_itself_and_escapes_all():
    head, scored = await report()
    text = page(head, scored)
    assert "<script" not in text
    assert not re.search(r"""(?:src|href|url)\s*[=(]""", text.replace("&lt;script src=", ""))
    assert "&lt;i&gt;wrong" in text
    assert "prefers-color-scheme: dark" in text
    assert text.count("<svg") == text.count("</svg>") >= 3
    assert "NPC306: busy" in text
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ET.fromstring(svg)


async def test_junit_and_json_tell_the_same():
    head, scored = await report()
    root = ET.fromstring(junit(scored).encode())
    assert [suite.get("failures") for suite in root] == ["3"]
    assert len(root.findall(".//testcase")) == 5
    data = as_json(head, scored)
    assert (data["talks"], data["turns"]) == (5, 5)
    assert data["scores"]["fact recall"]["value"] == 0.5
    assert data["scores"]["fact recall"]["behind"] == [["hesta/<i>wrong</i>", 0]]
    assert sum(not case.is_right for case in verdicts(scored)) == 3


async def test_the_worst_talks_come_first_and_actions_are_crossed():
    _, scored = await report()
    assert worst(scored)[0].record.error
    assert "hesta/price" not in [one.record.talk for one in worst(scored)]
    table = confusion(scored)
    assert table.names == ("buy_item", "sell_item", "no action")
    assert table.rows == (("sell_item", (1, 0, 1)),)


async def test_a_summary_has_only_scores_with_cases():
    _, scored = await report()
    rows = summarise(scored)
    assert all(row.rate.cases for row in rows)
    assert all(row.rate.low <= row.rate.value + 1e-9 and row.rate.value <= row.rate.high + 1e-9 for row in rows)


async def test_a_comparison_is_a_page_too():
    _, scored = await report()
    text = comparison_page(("<a>", "b"), compare(scored, scored), num_pairs=5)
    assert "&lt;a&gt;" in text
    assert "no difference found" in text


def test_half_a_report_is_never_left(tmp_path):
    path = tmp_path / "file"
    path.write_text("a file in the place of a folder", encoding="utf-8")

    with pytest.raises(ReportNotWritten):
        write_whole(path / "report.html", "text")
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_the_page_has_every_score():
    text = (Path(__file__).parents[3] / "docs" / "playtest.md").read_text(encoding="utf-8")
    for score in SCORES:
        assert f"| {score.name} | {score.of} | {score.better or 'neither'} |\n" in text
