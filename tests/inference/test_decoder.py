from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from npc_engine.config import EngineConfig
from npc_engine.errors import CorruptModel
from npc_engine.inference.decoder import Decoder
from npc_engine.inference.onnx_session import RunTerminated, StopFlag, cuda_problem
from npc_engine.inference.prefix_store import PrefixStore
from tests.inference.conftest import Precisions

PROMPT = tuple(int(token) for token in np.random.default_rng(3).integers(3, 390, 60))
# int4 and fp32 products are summed in another order for one row than for many; int8 and fp32 agree far closer.
TOLERANCE = {"fp32": 1e-4, "int8": 1e-4, "int4": 2e-2}


def load(folder: Path, **settings: object) -> Decoder:
    """The decode graph alone; test_prefill_graph.py has the other."""
    defaults = {
        "threads": 1,
        "device": "cpu",
        "max_context_tokens": 256,
        "prefill_chunk_tokens": 64,
        "num_slots": 4,
        "prefill_graph": False,
    }
    return Decoder.load(folder, config=EngineConfig(**(defaults | settings)))  # type: ignore[arg-type]


@pytest.fixture(params=["fp32", "int8", "int4"])
def precision(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def greedy(decoder: Decoder, slot: int, first: int, cached: int, count: int) -> list[int]:
    ids = [first]
    for step in range(count):
        ids.append(int(decoder.decode(slot, ids[-1:], num_cached_tokens=[cached + step]).top_ids[0, 0]))
    return ids


def test_top_k_is_the_logits_sorted(folder_of: Precisions, precision: str) -> None:
    logits = load(folder_of(precision)).prefill(0, PROMPT, num_cached_tokens=0)
    order = np.argsort(-logits.full[0], kind="stable")[:64]
    np.testing.assert_array_equal(logits.top_ids[0], order)
    np.testing.assert_array_equal(logits.top_values[0], logits.full[0, order])


@pytest.mark.parametrize("chunk", [1, 7, 16, 59])
def test_chunked_prefill_equals_whole(folder_of: Precisions, precision: str, chunk: int) -> None:
    decoder = load(folder_of(precision))
    whole = decoder.prefill(0, PROMPT, num_cached_tokens=0).full.copy()
    for start in range(0, len(PROMPT), chunk):
        logits = decoder.prefill(1, PROMPT[start : start + chunk], num_cached_tokens=start)
    np.testing.assert_allclose(logits.full, whole, atol=TOLERANCE[precision])


def test_a_batched_row_equals_the_row_alone(folder_of: Precisions, precision: str) -> None:
    decoder = load(folder_of(precision))
    lengths = [60, 5, 31, 1]
    for slot, length in enumerate(lengths):
        decoder.prefill(slot, PROMPT[:length], num_cached_tokens=0)
    alone = np.concatenate(
        [decoder.decode(slot, [9], num_cached_tokens=[length]).full for slot, length in enumerate(lengths)]
    )
    together = decoder.decode(0, [9] * 4, num_cached_tokens=lengths).full
    np.testing.assert_allclose(together, alone, atol=TOLERANCE[precision])
    np.testing.assert_array_equal(together.argmax(-1), alone.argmax(-1))
    pair = decoder.decode(1, [9] * 2, num_cached_tokens=lengths[1:3]).full
    np.testing.assert_allclose(pair, alone[1:3], atol=TOLERANCE[precision])


def test_rewinding_equals_never_generated(decoder_folder: Path) -> None:
    decoder = load(decoder_folder)
    first = int(decoder.prefill(0, PROMPT, num_cached_tokens=0).top_ids[0, 0])
    fresh = greedy(decoder, 0, first, len(PROMPT), 20)
    greedy(decoder, 0, 77, len(PROMPT), 30)
    assert greedy(decoder, 0, first, len(PROMPT), 20) == fresh
    assert len(set(fresh)) > 3, "the stub says one token for ever and shows nothing"


def test_a_fork_and_a_restored_snapshot_equal_fresh(decoder_folder: Path) -> None:
    decoder = load(decoder_folder)
    first = int(decoder.prefill(0, PROMPT, num_cached_tokens=0).top_ids[0, 0])
    decoder.kv.slots[0].token_ids[:] = PROMPT
    store = PrefixStore(1 << 30)
    assert store.insert("prompt", PROMPT[:40], decoder.kv.source(decoder.kv.slots[0]))
    decoder.kv.fork(decoder.kv.slots[0], decoder.kv.slots[2], 50)
    decoder.kv.restore(store.match(PROMPT), decoder.kv.slots[3], PROMPT[:40])
    fresh = greedy(decoder, 0, first, len(PROMPT), 20)
    for slot, length in ((2, 50), (3, 40)):
        logits = decoder.prefill(slot, PROMPT[length:], num_cached_tokens=length)
        assert int(logits.top_ids[0, 0]) == first
        assert greedy(decoder, slot, first, len(PROMPT), 20) == fresh


def test_a_run_leaves_other_slots_alone(decoder_folder: Path) -> None:
    decoder = load(decoder_folder)
    for slot in range(4):
        decoder.prefill(slot, PROMPT, num_cached_tokens=0)
    before = [decoder.kv.memory.read(slot, 256) for slot in range(4)]
    decoder.decode(1, [5, 6], num_cached_tokens=[60, 20])
    decoder.prefill(1, PROMPT[:8], num_cached_tokens=30)
    for slot in (0, 3):
        np.testing.assert_array_equal(decoder.kv.memory.read(slot, 256), before[slot])


def test_a_stopped_run_leaves_the_cached_rows_intact(decoder_folder: Path) -> None:
    decoder = load(decoder_folder)
    whole = decoder.prefill(0, PROMPT, num_cached_tokens=0).full.copy()
    decoder.prefill(1, PROMPT[:30], num_cached_tokens=0)
    flag = StopFlag()
    flag.stop()
    with pytest.raises(RunTerminated):
        decoder.prefill(1, PROMPT[40:], num_cached_tokens=30, stop=flag)
    with pytest.raises(RunTerminated):
        decoder.decode(1, [9], num_cached_tokens=[30], stop=flag)
    logits = decoder.prefill(1, PROMPT[30:], num_cached_tokens=30)
    np.testing.assert_allclose(logits.full, whole, atol=TOLERANCE["fp32"])


def test_the_slot_can_be_filled_to_its_end_and_not_beyond(decoder_folder: Path) -> None:
    decoder = load(decoder_folder)
    for start in range(0, 256, 64):
        decoder.prefill(3, [4] * 64, num_cached_tokens=start)
    assert np.isfinite(decoder.decode(3, [4], num_cached_tokens=[255]).full).all()
    with pytest.raises(ValueError, match="257 tokens do not fit a slot of 256"):
        decoder.decode(3, [4], num_cached_tokens=[256])
    with pytest.raises(ValueError, match="1 to 64 tokens"):
        decoder.prefill(3, [4] * 65, num_cached_tokens=0)


def copy_of(folder: Path, target: Path) -> Path:
    shutil.copytree(folder, target)
    return target


@pytest.mark.parametrize("name", ["decoder.onnx", "decoder.onnx.data", "decoder.json"])
def test_a_missing_file_is_a_corrupt_model(decoder_folder: Path, tmp_path: Path, name: str) -> None:
    folder = copy_of(decoder_folder, tmp_path / "model")
    (folder / name).unlink()
    with pytest.raises(CorruptModel):
        load(folder)


@pytest.mark.parametrize("name", ["decoder.onnx", "decoder.onnx.data", "decoder.json"])
def test_a_file_cut_short_is_a_corrupt_model(decoder_folder: Path, tmp_path: Path, name: str) -> None:
    folder = copy_of(decoder_folder, tmp_path / "model")
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(CorruptModel):
        load(folder)


@pytest.mark.parametrize(("key", "value"), [("num_layers", 3), ("head_dim", 8), ("vocab_size", 100), ("top_k", 10)])
def test_a_graph_that_is_not_what_its_json_says_is_a_corrupt_model(
    decoder_folder: Path, tmp_path: Path, key: str, value: int
) -> None:
    folder = copy_of(decoder_folder, tmp_path / "model")
    spec = json.loads((folder / "decoder.json").read_text(encoding="utf-8"))
    (folder / "decoder.json").write_text(json.dumps(spec | {key: value}), encoding="utf-8")
    with pytest.raises(CorruptModel) as caught:
        load(folder)
    assert caught.value.hint


def test_weights_that_give_nan_are_a_corrupt_model(decoder_folder: Path, tmp_path: Path) -> None:
    folder = copy_of(decoder_folder, tmp_path / "model")
    data = folder / "decoder.onnx.data"
    data.write_bytes(b"\xff" * data.stat().st_size)
    with pytest.raises(CorruptModel, match="NaN"):
        load(folder)


def test_slots_are_no_longer_than_the_model_allows(decoder_folder: Path) -> None:
    assert load(decoder_folder, max_context_tokens=4096).kv.max_context_tokens == 512


@pytest.mark.gpu
@pytest.mark.skipif(bool(cuda_problem()), reason=f"no CUDA: {cuda_problem()}")
def test_cuda_continues_from_a_restored_snapshot_as_from_the_original(folder_of: Precisions) -> None:
    decoder = load(folder_of("fp16"), device="cuda")
    first = int(decoder.prefill(0, PROMPT, num_cached_tokens=0).top_ids[0, 0])
    decoder.kv.slots[0].token_ids[:] = PROMPT
    decoder.kv.restore(decoder.kv.snapshot(decoder.kv.slots[0], 60), decoder.kv.slots[2], 60)
    decoder.kv.fork(decoder.kv.slots[0], decoder.kv.slots[3], 60)
    fresh = greedy(decoder, 0, first, len(PROMPT), 20)
    assert greedy(decoder, 2, first, len(PROMPT), 20) == fresh
    assert greedy(decoder, 3, first, len(PROMPT), 20) == fresh
