"""The int8 prefill graph over the decode graph's KV pool."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from npc_engine.config import EngineConfig
from npc_engine.errors import CorruptModel
from npc_engine.inference.decoder import Decoder
from npc_engine.inference.onnx_session import int8_products_saturate
from npc_engine.inference.spec import DecoderSpec
from tests.inference.conftest import Precisions

PROMPT = tuple(int(token) for token in np.random.default_rng(3).integers(3, 390, 48))


def load(folder: Path, **options: object) -> Decoder:
    defaults = {"threads": 1, "device": "cpu", "max_context_tokens": 256, "prefill_chunk_tokens": 64, "num_slots": 2}
    return Decoder.load(folder, config=EngineConfig(**(defaults | options)))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(folder_of: Precisions) -> Path:
    return folder_of("int4")


@pytest.fixture(scope="module")
def decoder(folder: Path) -> Decoder:
    return load(folder)


def read(decoder: Decoder, slot: int, ids: Sequence[int], lengths: Sequence[int]) -> np.ndarray:
    start = 0
    for length in lengths:
        logits = decoder.prefill(slot, ids[start : start + length], num_cached_tokens=start)
        start += length
    return logits.full[0].copy()


def test_a_model_has_a_prefill_graph_that_passed_its_gate(folder: Path, decoder: Decoder) -> None:
    spec = DecoderSpec.load(folder / "decoder.json")
    assert spec.prefill_precision == "w8a8"
    assert spec.prefill_max_code == (100 if int8_products_saturate() else 127)
    assert spec.prefill_kl_nats is not None
    assert 0 < spec.prefill_kl_nats <= 0.02
    assert decoder.prefill_reason == ""


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(2, 20), min_size=2, max_size=8))
def test_a_prompt_in_chunks_of_two_or_more_equals_the_whole_to_the_bit(decoder: Decoder, lengths: list[int]) -> None:
    ids = PROMPT[: min(sum(lengths), len(PROMPT))]
    cut, rest = [], len(ids)
    for length in lengths:
        cut.append(rest if rest - length < 2 else length)
        rest -= cut[-1]
        if not rest:
            break
    else:
        cut[-1] += rest
    whole = read(decoder, 0, ids, [len(ids)])
    np.testing.assert_array_equal(read(decoder, 1, ids, cut), whole)
    np.testing.assert_array_equal(decoder.kv.memory.read(1, len(ids)), decoder.kv.memory.read(0, len(ids)))


def test_single_tokens_come_close_to_the_whole(decoder: Decoder) -> None:
    whole = read(decoder, 0, PROMPT, [len(PROMPT)])
    single = read(decoder, 1, PROMPT, [1] * len(PROMPT))
    assert np.linalg.norm(single - whole) < 0.1 * np.linalg.norm(whole)


@pytest.mark.parametrize("length", [1, 2, 25, 48])
def test_it_comes_close_to_the_decode_graph(folder: Path, decoder: Decoder, length: int) -> None:
    plain = load(folder, prefill_graph=False)
    assert plain.prefill_reason == "prefill_graph is off"
    expected, got = (read(each, 0, PROMPT[:length], [length]) for each in (plain, decoder))
    assert np.linalg.norm(got - expected) < 0.15 * np.linalg.norm(expected)
    assert not np.array_equal(got, expected)


def test_decoding_goes_on_from_what_it_wrote(folder: Path, decoder: Decoder) -> None:
    plain = load(folder, prefill_graph=False)
    for each in (plain, decoder):
        read(each, 0, PROMPT, [len(PROMPT)])
    expected, got = (each.decode(0, [9], num_cached_tokens=[len(PROMPT)]).full[0] for each in (plain, decoder))
    assert np.linalg.norm(got - expected) < 0.15 * np.linalg.norm(expected)


def test_keys_and_values_of_another_graph_have_another_fingerprint(folder: Path, decoder: Decoder) -> None:
    assert load(folder, prefill_graph=False).fingerprint != decoder.fingerprint


@pytest.mark.parametrize("name", ["prefill.onnx", "prefill.onnx.data"])
def test_a_missing_file_is_a_corrupt_model(folder: Path, tmp_path: Path, name: str) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "model"))
    (copy / name).unlink()
    with pytest.raises(CorruptModel):
        load(copy)
    assert load(copy, prefill_graph=False).prefill_reason


def test_weights_that_compute_something_else_are_a_corrupt_model(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "model"))
    data = copy / "prefill.onnx.data"
    data.write_bytes(np.random.default_rng(0).bytes(data.stat().st_size))
    with pytest.raises(CorruptModel, match=r"disagree|NaN"):
        load(copy)


def test_a_model_built_before_there_was_one_loads_and_says_so(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "model"))
    spec = json.loads((copy / "decoder.json").read_text(encoding="utf-8"))
    old = {key: value for key, value in spec.items() if not key.startswith("prefill_")}
    (copy / "decoder.json").write_text(json.dumps(old), encoding="utf-8")
    assert load(copy).prefill_reason == "the model has no prefill graph"
    (copy / "decoder.json").write_text(json.dumps(old | {"prefill_kl_nats": 0.31}), encoding="utf-8")
    assert "0.310 nats" in load(copy).prefill_reason


def test_a_processor_with_vnni_does_not_saturate() -> None:
    cpuinfo = Path("/proc/cpuinfo")
    flags = cpuinfo.read_text(encoding="utf-8").split() if cpuinfo.is_file() else []
    if not {"avx512_vnni", "avx_vnni", "asimddp"} & set(flags):
        pytest.skip("this processor does not say that it has 8-bit dot products")
    assert not int8_products_saturate()
