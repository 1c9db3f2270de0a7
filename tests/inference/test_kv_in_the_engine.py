"""What a caller of the engine notices of KV memory: nothing but time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from npc_engine.config import EngineConfig
from npc_engine.errors import ContextTooLong
from npc_engine.inference.decoder import Decoder
from npc_engine.inference.engine import InferenceEngine
from npc_engine.inference.kv_cache import KvPool
from npc_engine.inference.kv_memory import BlockedKvMemory, DeviceKvMemory, HostKvMemory
from npc_engine.inference.onnx_session import open_session
from npc_engine.inference.sampler import SamplingParams
from npc_engine.inference.spec import DecoderSpec
from tests.inference.conftest import EngineFactory
from tests.inference.talking import PROMPT, say

SHORT = SamplingParams(temperature=0, max_new_tokens=8)


@contextmanager
def engine_with(folder: Path, tokenizer: Tokenizer, *classes: tuple[int, int]) -> Iterator[InferenceEngine]:
    """An engine whose slots are of these (tokens, how many), the first class behind the copy graphs of a device."""
    spec = DecoderSpec.load(folder / "decoder.json")
    config = EngineConfig(threads=1, device="cpu", prefill_chunk_tokens=16)
    dtype = np.dtype(spec.kv_dtype)
    shapes = [(2 * spec.num_layers, slots, spec.num_kv_heads, tokens, spec.head_dim) for tokens, slots in classes]
    memory = BlockedKvMemory(
        [DeviceKvMemory(shapes[0], dtype, device="cpu"), *(HostKvMemory(shape, dtype) for shape in shapes[1:])]
    )
    session = open_session(folder / "decoder.onnx", device="cpu", threads=1)
    decoder = Decoder(session, spec, KvPool(memory), max_chunk_tokens=16)
    engine = InferenceEngine(decoder, tokenizer, config=config)
    engine.start()
    try:
        yield engine
    finally:
        engine.close()


async def test_slots_of_several_lengths_give_the_replies_of_one(
    decoder_folder: Path, tokenizer: Tokenizer, engine_of: EngineFactory
) -> None:
    prompts = [PROMPT[:length] for length in (5, 20, 40, 60, 12, 33)]
    with engine_of() as engine:
        expected = [(await say(engine, prompt, SHORT)).token_ids for prompt in prompts]
    with engine_with(decoder_folder, tokenizer, (128, 2), (48, 3), (24, 2)) as engine:
        for _ in range(3):
            replies = await asyncio.gather(
                *(say(engine, prompt, SHORT, f"talk{index}") for index, prompt in enumerate(prompts))
            )
            assert [reply.token_ids for reply in replies] == expected
        with pytest.raises(ContextTooLong):
            await say(engine, PROMPT + PROMPT + PROMPT[:10], SHORT)


async def test_a_conversation_that_outgrows_its_slot_is_not_computed_again(
    decoder_folder: Path, tokenizer: Tokenizer, engine_of: EngineFactory
) -> None:
    with engine_of() as engine:
        expected = (await say(engine, PROMPT, SHORT)).token_ids
    with engine_with(decoder_folder, tokenizer, (128, 1), (48, 1)) as engine:
        await say(engine, PROMPT[:40], SHORT, "talk")
        longer = await say(engine, PROMPT, SHORT, "talk")
    assert longer.token_ids == expected
    assert longer.stats.cached_tokens == 40


async def test_a_restart_finds_its_prefixes_on_disk(engine_of: EngineFactory, tmp_path: Path) -> None:
    on_disk = {"prefix_store_dir": tmp_path, "prefix_store_disk_bytes": 1 << 24}
    with engine_of(**on_disk) as engine:
        await engine.warm_prefix(PROMPT[:50], key="ada")
        first = await say(engine, PROMPT)
    with engine_of(**on_disk) as engine:
        await engine.warm_prefix(PROMPT[:50], key="ada")
        assert engine.stats()["prefix_files_loaded"] == 1
        again = await say(engine, PROMPT)
        assert engine.stats()["prefix_disk_bytes"] == sum(path.stat().st_size for path in tmp_path.iterdir()) > 0
    assert (first.stats.cached_tokens, again.stats.cached_tokens) == (50, 50)
    assert again.token_ids == first.token_ids


async def test_memory_stays_within_what_was_configured(engine_of: EngineFactory, tmp_path: Path) -> None:
    with engine_of(num_slots=1) as engine:
        row = engine.stats()["kv_bytes"] // 256
    budgets = {"kv_budget_bytes": row * 600, "prefix_store_bytes": row * 200, "prefix_store_disk_bytes": row * 150}
    with engine_of(num_slots=4, prefix_store_dir=tmp_path, **budgets) as engine:
        assert engine.stats()["slots"] == 2
        for talk in range(12):
            prompt = PROMPT[talk:] + PROMPT[:talk]
            await engine.warm_prefix(prompt[:20], key=f"character{talk}")
            await say(engine, prompt, SHORT, f"talk{talk}")
            stats = engine.stats()
            assert stats["kv_bytes"] <= budgets["kv_budget_bytes"]
            assert stats["prefix_bytes"] <= budgets["prefix_store_bytes"]
    on_disk = [path.stat().st_size for path in tmp_path.iterdir()]
    assert 0 < sum(on_disk) <= budgets["prefix_store_disk_bytes"]
