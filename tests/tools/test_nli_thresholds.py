"""Thresholds from scores that are known, over a sheet that is small."""

from dataclasses import replace

import numpy as np
import pytest

from npc_engine.config import EngineConfig
from npc_engine.guard.verdict import Thresholds
from npc_engine.inference.encoder import SentenceEncoder
from tests.talk import mara
from tools.nli.pairs import LABELS, Pair
from tools.nli.thresholds import Weighed, contradictions, nearness_table, secrets, support, table


@pytest.fixture(scope="module")
def encoder(word_encoder):
    return SentenceEncoder.load(word_encoder, config=EngineConfig(device="cpu", threads=1))


def scoring(*, contradicting=(), entailing=()):
    """A score that is sure where both texts hold a pair's words."""

    def score(pairs):
        found = np.zeros((len(pairs), 3), np.float32)
        for row, texts in enumerate(pairs):
            column = "neutral"
            for label, wanted in (("contradiction", contradicting), ("entailment", entailing)):
                if any(all(word in text for word, text in zip(words, texts, strict=True)) for words in wanted):
                    column = label
            found[row, LABELS.index(column)] = 1
        return found

    return score


HELD_OUT = {
    "gen_facts": [
        Pair("I am tall.", "I am short.", "contradiction", "gen_facts", ""),
        Pair("I am tall.", "I am not short.", "entailment", "gen_facts", ""),
        Pair("I am tall.", "I like rain.", "neutral", "gen_facts", ""),
    ],
    "snli": [Pair("A man.", "A woman.", "contradiction", "snli", "")],
}


def test_a_fact_against_the_others_is_what_must_pass(tmp_path, encoder):
    sheet = mara(tmp_path)
    score = scoring(contradicting=[("sword", "mill"), ("mill", "sword"), ("tall", "short")])
    found = contradictions(score, [sheet], encoder, HELD_OUT, seed=1)
    # The two public facts, each against the other and never against itself.
    assert [rows[:, 0].tolist() for rows in found.good] == [[1.0], [1.0]]
    assert found.bad[:, 0].tolist() == [1.0]  # pairs about characters alone
    near = found.bad[0, 1]
    assert near > found.good[0][0, 1]
    # What is too far apart is not judged.
    scores = found.scores(Thresholds(near=0.5 * (near + found.good[0][0, 1])))
    assert scores.good.tolist() == [0.0, 0.0]
    assert scores.bad.tolist() == [pytest.approx(1.0, abs=1e-3)]


def test_the_weight_of_nearness_tells_what_probability_does_not():
    rng = np.random.default_rng(1)
    good = [np.column_stack([rng.uniform(0.5, 0.95, 30), rng.uniform(0.0, 0.5, 30)]) for _ in range(200)]
    bad = np.column_stack([rng.uniform(0.5, 0.95, 200), rng.uniform(0.5, 1.2, 200)])
    weighed, limits = Weighed(good, bad), Thresholds(near=0.0)
    _, without = weighed.fitted(replace(limits, nearness_weight=0.0), max_false_alarm_share=0.05)
    at, found = weighed.fitted(replace(limits, nearness_weight=6.0), max_false_alarm_share=0.05)
    assert found > without + 0.2
    scores = weighed.scores(replace(limits, nearness_weight=6.0))
    assert (scores.good >= at).mean() <= 0.05
    text = nearness_table(weighed, limits=limits, max_false_alarm_share=0.05)
    assert f"| 6 | {at:.2f} | {found:.1%} |" in text


def test_hidden_facts_are_what_must_not_be_said(tmp_path, encoder):
    found = secrets(scoring(entailing=[("treasure", "treasure")]), [mara(tmp_path)], encoder, seed=1)
    assert found.good.tolist() == [0.0, 0.0]
    assert sorted(found.bad.tolist()) == [0.0, 1.0]


def test_the_table_names_the_threshold_and_what_it_costs():
    found = support(scoring(entailing=[("tall", "not short")]), HELD_OUT, seed=1)
    assert (found.good.tolist(), found.bad.tolist()) == ([0.0, 0.0], [1.0])
    text = table("support", found, max_false_alarm_share=0.05)
    assert text.startswith("support: 2 that must pass, 1 that must not; 0.000 stops at most 5%")
    assert "| 0.50 | 0.0% | 100.0% |" in text
