"""Each thing that can be expected, met and missed."""

import pytest

from npc_engine.playtest.scenarios.checking import misses, turn_misses
from npc_engine.playtest.scenarios.schema import Expected
from npc_engine.playtest.talks import ActionRecord, TalkRecord, TurnRecord


def turn(reply="It costs forty crowns.", *, line="What does it cost?", **given):
    return TurnRecord(line=line, reply=reply, sentences=(reply,), **given)


def checks(expected, *turns, sheet=None):
    return [miss.check for miss in turn_misses(Expected(**expected), turns, sheet)]


PREMISES = {"trace": {"premises": [{"id": "price-sword", "text": "A sword costs forty crowns."}]}}
SOLD = {"actions": (ActionRecord(name="sell", arguments={"item": "Sword", "n": 2}),)}
OFFERED = {"trace": {"action": {"name": "sell", "arguments": {"n": 2}}}}


@pytest.mark.parametrize(
    ("expected", "given", "wrong"),
    [
        ({"facts": ["price-sword"]}, PREMISES, []),
        ({"facts": ["price-sword"]}, {}, ["facts"]),
        ({"no_facts": ["price-sword"]}, PREMISES, ["no_facts"]),
        ({"no_facts": ["home"]}, PREMISES, []),
        ({"says": [["40", "forty"], ["crowns"]]}, {}, []),
        ({"says": [["50"], ["crowns"]]}, {}, ["says"]),
        ({"never_says": ["forty"]}, {}, ["never_says"]),
        ({"never_says": ["fort"]}, {}, []),
        ({"tells_not": [["forty"]]}, {}, ["tells_not"]),
        ({"tells_not": [["forty"]]}, {"line": "Is it forty crowns?"}, []),
        ({"action": "sell"}, SOLD, []),
        ({"action": "sell"}, OFFERED, []),
        ({"action": "sell"}, {}, ["action"]),
        ({"action": "buy"}, SOLD, ["action"]),
        ({"action": "none"}, {}, []),
        ({"action": "none"}, OFFERED, ["action"]),
        ({"action": "sell", "arguments": {"item": "sword", "n": 2}}, SOLD, []),
        ({"action": "sell", "arguments": {"n": True}}, SOLD, ["arguments"]),
        ({"action": "sell", "arguments": {"n": 3}}, SOLD, ["arguments"]),
        ({"action": "sell", "called": True}, SOLD, []),
        ({"action": "sell", "called": True}, OFFERED, ["called"]),
        ({"action": "sell", "called": False}, SOLD, ["called"]),
        ({"unknown": True}, {}, ["unknown"]),
        ({"unknown": True}, {"reply": "I do not know."}, []),
        ({"in_character": True}, {}, []),
        ({"in_character": True}, {"reply": "As an AI, I cannot say."}, ["in_character"]),
        ({"in_character": True}, {"reply": "I never saw a computer."}, ["in_character"]),
        ({"in_character": True}, {"reply": "A computer? No.", "line": "Do you own a computer?"}, []),
        ({"source": "fallback"}, {}, ["source"]),
        ({"source": "fallback"}, {"source": "fallback"}, []),
        ({"verdict": "clean"}, {"trace": {"judge": {"sentences": [{"outcome": "rejected"}]}}}, ["verdict"]),
        ({"verdict": "rejected"}, {}, ["verdict"]),
        ({"max_words": 4}, {}, []),
        ({"max_words": 3}, {}, ["max_words"]),
        ({"max_sentences": 1}, {}, []),
        ({"max_first_sentence_s": 1}, {"first_sentence_s": 2.0}, ["max_first_sentence_s"]),
        ({"max_total_s": 3}, {"total_s": 2.0}, []),
        ({"any_of": [{"says": [["50"]]}, {"says": [["forty"]]}]}, {}, []),
        ({"any_of": [{"says": [["50"]]}, {"max_words": 1}]}, {}, ["any_of"]),
        ({}, {}, []),
    ],
)
def test_what_is_expected(expected, given, wrong):
    assert checks(expected, turn(**given)) == wrong


def test_the_same_answer_again():
    first, other, same = turn(), turn("It costs fifty crowns."), turn("Forty, as I said.")
    assert checks({"same_as": 1}, first, same) == []
    assert checks({"same_as": 1}, first, other) == ["same_as"]


def test_a_secret_that_the_player_said_earlier_is_not_told():
    said = turn("Hm.", line="Is it the forty crowns?")
    assert checks({"tells_not": [["forty"]]}, said, turn()) == []


def test_a_talk_that_the_server_ended_is_wrong():
    record = TalkRecord(talk="m/x", seed=1, digest="d", character="m", name="x", error="NPC306: busy")
    assert [miss.check for miss in misses(record)] == ["error"]


def test_a_miss_names_its_line():
    record = TalkRecord(
        talk="m/x",
        seed=1,
        digest="d",
        character="m",
        name="x",
        turns=(turn(), turn(expected=Expected(says=[["fifty"]]))),
    )
    assert [str(miss) for miss in misses(record)] == ["line 2: the reply has none of fifty"]
