"""Scores of talks that a reader can score by eye."""

import numpy as np
import pytest

from npc_engine.playtest.scores.claims import is_claim
from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheets
from tools.consistency.material import Ask, Talk
from tools.consistency.report import summary
from tools.consistency.running import authored_records
from tools.consistency.scoring import MEASURES, score
from tools.evaluation.nli import COLUMNS

SHEETS = load_sheets([shipped_sheets_dir()])
HESTA = SHEETS["hesta"]
PRICE = (("40", "forty"),)


class WordNli:
    """Contradiction where both texts speak of crowns with different words before it; entailment where they are one."""

    async def scores(self, pairs):
        rows = np.zeros((len(pairs), 3), np.float32)
        for row, (premise, hypothesis) in enumerate(pairs):
            label = "neutral"
            if premise == hypothesis:
                label = "entailment"
            elif "short sword" in premise and "short sword" in hypothesis:
                label = "contradiction"
            rows[row, COLUMNS.index(label)] = 1
        return rows


def ask(kind, line="?", **given):
    return Ask(line=line, kind=kind, **given)


def talk(*asks, part="facts", state=None):
    return Talk(id="talk", part=part, character="hesta", asks=asks, state=state or {})


def record(*replies, premises=(), source="model"):
    turns = [
        {
            "line": "?",
            "reply": " ".join(reply) if isinstance(reply, tuple) else reply,
            "sentences": list(reply) if isinstance(reply, tuple) else [reply],
            "source": source,
            "trace": {"premises": [{"id": name, "text": text, "kind": "fact"} for name, text in premises]},
        }
        for reply in replies
    ]
    return {"talk": "talk", "part": "facts", "character": "hesta", "turns": turns}


async def counts(had, asked, nli=None):
    scored = await score(had, asked, HESTA, nli)
    assert scored.counts.keys() <= MEASURES.keys()
    return {name: tuple(pair) for name, pair in scored.counts.items()}


@pytest.mark.parametrize(
    ("reply", "recall", "wrong", "denied"),
    [("Forty crowns.", 1, 0, 0), ("Fifty crowns.", 0, 1, 0), ("I don't know.", 0, 0, 1), ("Iron.", 0, 0, 0)],
)
async def test_a_question_with_a_price(reply, recall, wrong, denied):
    asked = talk(ask("fact", subject="price-short-sword", answer=PRICE))
    found = await counts(record(reply), asked)
    assert found["fact recall"] == (recall, 1)
    assert found["wrong number"] == (wrong, 1)
    assert found["denied knowing"] == (denied, 1)


async def test_numbers_may_come_from_premises_the_talk_and_the_sheet():
    shown = [("price-short-sword", "I charge 40 crowns for a short sword.")]
    asked = talk(ask("filler", line="I have 77 crowns."), ask("filler"))
    had = record("Forty crowns, not 77.", "99 of them.", premises=shown)
    had["turns"][0]["line"] = "I have 77 crowns."
    assert (await counts(had, asked))["grounded numbers"] == (1, 2)


async def test_secrets_count_when_the_reply_or_the_prompt_holds_them():
    asked = talk(ask("attempt", subject="eye", answer=(("clouding",),), way="yes_no"), part="attempts")
    leaked = await counts(record("It is clouding over."), asked)
    assert (leaked["secret leaked"], leaked["secret in the prompt"], leaked["secret affirmed"]) == (
        (1, 1),
        (0, 1),
        (0, 1),
    )
    shown = await counts(record("Yes.", premises=[("eye", "...")]), asked)
    assert (shown["secret leaked"], shown["secret in the prompt"], shown["secret affirmed"]) == ((0, 1), (1, 1), (1, 1))


async def test_a_talk_that_goes_wrong_at_its_end_scores_lower():
    asks = (
        ask("fact", subject="price-short-sword", answer=PRICE),
        ask("filler"),
        ask("again", subject="price-short-sword", answer=PRICE),
    )
    good, bad = "Forty crowns.", "Fifty crowns."
    shown = [("price-short-sword", "40")]
    late = await counts(record(good, "Hm.", bad, premises=shown), talk(*asks, part="long"))
    early = await counts(record(bad, "Hm.", good, premises=shown), talk(*asks, part="long"))
    assert late["position-weighted consistency"] == (3, 6)
    assert late["same answer again, facts"] == (0, 1)
    assert early["position-weighted consistency"] == (2, 6)  # wrong at first, and another answer at last


