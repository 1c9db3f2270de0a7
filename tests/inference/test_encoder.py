from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from npc_engine.config import EngineConfig
from npc_engine.errors import CorruptModel
from npc_engine.inference.encoder import SentenceEncoder

TEXTS = [f"the sword costs {number} gold " * (1 + number % 5) for number in range(40)]


def load(folder: Path, **options: int) -> SentenceEncoder:
    return SentenceEncoder.load(folder, config=EngineConfig(threads=1, device="cpu"), **options)


@pytest.fixture(scope="module")
def encoder(encoder_folder: Path) -> SentenceEncoder:
    return load(encoder_folder, max_cached=0)


def test_rows_are_unit_vectors_in_the_order_of_the_texts(encoder: SentenceEncoder) -> None:
    together = encoder.embed(TEXTS)
    assert together.shape == (40, encoder.spec.hidden_size)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    alone = np.concatenate([encoder.embed([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_no_texts_and_empty_texts(encoder: SentenceEncoder) -> None:
    assert encoder.embed([]).shape == (0, encoder.spec.hidden_size)
    assert np.isfinite(encoder.embed([""])).all()


def test_long_texts_are_cut(encoder: SentenceEncoder) -> None:
    long = "sword " * 1000
    np.testing.assert_array_equal(encoder.embed([long]), encoder.embed([long + "shield"]))


async def test_it_may_be_called_from_many_threads(encoder: SentenceEncoder) -> None:
    expected = encoder.embed(TEXTS)
    with ThreadPoolExecutor(4) as threads:
        for result in threads.map(encoder.embed, [TEXTS] * 8):
            np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(await encoder.aembed(TEXTS), expected)


async def test_a_text_that_came_before_has_the_same_embedding(encoder: SentenceEncoder, encoder_folder: Path) -> None:
    cached = load(encoder_folder)
    first = await cached.aembed(TEXTS)
    np.testing.assert_array_equal(cached.embed(TEXTS[::-1]), first[::-1])
    np.testing.assert_allclose(first, encoder.embed(TEXTS), atol=1e-5)


@pytest.mark.parametrize("name", ["encoder.onnx", "encoder.json", "tokenizer.json"])
@pytest.mark.parametrize("content", [None, b"\xff{"])
def test_a_broken_file_is_a_corrupt_model(
    encoder_folder: Path, tmp_path: Path, name: str, content: bytes | None
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(encoder_folder, folder)
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(CorruptModel):
        load(folder)
