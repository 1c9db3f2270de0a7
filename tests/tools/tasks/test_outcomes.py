"""Every kind of answer, against a stub model; what was claimed, and what counts as false."""

import pytest

from tests.talk import CALL_RING, mara, talking
from tools.tasks.outcomes import KINDS, Trial, false_claims, have_talk, have_trial, is_task, trials, valid_calls


@pytest.fixture(scope="module")
def sheet(tmp_path_factory):
    return mara(tmp_path_factory.mktemp("sheet"))


def trial(kind, **answer):
    line = "Ring the brass bell now"
    return Trial(id=kind, character="mara", action="ring_bell", line=line, kind=kind, answer=answer)


def test_each_action_meets_each_kind_of_answer(sheet):
    found = trials({"mara": sheet})
    assert len(found) == len({one.id for one in found}) == len(KINDS) * 3
    assert {one.kind for one in found} == set(KINDS)
    assert all("error" in one.answer for one in found if one.kind == "error")
    assert all(one.answer == {} for one in found if one.kind == "late")


async def have(sheet, reciter, word_encoder, *asked):
    had = []
    model = reciter("I've rung it for you. ", call=CALL_RING)
    async with talking(sheet, model=model, encoder=word_encoder, action_timeout_s=0.05) as dialogue:
        for one in asked:
            turns = await have_trial(dialogue, one)
            had.append((one, turns))
        plain = await have_talk(dialogue, "mara", "What does a sword cost?")
        assert dialogue.health()["conversations"] == 0
    return had, plain


async def test_claims_count_where_nothing_succeeded(sheet, reciter, word_encoder):
    asked = [trial("done", result={"status": "done"}), trial("error", error="it is stuck"), trial("late")]
    had, plain = await have(sheet, reciter, word_encoder, *asked)
    assert plain["calls"] == []
    for one, turns in had:
        assert is_task(turns), one.id
        assert valid_calls(sheet, turns) == (1, 1)
        claims = list(false_claims(one, turns))
        assert bool(claims) is (one.kind != "done")
    late = had[2][1]
    assert [turn["late_refused"] for turn in late] == [[True]]


def test_a_claim_before_the_call_is_false_too():
    offer = {"calls": [], "reply": "It's done."}
    done = {"calls": [{"name": "ring_bell", "arguments": {}}], "reply": "It's done."}
    assert list(false_claims(trial("done"), [offer, done])) == [(0, "It's done.")]
    assert list(false_claims(trial("contradictory"), [offer, done])) == [(0, "It's done."), (1, "It's done.")]
