"""Requests under several adapters share an engine and never what it has cached."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from npc_engine.config import EngineConfig
from npc_engine.errors import UnknownAdapter
from npc_engine.inference.decoder import Decoder
from npc_engine.inference.engine import InferenceEngine
from npc_engine.inference.sampler import SamplingParams
from npc_engine.models.build import build_decoder
from tests.inference.talking import PROMPT, Reply, collect
from tests.models.test_lora import adapter_tensors, save_adapter
from tests.stubs import write_stub_gguf

PARAMS = SamplingParams(temperature=0, max_new_tokens=8)
VOICES = (None, "mira", "odo")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str | None, Path]:
    """A model with two adapters, as "both"; and by each voice the model that speaks with it alone, merged."""
    root = tmp_path_factory.mktemp("adapters")
    source = write_stub_gguf(root / "stub.gguf", tied=False)
    adapters = {"mira": save_adapter(root / "m"), "odo": save_adapter(root / "o", adapter_tensors(seed=5))}
    options: dict[str | None, dict[str, object]] = {
        "both": {"adapters": adapters},
        None: {},
        **{name: {"adapter": folder} for name, folder in adapters.items()},
    }
    built = {}
    for name, extra in options.items():
        built[name] = root / f"model-{name}"
        built[name].mkdir()
        build_decoder(source, built[name], precision="fp32", **extra)  # type: ignore[arg-type]
    return built


@contextmanager
def running(folder: Path, **settings: object) -> Iterator[InferenceEngine]:
    defaults = {"threads": 1, "device": "cpu", "max_context_tokens": 256, "prefill_chunk_tokens": 16, "num_slots": 4}
    config = EngineConfig(**(defaults | settings))  # type: ignore[arg-type]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    engine = InferenceEngine(Decoder.load(folder, config=config), tokenizer, config=config)
    engine.start()
    try:
        yield engine
    finally:
        engine.close()


def both(folders: dict[str | None, Path], **settings: object) -> AbstractContextManager[InferenceEngine]:
    return running(folders["both"], **settings)


async def say(
    engine: InferenceEngine, adapter: str | None, talk: str | None = None, prompt: tuple[int, ...] = PROMPT
) -> Reply:
    return await collect(engine.generate(prompt, PARAMS, conversation_id=talk, adapter=adapter))


@pytest.fixture(scope="module")
def expected(folders: dict[str | None, Path]) -> dict[str | None, list[int]]:
    """What each merged model says."""

    async def alone(voice: str | None) -> list[int]:
        with running(folders[voice]) as engine:
            return (await say(engine, None)).token_ids

    replies = {voice: asyncio.run(alone(voice)) for voice in VOICES}
    assert len({tuple(ids) for ids in replies.values()}) == len(VOICES)
    return replies


async def test_talks_with_several_adapters_at_once_say_what_each_model_says(
    folders: dict[str | None, Path], expected: dict[str | None, list[int]]
) -> None:
    with both(folders) as engine:
        for _ in range(3):  # from nothing, then from what lies in the slots
            voices = (*VOICES, "mira")
            replies = await asyncio.gather(*(say(engine, voice, f"talk{n}") for n, voice in enumerate(voices)))
            assert [reply.token_ids for reply in replies] == [expected[voice] for voice in voices]
        assert replies[1].stats.cached_tokens == len(PROMPT) - 1


async def test_a_conversation_that_changes_its_adapter_starts_cold(
    folders: dict[str | None, Path], expected: dict[str | None, list[int]]
) -> None:
    with both(folders) as engine:
        for voice, cached in (("mira", 0), ("mira", len(PROMPT) - 1), ("odo", 0), (None, 0), ("odo", 0)):
            reply = await say(engine, voice, "talk")
            assert (reply.token_ids, reply.stats.cached_tokens) == (expected[voice], cached), voice


async def test_one_slot_for_three_voices_saves_and_restores_each_its_own(
    folders: dict[str | None, Path], expected: dict[str | None, list[int]]
) -> None:
    """Every turn takes the slot of the talk before; all prompts are the same tokens."""
    with both(folders, num_slots=1) as engine:
        for round_ in range(3):
            for voice in VOICES:
                reply = await say(engine, voice, f"talk of {voice}")
                assert reply.token_ids == expected[voice]
                assert reply.stats.cached_tokens == (len(PROMPT) - 1 if round_ else 0)


async def test_a_warm_prefix_serves_its_adapter_and_no_other(
    folders: dict[str | None, Path], expected: dict[str | None, list[int]]
) -> None:
    prefix = PROMPT[:40]
    with both(folders) as engine:
        await engine.warm_prefix(prefix, key="mira", adapter="mira")
        for voice, cached in (("odo", 0), ("mira", 40), (None, 0)):
            reply = await say(engine, voice)
            assert (reply.token_ids, reply.stats.cached_tokens) == (expected[voice], cached), voice


async def test_a_restart_reads_each_adapters_prefix_file(folders: dict[str | None, Path], tmp_path: Path) -> None:
    settings = {"prefix_store_dir": tmp_path, "prefix_store_disk_bytes": 1 << 24}
    with both(folders, **settings) as engine:
        await engine.warm_prefix(PROMPT, key="mira", adapter="mira")
    with both(folders, **settings) as engine:
        await engine.warm_prefix(PROMPT, key="odo", adapter="odo")
        assert engine.stats()["prefix_files_loaded"] == 0
        await engine.warm_prefix(PROMPT, key="mira", adapter="mira")
        assert engine.stats()["prefix_files_loaded"] == 1
    assert len(list(tmp_path.glob("*.kv"))) == 2


async def test_candidates_and_scores_are_the_adapters(
    folders: dict[str | None, Path], expected: dict[str | None, list[int]]
) -> None:
    params = dataclasses.replace(PARAMS, seed=1)
    continuations = [tuple(ids) for ids in expected.values()]
    with both(folders) as engine:
        for voice in VOICES:
            found = await engine.candidates(PROMPT, [PARAMS, params], conversation_id="talk", adapter=voice)
            assert [list(each.token_ids) for each in found] == [expected[voice]] * 2
            scores = await engine.score(PROMPT, continuations, conversation_id="talk", adapter=voice)
            with running(folders[voice]) as alone:
                assert scores == pytest.approx(await alone.score(PROMPT, continuations), abs=1e-3)


async def test_an_adapter_that_is_not_there_is_told_and_others_go_on(
    folders: dict[str | None, Path], expected: dict[str | None, list[int]]
) -> None:
    with both(folders) as engine:
        with pytest.raises(UnknownAdapter, match="'tess'") as caught:
            await say(engine, "tess")
        assert "mira, odo" in caught.value.hint
        with pytest.raises(UnknownAdapter):
            await engine.warm_prefix(PROMPT, key="tess", adapter="tess")
        assert (await say(engine, "mira")).token_ids == expected["mira"]
