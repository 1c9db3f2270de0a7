from typing import get_args

import numpy as np
import pytest

from npc_engine.config import Guard
from npc_engine.guard.strategies import STRATEGIES, Listener, best, scores
from npc_engine.guard.verdict import Reason, Verdict
from tests.guard.table import WordEncoder

ENCODER = WordEncoder()


def scored(*sentences, logprobs=None, contradictions=None, line="A sword?", listener=None, signature=frozenset()):
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
        signature=signature,
        listener=listener,
    )
    return verdicts, result


def chosen(guard, *sentences, **options):
    return best(*scored(*sentences, **options), STRATEGIES[guard])


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
    [("Steel first.", 1.0, 1.0), ("The weather is fine.", 0.0, 1.0), ("a b c d e f g h i j k l", 0.0, 0.5)],
)
def test_catchphrases_and_length_are_measured(sentence, flanderization, length_fit):
    _, (one,) = scored(sentence, signature=frozenset({"steel", "first"}))
    assert (one.flanderization, one.length_fit) == (flanderization, length_fit)