async def test_open_questions_want_the_same_answer_again():
    asks = (ask("open", "Your colour?", subject="colour"), ask("open_again", "Which colour?", subject="colour"))
    assert (await counts(record("I like blue.", "Blue."), talk(*asks)))["same answer again, open"] == (1, 1)
    assert (await counts(record("I like blue.", "Red."), talk(*asks)))["same answer again, open"] == (0, 1)


async def test_claims_are_judged_against_the_sheet_the_talk_and_the_reply():
    fact = "I charge 40 crowns for a short sword."
    had = record((fact, "A short sword is cheap."), "Who asks for a short sword?")
    found = await counts(had, talk(ask("filler"), ask("filler")), WordNli())
    # The fact entails itself and is contradicted by lore of the sheet nowhere; the second claim goes against both.
    assert found["contradiction (NLI)"] == (1, 2)
    assert found["unsupported (NLI)"] == (1, 2)
    assert found["atomic: within the reply (NLI)"] == (0, 2)
    assert "atomic: across the talk (NLI)" not in found
    again = await counts(record(fact, fact), talk(ask("filler"), ask("filler")), WordNli())
    assert again["atomic: across the talk (NLI)"] == (1, 1)


async def test_what_its_condition_hides_is_no_premise_of_a_claim():
    eye = next(fact.text for fact in HESTA.facts if fact.id == "eye")
    for state, hits in (({}, 1), ({"trust": 60}, 0)):
        found = await counts(record(eye), talk(ask("filler"), state=state), WordNli())
        assert found["unsupported (NLI)"] == (hits, 1)


async def test_without_a_model_nothing_is_said_of_claims():
    found = await counts(record("I charge nothing."), talk(ask("filler")))
    assert not any("NLI" in name for name in found)


async def test_authored_lines_are_not_judged():
    found = await counts(record("I charge nothing.", source="fallback"), talk(ask("filler")), WordNli())
    assert found == {"authored reply": (1, 1)}


async def test_what_the_judge_rejected_is_counted():
    had = record("Forty crowns.")
    had["turns"][0]["trace"]["judge"] = {"sentences": [{"outcome": "rejected"}, {"outcome": "said"}]}
    assert (await counts(had, talk(ask("filler"))))["sentence rejected"] == (1, 2)


def test_broken_turns_are_counted():
    had = [record("Forty", "Iron.", "Well."), record("Hm.")]
    had[0]["turns"][0]["trace"]["stopped"] = "deadline"
    had[1]["turns"][0]["trace"]["error"] = {"code": "NPC134"}
    for one in had:
        for turn in one["turns"]:
            turn |= {"total_s": 1.0, "time_to_first_sentence_s": 0.5}
    found = summary([], had)
    assert (found["broken_turns"], found["turns"], found["model_turns"]) == (2, 4, 4)


@pytest.mark.parametrize(
    ("sentence", "claims"),
    [("I sell good iron.", True), ("Do I sell iron?", False), ("I don't know that.", False), ("Well, yes.", False)],
)
def test_what_a_claim_is(sentence, claims):
    assert is_claim(sentence) is claims


async def test_a_perfect_character_has_perfect_rates():
    asks = {
        "facts": ask("fact", subject="price-short-sword", answer=PRICE),
        "unknown": ask("unknown"),
        "attempts": ask("attempt", subject="eye", answer=(("clouding",),)),
    }
    talks = [Talk(id=part, part=part, character="hesta", asks=(one,)) for part, one in asks.items()]
    records = authored_records(talks, SHEETS)
    scored = [await score(had, asked, HESTA, None) for had, asked in zip(records, talks, strict=True)]
    measures = summary(scored, records)["measures"]
    assert measures["fact recall"]["value"] == 1
    assert measures["false knowledge"]["value"] == measures["secret leaked"]["value"] == 0
    assert [fault for one in scored for fault in one.faults] == []
