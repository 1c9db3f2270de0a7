"""Sentence embeddings: text in, unit vectors out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from npc_engine.config import EngineConfig
from npc_engine.errors import CorruptModel
from npc_engine.inference.batching import BatchQueue
from npc_engine.inference.onnx_session import OnnxSession, open_session
from npc_engine.inference.spec import EncoderSpec

# Padding a batch to its longest text costs more than it saves beyond a few rows on a CPU; texts are sorted by length.
_MAX_BATCH = 16
# Texts that share a run of the queue.
_MAX_TEXTS = 64
# Embeddings kept for texts that come again; one of 384 numbers takes 1.5 kB.
_MAX_CACHED = 1024


class SentenceEncoder:
    """A loaded sentence encoder. Thread-safe.

    Args:
        session: Takes `input_ids` and `attention_mask`, gives `embedding`.
        tokenizer: Its tokenizer, padding and truncation as the class sets them.
        spec: Its sizes.
        max_cached: Embeddings kept for texts that come again; 0 keeps none.

    Attributes:
        spec: What the graph is.
        provider: The execution provider that the session really got.
        fallback_reason: Why not CUDA under `device = "auto"`; empty otherwise.
    """

    def __init__(
        self, session: OnnxSession, tokenizer: Tokenizer, spec: EncoderSpec, *, max_cached: int = _MAX_CACHED
    ) -> None:
        tokenizer.no_padding()
        tokenizer.enable_truncation(spec.max_tokens)
        self.spec = spec
        self.provider = session.provider
        self.fallback_reason = session.fallback_reason
        self._session = session
        self._tokenizer = tokenizer
        self._queue: BatchQueue[str] = BatchQueue(
            self._compute, width=spec.hidden_size, max_items=_MAX_TEXTS, max_cached=max_cached
        )

    @classmethod
    def load(cls, folder: Path, *, config: EngineConfig, max_cached: int = _MAX_CACHED) -> Self:
        """Open `encoder.onnx`, `encoder.json` and `tokenizer.json`, and embed a word to see that it computes.

        Raises:
            CorruptModel: A file is missing, does not load, or the graph gives no unit vector.
            DeviceUnavailable: `config.device` is `cuda` and cannot be had.
        """
        spec = EncoderSpec.load(folder / "encoder.json")
        hint = "npc-engine models verify NAME, then pull it again"
        try:
            tokenizer = Tokenizer.from_str((folder / "tokenizer.json").read_text(encoding="utf-8"))
        except Exception as error:  # the tokenizers package raises plain Exception for a bad file
            raise CorruptModel(f"{folder / 'tokenizer.json'}: {error}", hint=hint) from error
        session = open_session(folder / "encoder.onnx", device=config.device, threads=config.threads)
        encoder = cls(session, tokenizer, spec, max_cached=max_cached)
        try:
            vector = encoder.embed(["word"])
        except Exception as error:  # whatever the runtime raises, the graph is not the one encoder.json describes
            raise CorruptModel(f"{folder / 'encoder.onnx'}: loads but does not run: {error}", hint=hint) from error
        if vector.shape != (1, spec.hidden_size) or not np.isclose(np.linalg.norm(vector), 1, atol=1e-3):
            raise CorruptModel(f"{folder / 'encoder.onnx'}: the embedding is no unit vector", hint=hint)
        return encoder

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts, in batches of like length.

        A text longer than `spec.max_tokens` tokens is cut there; an empty text has the embedding of the end marks.

        Returns:
            (n, hidden_size) float32, rows of length 1 in the order of the texts; their dot product is the cosine.
        """
        return self._queue.now(texts)

    async def aembed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """`embed` in another thread, together with what other callers ask meanwhile; see `BatchQueue.submit`."""
        return await self._queue.submit(texts)

    def _compute(self, texts: Sequence[str]) -> NDArray[np.float32]:
        result = np.zeros((len(texts), self.spec.hidden_size), np.float32)
        encoded = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        order = sorted(range(len(texts)), key=lambda index: len(encoded[index]))
        for start in range(0, len(order), _MAX_BATCH):
            batch = order[start : start + _MAX_BATCH]
            result[batch] = self._run([encoded[index] for index in batch])
        return result

    def _run(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        shape = (len(rows), max(len(row) for row in rows))
        input_ids, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for index, row in enumerate(rows):
            input_ids[index, : len(row)] = row
            mask[index, : len(row)] = 1
        (embedding,) = self._session.run(["embedding"], {"input_ids": input_ids, "attention_mask": mask})
        return np.asarray(embedding, np.float32)
