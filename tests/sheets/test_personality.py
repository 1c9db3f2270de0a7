"""The inventory, its key, and what scores are compared with."""

import math
from collections import Counter

import pytest

from npc_engine.sheets.personality.inventory import (
    TRAITS,
    answer,
    inventory,
    mean_absolute_error,
    question,
    scores,
    spearman,
)
from npc_engine.sheets.personality.mbti import from_mbti
from npc_engine.sheets.schema import BigFive


def test_44_items_as_many_a_factor_as_in_the_big_five_inventory():
    items = inventory()
    assert Counter(item.trait for item in items) == {
        "extraversion": 8,
        "agreeableness": 9,
        "conscientiousness": 9,
        "neuroticism": 8,
        "openness": 10,
    }
    assert len({item.text for item in items}) == 44
    assert all(item.text.startswith("I ") and item.text.endswith(".") for item in items)
    for trait in TRAITS:
        turned = sum(item.is_reversed for item in items if item.trait == trait)
        assert turned in (4, 5)
    assert set(TRAITS) == set(BigFive.model_fields)


@pytest.mark.parametrize(("agrees", "score"), [(True, 1.0), (False, 0.0)])
def test_reversed_items_count_the_other_way(agrees, score):
    answers = [5 if item.is_reversed != agrees else 1 for item in inventory()]
    assert scores(answers) == dict.fromkeys(TRAITS, score)


def test_agreeing_with_everything_says_nothing():
    for trait, score in scores([5] * 44).items():
        assert score == pytest.approx(0.5, abs=0.07), trait


def test_an_answer_is_what_differs_from_the_blank():
    assert answer([-1.0, -2.0], [-1.0, -2.0]) == 3
    # Three times as likely a yes as for the blank: 1 + 4 * 3/4.
    assert answer([-1.0 + math.log(3), -2.0], [-1.0, -2.0]) == pytest.approx(4)
    assert answer([-1.0, -2.0 + math.log(3)], [-1.0, -2.0]) == pytest.approx(2)
    assert answer([0.0, -50.0], [-1.0, -1.0]) == pytest.approx(5)


def test_the_question_holds_the_statement():
    assert inventory()[0].text in question(inventory()[0].text)


def test_agreement():
    one = dict(zip(TRAITS, (0.1, 0.3, 0.5, 0.7, 0.9), strict=True))
    assert spearman(one, one) == pytest.approx(1)
    assert spearman(one, {trait: 1 - score for trait, score in one.items()}) == pytest.approx(-1)
    assert spearman(one, dict.fromkeys(TRAITS, 0.5)) is None
    # Ties share the mean of their ranks: 1, 2.5, 2.5, 4 and 5 against 1 to 5.
    tied = dict(zip(TRAITS, (0.1, 0.4, 0.4, 0.7, 0.9), strict=True))
    assert spearman(one, tied) == pytest.approx(0.9747, abs=1e-4)
    assert mean_absolute_error(one, tied) == pytest.approx(0.04)
    assert mean_absolute_error({"openness": 0.2}, one) == pytest.approx(0.1)


def test_a_label_moves_four_traits_and_no_fifth():
    assert {trait: round(score, 2) for trait, score in from_mbti("ENFJ").items()} == {
        "extraversion": 0.72,
        "openness": 0.72,
        "agreeableness": 0.64,
        "conscientiousness": 0.65,
    }
    for trait, score in from_mbti("ISTP").items():
        assert score == pytest.approx(1 - from_mbti("ENFJ")[trait])
