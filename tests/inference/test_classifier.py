from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from npc_engine.config import EngineConfig
from npc_engine.errors import CorruptModel
from npc_engine.inference.classifier import PairClassifier
from tests.stub_classifier import MAX_TOKENS, token_weights, write_stub_classifier

CONFIG = EngineConfig(threads=1, device="cpu")
PAIRS = [(f"the sword costs {n} gold " * (1 + n % 3), "i sell swords " * (1 + n % 2)) for n in range(40)]


def load(folder: Path, **options: int) -> PairClassifier:
    return PairClassifier.load(folder, config=CONFIG, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stub_classifier(tmp_path_factory.mktemp("classifier"))


def by_hand(folder: Path, ids: list[int], types: list[int], *, temperature: float = 1.0) -> np.ndarray:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    weights = token_weights(tokenizer.get_vocab_size(), 3)
    logits = sum(weights[token] * (1 + kind) for token, kind in zip(ids, types, strict=True)) / temperature
    exp = np.exp(logits - logits.max())
    return exp / exp.sum()


def encode(folder: Path, premise: str, hypothesis: str):
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer.encode(premise, hypothesis)


def test_probabilities_are_the_softmax_of_the_pairs_tokens_in_the_order_given(folder: Path) -> None:
    short = [("I sell swords.", "The road is closed."), ("gold", "steel"), ("the war", "the village and the road")]
    result = load(folder).classify(short)
    assert (result.shape, result.dtype) == ((3, 3), np.float32)
    for row, (premise, hypothesis) in zip(result, short, strict=True):
        encoded = encode(folder, premise, hypothesis)
        np.testing.assert_allclose(row, by_hand(folder, encoded.ids, encoded.type_ids), rtol=1e-4)


def test_a_pair_does_not_depend_on_its_batch_or_on_having_come_before(folder: Path) -> None:
    together = load(folder).classify(PAIRS)
    alone = load(folder, max_cached=0)
    np.testing.assert_allclose(together, np.concatenate([alone.classify([pair]) for pair in PAIRS]), atol=1e-6)
    cached = load(folder)
    np.testing.assert_array_equal(cached.classify(PAIRS), cached.classify(PAIRS))
    np.testing.assert_allclose(np.asarray(cached.classify([*PAIRS, *PAIRS]))[40:], together, atol=1e-6)


def test_no_pairs_and_empty_texts(folder: Path) -> None:
    classifier = load(folder)
    assert classifier.classify([]).shape == (0, 3)
    assert np.isfinite(classifier.classify([("", "")])).all()


def test_a_long_pair_loses_the_end_of_its_premise_and_keeps_its_hypothesis(folder: Path) -> None:
    premise, hypothesis = "gold steel road war village " * 20, "i sell swords and shields"
    encoded = encode(folder, premise, hypothesis)
    specials, of_hypothesis = 3, encoded.sequence_ids.count(1)
    kept = MAX_TOKENS - specials - of_hypothesis
    first = [index for index, text in enumerate(encoded.sequence_ids) if text == 0]
    chosen = [index for index in range(len(encoded.ids)) if index not in set(first[kept:])]
    expected = by_hand(folder, [encoded.ids[i] for i in chosen], [encoded.type_ids[i] for i in chosen])
    (row,) = load(folder).classify([(premise, hypothesis)])
    np.testing.assert_allclose(row, expected, rtol=1e-4)


def test_a_hypothesis_too_long_alone_is_cut_and_leaves_no_premise(folder: Path) -> None:
    classifier = load(folder)
    long = "gold " * 100
    np.testing.assert_array_equal(classifier.classify([("war", long)]), classifier.classify([("village road", long)]))


def test_a_graph_without_token_types_runs_too(tmp_path: Path) -> None:
    folder = write_stub_classifier(tmp_path / "model", has_token_types=False)
    encoded = encode(folder, "I sell swords.", "gold")
    (row,) = load(folder).classify([("I sell swords.", "gold")])
    np.testing.assert_allclose(row, by_hand(folder, encoded.ids, [0] * len(encoded.ids)), rtol=1e-4)


def test_temperature_divides_the_logits(tmp_path: Path) -> None:
    folder = write_stub_classifier(tmp_path / "model", temperature=2.5)
    encoded = encode(folder, "gold", "steel")
    (row,) = load(folder).classify([("gold", "steel")])
    np.testing.assert_allclose(row, by_hand(folder, encoded.ids, encoded.type_ids, temperature=2.5), rtol=1e-4)


async def test_many_callers_get_what_each_would_get_alone(folder: Path) -> None:
    expected = load(folder).classify(PAIRS)
    classifier = load(folder, max_cached=0)
    results = await asyncio.gather(*(classifier.aclassify(PAIRS[n : n + 4]) for n in range(36)))
    for n, result in enumerate(results):
        np.testing.assert_allclose(result, expected[n : n + 4], atol=1e-6)


@pytest.mark.parametrize("name", ["classifier.onnx", "classifier.json", "tokenizer.json"])
@pytest.mark.parametrize("content", [None, b"\xff{"])
def test_a_broken_file_is_a_corrupt_model(folder: Path, tmp_path: Path, name: str, content: bytes | None) -> None:
    shutil.copytree(folder, tmp_path / "model")
    (tmp_path / "model" / name).unlink()
    if content is not None:
        (tmp_path / "model" / name).write_bytes(content)
    with pytest.raises(CorruptModel):
        load(tmp_path / "model")


@pytest.mark.parametrize(
    "change",
    [{"labels": ["yes", "no"]}, {"labels": []}, {"temperature": 0.0}, {"max_tokens": 0}, {"more": 1}],
    ids=lambda change: next(iter(change)),
)
def test_a_description_that_is_not_the_graphs_is_a_corrupt_model(folder: Path, tmp_path: Path, change: dict) -> None:
    shutil.copytree(folder, tmp_path / "model")
    path = tmp_path / "model" / "classifier.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change), encoding="utf-8")
    with pytest.raises(CorruptModel):
        load(tmp_path / "model")
