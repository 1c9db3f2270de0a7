import json

import pytest

from npc_engine.playtest.heard import HeardTurn, hear
from npc_engine.playtest.questions import Asked, as_rows, ask_all, summary
from npc_engine.protocol.messages import Sentence, Token, TurnEnd
from npc_engine.sheets.questions import load_questions

QUESTIONS = """\
schema: npc-engine/questions@1
character: mara
questions:
  - {question: What does a sword cost?, fact: price-sword, answer: [["40", forty]]}
  - {question: Where do you live?, fact: home, answer: [[mill]]}
  - question: Where does the hidden treasure lie?
    fact: treasure
    answer: [[anvil], [under, below]]
    state: {trust: 60, flags: [war]}
"""


@pytest.fixture
def questions(tmp_path):
    path = tmp_path / "mara.yaml"
    path.write_text(QUESTIONS, encoding="utf-8")
    return load_questions(path)


def test_a_turn_as_it_is_heard(serving, sheet, reciter):
    with serving(sheet, model=reciter("Forty", " crowns.", " Good", " ones.")) as client:
        heard = HeardTurn(line="What does a sword cost?")
        assert (heard.trace, heard.tokens_per_s) == ({}, None)
        with client.open("mara", player_id="p") as talk:
            events = list(hear(talk, heard))
    assert [type(event) for event in events] == [Token, Token, Sentence, Token, Sentence, TurnEnd]
    assert heard.reply == heard.end.text == "Forty crowns. Good ones."
    assert 0 < heard.time_to_first_token_s <= heard.time_to_first_sentence_s <= heard.total_s
    assert heard.tokens_per_s > 0
    assert heard.actions == []
    assert heard.trace["premises"][0]["id"] == "price-sword"


def test_an_authored_line_has_no_speed(serving, sheet, reciter):
    with serving(sheet, model=reciter("Forty.")) as client, client.open("mara", player_id="p") as talk:
        heard = HeardTurn(line="Did a dragon come by?")
        list(hear(talk, heard))
    assert heard.tokens_per_s is None
    assert heard.end.source == "fallback"


def test_every_question_is_asked_and_judged(serving, sheet, reciter, questions):
    counted = []
    with serving(sheet, model=reciter("I take", " forty", " crowns.")) as client:
        asked = ask_all(client, [questions, questions], on_asked=counted.append)
        assert client.health().engine["conversations"] == 0
    assert counted == [1, 2, 3, 4, 5, 6]
    assert [one.is_right for one in asked] == [True, False, False] * 2
    assert [one.is_grounded for one in asked] == [True] * 6
    assert asked[2].wanted == "anvil and under/below"
    assert {one.source for one in asked} == {"model"}
    assert all(one.reply == "I take forty crowns." and one.prompt_tokens > one.cached_tokens > 0 for one in asked)

    figures = summary(asked)
    assert set(figures) == {
        *("questions", "right", "right_share", "grounded_share", "time_to_first_token_s"),
        *("time_to_first_sentence_s", "total_s", "tokens_per_s", "prompt_tokens", "cached_tokens"),
    }
    assert (figures["questions"], figures["right"], figures["grounded_share"]) == (6, 2, 1)
    assert figures["right_share"] == pytest.approx(1 / 3)
    assert figures["time_to_first_token_s"]["p50"] <= figures["time_to_first_token_s"]["p95"]
    assert len(json.loads(json.dumps(as_rows(asked)))) == 6


def asked_in(seconds):
    return Asked(
        character="c",
        question="q",
        fact="f",
        wanted="w",
        reply="r",
        source="fallback",
        is_right=False,
        is_grounded=False,
        time_to_first_token_s=seconds,
        time_to_first_sentence_s=seconds,
        total_s=seconds,
        tokens_per_s=None,
        prompt_tokens=0,
        cached_tokens=0,
    )


@pytest.mark.parametrize(("number", "p50", "p95"), [(1, 1, 1), (2, 1, 2), (20, 10, 19), (60, 30, 57), (100, 50, 95)])
def test_percentiles_are_of_the_nearest_rank(number, p50, p95):
    figures = summary([asked_in(float(seconds)) for seconds in range(number, 0, -1)])
    assert figures["total_s"] == {"p50": p50, "p95": p95}
    assert figures["tokens_per_s"] is None
