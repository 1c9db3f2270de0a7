"""Tiny decoders from the real builder. Weights are fp32 where a test asks for equality to the last bit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from gguf import GGMLQuantizationType
from tokenizers import Tokenizer

from npc_engine.config import EngineConfig
from npc_engine.inference.decoder import Decoder
from npc_engine.inference.engine import InferenceEngine
from npc_engine.models.build import build_decoder
from tests.stubs import build_stub_encoder, write_stub_gguf

Precisions = Callable[[str], Path]
EngineFactory = Callable[..., AbstractContextManager[InferenceEngine]]


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Precisions:
    """Model folder by precision. Untied weights: a tied random model says one token for ever."""
    built: dict[str, Path] = {}

    def folder(precision: str) -> Path:
        if precision not in built:
            root = tmp_path_factory.mktemp(precision)
            out = root / "model"
            out.mkdir()
            # The decode graph keeps four-bit codes as they are, so that the gate measures the prefill graph alone.
            stored = GGMLQuantizationType.Q4_0 if precision == "int4" else GGMLQuantizationType.F16
            source = write_stub_gguf(root / "stub.gguf", tied=False, tensor_type=stored)
            build_decoder(source, out, precision=precision)  # type: ignore[arg-type]
            built[precision] = out
        return built[precision]

    return folder


@pytest.fixture(scope="session")
def decoder_folder(folder_of: Precisions) -> Path:
    return folder_of("fp32")


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    build_stub_encoder(folder)
    return folder


@pytest.fixture(scope="session")
def tokenizer(decoder_folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(decoder_folder / "tokenizer.json"))


@pytest.fixture(scope="session")
def engine_of(decoder_folder: Path, tokenizer: Tokenizer) -> EngineFactory:
    """Open a running engine with these settings; it is closed at the end of the `with`."""

    @contextmanager
    def factory(
        *, is_started: bool = True, clock: Callable[[], float] = time.perf_counter, **settings: object
    ) -> Iterator[InferenceEngine]:
        defaults = {"threads": 1, "device": "cpu", "max_context_tokens": 256, "prefill_chunk_tokens": 16}
        config = EngineConfig(**(defaults | settings))  # type: ignore[arg-type]
        engine = InferenceEngine(Decoder.load(decoder_folder, config=config), tokenizer, config=config, clock=clock)
        if is_started:
            engine.start()
        try:
            yield engine
        finally:
            engine.close()

    return factory
