import gzip
import json

import numpy as np
import pytest

from tools.nli.batches import Stream, collate
from tools.nli.curriculum import STAGES, shares
from tools.nli.data import is_held_out, load, may_ship
from tools.nli.metrics import calibration_error, fit_temperature, measure
from tools.nli.pairs import Pair, normalized
from tools.nli.train import Recipe


def row(premise, hypothesis, *, source="snli", use="train", licence="CC BY-SA 4.0 (upstream)", label="entailment"):
    return {
        "premise": premise,
        "hypothesis": hypothesis,
        "label": label,
        "source": source,
        "use": use,
        "licence": licence,
        "split": use,
    }


def written(folder, rows):
    (folder / "nli").mkdir()
    files = {"pairs": rows, "pairs_large": [], "persona_pairs_noisy": []}
    for name, some in files.items():
        with gzip.open(folder / "nli" / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(one) + "\n" for one in some)
    return folder


def texts(split):
    return {
        normalized(text)
        for part in (split.train, split.held_out)
        for pairs in part.values()
        for pair in pairs
        for text in (pair.premise, pair.hypothesis)
    }


def test_rows_that_share_a_text_with_a_test_set_do_not_train(tmp_path):
    data = written(
        tmp_path,
        [
            row("A smith beats the iron.", "Somebody works the hot iron.", source="breaking_nli", use="test_only"),
            row("A smith beats the iron!", "It is hot in the smithy."),
            row("A woman is near the fire.", "somebody works the hot iron"),
            row("A man sells his old horse.", "A man sells an animal."),
        ],
    )
    split = load(data, seed=1)
    assert texts(split).isdisjoint(split.forbidden)
    assert "a man sells his old horse" in texts(split)
    assert split.dropped["shares a text with a test set"] == 2


def test_counterfactual_nli_never_trains(tmp_path):
    split = load(written(tmp_path, [row("A man walks.", "A man moves.", source="cad_nli")]), seed=1)
    assert not texts(split)


@pytest.mark.parametrize(
    ("licence", "ships"),
    [
        ("MIT", True),
        ("OANC + others (upstream MultiNLI)", True),
        ("Wikipedia/WikiMatrix text CC BY-SA", True),
        ("CC BY-NC 4.0", False),
        ("none stated in repo", False),
        ("MIT (repo?) / Semantic Fragments", False),
        ("C-UDA 1.0; MultiNLI text", False),
        ("MIT (repo); BNC2014 text (own licence)", False),
    ],
)
def test_a_rows_own_licence_decides(licence, ships):
    assert may_ship(licence) is ships


def test_a_premise_is_in_one_part_whatever_its_marks():
    assert all(is_held_out(f"Word {n}.", 1) == is_held_out(f"word {n}", 1) for n in range(200))
    share = sum(is_held_out(f"Word {n}.", 1) for n in range(4000)) / 4000
    assert 0.03 < share < 0.07


def test_every_stage_is_a_whole():
    assert [stage.until for stage in STAGES] == sorted(stage.until for stage in STAGES)
    assert all(sum(stage.shares().values()) == pytest.approx(1) for stage in STAGES)
    assert shares(1.0) == STAGES[-1].shares()


class Encoding:
    def __init__(self, ids):
        self.ids, self.type_ids = ids, [0] * len(ids)


class Letters:
    """A tokenizer of letters, which is all a stream asks of one."""

    def encode_batch_fast(self, pairs):
        return [Encoding([ord(letter) for letter in "".join(pair)]) for pair in pairs]


def stream():
    pairs = {
        "a": [Pair("p" * n, "h", "neutral", "a", "own") for n in range(1, 8)],
        "b": [Pair("q", "h" * n, "entailment", "b", "own") for n in range(1, 5)],
    }
    return Stream(pairs, Letters(), batch_size=4, seed=1)


def test_a_resumed_stream_goes_on_as_the_whole_one():
    whole, resumed, mixture = stream(), stream(), {"a": 0.7, "b": 0.3}
    list(whole.pool(mixture))
    resumed.restore(whole.taken, whole.num_pools)
    for one, other in zip(whole.pool(mixture), resumed.pool(mixture), strict=True):
        np.testing.assert_array_equal(one.input_ids, other.input_ids)
        np.testing.assert_array_equal(one.labels, other.labels)


def test_a_batch_is_padded_to_a_multiple_of_eight():
    batch = collate([([5, 6, 7], 2), ([5] * 9, 4)], [0, 2])
    assert batch.input_ids.shape == (2, 16)
    assert batch.attention_mask.sum(axis=1).tolist() == [3, 9]
    assert batch.token_type_ids.sum(axis=1).tolist() == [1, 5]


def test_the_rate_rises_and_falls_to_zero():
    recipe = Recipe(num_steps=100, learning_rate=1.0, warm_up=0.1)
    rates = [recipe.rate_at(step) for step in range(101)]
    assert rates[9] == 1.0
    assert max(rates) == 1.0
    assert rates[-1] == 0.0
    assert rates[:10] == sorted(rates[:10])


def test_the_rate_starts_again_where_a_part_begins():
    recipe = Recipe(num_steps=100, learning_rate=1.0, warm_up=0.1, restarts=((0.4, 0.5), (0.8, 0.25)))
    rates = [recipe.rate_at(step) for step in range(101)]
    assert (rates[40], rates[80], rates[100]) == (0.5, 0.25, 0.0)
    assert max(rates[39], rates[79], rates[99]) < 0.05
    assert [recipe.part_of(step) for step in (40, 41, 80, 81)] == [0, 1, 1, 2]


def test_figures_of_a_known_table():
    probabilities = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.1, 0.1, 0.8]], np.float32)
    figures = measure("x", probabilities, ["entailment", "neutral", "contradiction", "neutral"])
    assert (figures.accuracy, figures.precision, figures.recall) == (0.75, 0.5, 1.0)
    assert figures.calibration_error == pytest.approx(0.05, abs=1e-6)


def test_two_way_counts_entailment_alone():
    probabilities = np.array([[0.6, 0.3, 0.1], [0.4, 0.3, 0.3]], np.float32)
    figures = measure("x", probabilities, ["entailment", "not_entailment"])
    assert (figures.accuracy, figures.precision, figures.is_two_way) == (1.0, None, True)


def test_temperature_undoes_overconfidence():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(4000, 3)).astype(np.float32)
    odds = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    target = np.array([rng.choice(3, p=row / row.sum()) for row in odds.astype(float)])
    assert fit_temperature(logits * 3, target) == pytest.approx(3, rel=0.1)
    assert calibration_error(odds, target) < 0.03
