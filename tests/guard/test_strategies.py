from typing import get_args

import numpy as np
import pytest

from npc_engine.config import Guard
from npc_engine.guard.flanderization import VoiceLexicon
from npc_engine.guard.strategies import STRATEGIES, Listener, Pull, best, scores
from npc_engine.guard.style import style
from npc_engine.guard.verdict import Reason, Verdict
from npc_engine.guard.words import stems
from tests.guard.table import WordEncoder

ENCODER = WordEncoder()
LEXICON = VoiceLexicon(catchphrases=("Steel first, talk after.",))
CALM = "I talk with care."


def scored(*sentences, logprobs=None, contradictions=None, line="A sword?", listener=None, **asked):
    verdicts = [
        Verdict(sentence=sentence, reasons=(), contradiction=contradictions[row] if contradictions else None)
        for row, sentence in enumerate(sentences)
    ]
    result = scores(
        verdicts,
        ENCODER.embed(sentences),
        line_embedding=ENCODER.embed([line])[0],
        mean_logprobs=logprobs or [-1.0] * len(sentences),
        max_words=6,
        lexicon=LEXICON,
        own_style=style(CALM),
        player_style=style("HELLO THERE!!!"),
        wanted=asked.get("wanted", frozenset()),
        listener=listener,
    )
    return verdicts, result


def chosen(guard, *sentences, pull=None, **options):
    return best(*scored(*sentences, **options), STRATEGIES[guard], pull)


def test_every_guard_but_off_is_a_strategy():
    assert {"off", *STRATEGIES} == set(get_args(Guard))


def test_consistency_decides():
    for guard in ("rerank", "judge"):
        assert chosen(guard, "One two.", "One two.", contradictions=[0.7, 0.1]) == 1


def test_the_medoid_is_said():
    assert chosen("self_consistency", "No swords.", "Forty crowns.", "Forty crowns, friend.", "Forty good crowns.") != 0


def test_the_likeliest_is_said():
    assert chosen("cautious", "A.", "B.", "C.", logprobs=[-2.0, -0.1, -1.0]) == 1


def test_the_listener_knows_who_speaks():
    listener = Listener(ENCODER.embed(["I forge swords."]), [ENCODER.embed(["I pour beer."])])
    assert chosen("self_conscious", "I pour beer.", "I forge swords.", listener=listener) == 1
    assert listener.knows(ENCODER.embed(["I forge swords."])[0]) > 0.9
    assert Listener(ENCODER.embed(["I forge swords."]), []).knows(ENCODER.embed(["x"])[0]) is None
    assert Listener(np.zeros((0, 64), np.float32), [ENCODER.embed(["x"])]).knows(ENCODER.embed(["x"])[0]) is None


def test_what_is_rejected_is_never_chosen():
    verdicts, result = scored("One.", "Two.", logprobs=[-0.1, -5.0])
    bad = Reason(kind="number", statement_id=None, score=1.0, span="One")
    verdicts[0] = Verdict(sentence="One.", reasons=(bad,))
    for guard in STRATEGIES.values():
        assert best(verdicts, result, guard) == 1
        assert best(verdicts[:1], result[:1], guard) is None


def test_rerank_does_not_reject_what_only_the_model_minds():
    against = Reason(kind="contradiction", statement_id="f", score=0.9, span="No.")
    verdict = Verdict(sentence="No.", reasons=(against,), contradiction=0.9)
    assert not STRATEGIES["rerank"].rejects(verdict)
    assert STRATEGIES["judge"].rejects(verdict)


@pytest.mark.parametrize(
    ("sentence", "flanderization", "length_fit"),
    [("Steel first, talk after.", 1.0, 1.0), ("The weather is fine.", 0.0, 1.0), ("a b c d e f g h i j k l", 0.0, 0.5)],
)
def test_catchphrases_and_length_are_measured(sentence, flanderization, length_fit):
    _, (one,) = scored(sentence)
    assert (one.flanderization, one.length_fit) == (flanderization, length_fit)


PULLS = {
    "role_play": (Pull(role_play=1.0), ("NO SWORD!!!", "I have a sword."), {}),
    "saturation": (Pull(saturation=1.0), ("Steel first, talk after, sword.", "I have one, a sword."), {}),
    "synchrony": (Pull(mirroring_cap=0.0), ("A SWORD!!!", "I have a sword."), {}),
    "task_priority": (
        Pull(task_priority=1.0),
        ("A sword, a sword!", "Two for eighty crowns."),
        {"wanted": stems("eighty crowns")},
    ),
}


@pytest.mark.parametrize(("pull", "sentences", "options"), PULLS.values(), ids=PULLS.keys())
def test_each_control_pulls_its_own_way(pull, sentences, options):
    _, result = scored(*sentences, **options)
    rank = STRATEGIES["judge"].rank
    gains = [rank(one, pull) - rank(one, Pull()) for one in result]
    assert gains[1] > gains[0]
    assert chosen("judge", *sentences, pull=pull, **options) == 1
