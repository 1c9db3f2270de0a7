"""A cross-encoder: two texts in, a probability for each of the model's labels out.

Knows label names and nothing of what they mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from npc_engine.config import EngineConfig
from npc_engine.errors import CorruptModel
from npc_engine.inference.batching import BatchQueue
from npc_engine.inference.onnx_session import OnnxSession, open_session
from npc_engine.inference.spec import ClassifierSpec

Pair = tuple[str, str]
"""A premise and a hypothesis."""

# Rows of one call of the graph. Pairs are sorted by length, so that short ones are not padded to the longest.
_MAX_ROWS = 16
# Pairs that share a run of the queue; the next one waits so long, 0.12 s on 2 cores (tools/bench_nli.py).
_MAX_PAIRS = 64
# Rows kept for pairs that come again; with its two sentences of text a row takes about 0.5 kB.
_MAX_CACHED = 8192

_INPUTS = {"input_ids", "attention_mask", "token_type_ids"}
_HINT = "npc-engine models verify NAME, then pull or import it again"


class PairClassifier:
    """A loaded classifier of text pairs. Thread-safe.

    Runs on the CPU whatever `device` says: the graph is int8 for CPUs, and a GPU has the dialogue model to do.

    Args:
        session: Takes `input_ids`, `attention_mask` and, where the model has it, `token_type_ids`, int64 (B, S); gives
            `logits` float32 (B, num_labels).
        tokenizer: Its tokenizer; a padding section in it names the padding token, otherwise that is token 0.
        spec: Its sizes and labels.
        max_cached: Results kept for pairs that come again; 0 keeps none.

    Attributes:
        spec: What the graph is.
        provider: The execution provider that the session really got.
        fallback_reason: Why not CUDA under `device = "auto"`; empty otherwise.
    """

    def __init__(
        self, session: OnnxSession, tokenizer: Tokenizer, spec: ClassifierSpec, *, max_cached: int = _MAX_CACHED
    ) -> None:
        self._pad_id = tokenizer.padding["pad_id"] if tokenizer.padding else 0
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self.spec = spec
        self.provider = session.provider
        self.fallback_reason = session.fallback_reason
        self._session = session
        self._tokenizer = tokenizer
        self._queue: BatchQueue[Pair] = BatchQueue(
            self._compute, width=len(spec.labels), max_items=_MAX_PAIRS, max_cached=max_cached
        )

    @classmethod
    def load(cls, folder: Path, *, config: EngineConfig, max_cached: int = _MAX_CACHED) -> Self:
        """Open `classifier.onnx`, `classifier.json` and `tokenizer.json`, and classify a pair to see that it computes.

        Raises:
            CorruptModel: A file is missing, does not load, or the graph does not do what `classifier.json` says.
        """
        spec = ClassifierSpec.load(folder / "classifier.json")
        if not spec.labels or spec.max_tokens < 1 or not spec.temperature > 0:
            raise CorruptModel(f"{folder / 'classifier.json'}: labels, max_tokens or temperature are none", hint=_HINT)
        try:
            tokenizer = Tokenizer.from_str((folder / "tokenizer.json").read_text(encoding="utf-8"))
        except Exception as error:  # the tokenizers package raises plain Exception for a bad file
            raise CorruptModel(f"{folder / 'tokenizer.json'}: {error}", hint=_HINT) from error
        path = folder / "classifier.onnx"
        session = open_session(path, device="cpu", threads=config.threads)
        if unknown := set(session.input_names) - _INPUTS:
            raise CorruptModel(f"{path}: nobody knows what to put into {', '.join(sorted(unknown))}", hint=_HINT)
        classifier = cls(session, tokenizer, spec, max_cached=max_cached)
        try:
            row = classifier.classify([("A word.", "Another word.")])
        except Exception as error:  # whatever the runtime raises, the graph is not the one classifier.json describes
            raise CorruptModel(f"{path}: loads but does not run: {error}", hint=_HINT) from error
        if row.shape != (1, len(spec.labels)) or not np.isclose(row.sum(), 1, atol=1e-3):
            raise CorruptModel(f"{path}: its output is not one logit a label", hint=_HINT)
        return classifier

    def classify(self, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        """Classify pairs, in batches of like length.

        A pair longer than `spec.max_tokens` loses the end of its premise; its hypothesis stays whole unless it fills
        `max_tokens` alone, and then there is no premise left and its own end goes too.

        The graph's activations are quantized a batch at a time, so a pair's probabilities depend a little on its batch
        neighbours: docs/models.md has how much.

        Returns:
            (n_pairs, n_labels) float32 in the order of the pairs and of `spec.labels`; each row sums to 1.
        """
        return self._queue.now(pairs)

    async def aclassify(self, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        """`classify` in another thread, together with what other callers ask meanwhile; see `BatchQueue.submit`."""
        return await self._queue.submit(pairs)

    def _compute(self, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        rows = [self._fitted(encoding) for encoding in self._tokenizer.encode_batch(list(pairs))]
        logits = np.zeros((len(rows), len(self.spec.labels)), np.float32)
        order = sorted(range(len(rows)), key=lambda index: len(rows[index][0]))
        for start in range(0, len(order), _MAX_ROWS):
            batch = order[start : start + _MAX_ROWS]
            logits[batch] = self._run([rows[index] for index in batch])
        return _softmax(logits / np.float32(self.spec.temperature))

    def _fitted(self, encoding: Encoding) -> tuple[list[int], list[int]]:
        """Token ids and token types, cut to `max_tokens`: first from the premise's end, then the hypothesis'."""
        excess = len(encoding.ids) - self.spec.max_tokens
        if excess <= 0:
            return encoding.ids, encoding.type_ids
        texts = encoding.sequence_ids
        premise = [index for index, text in enumerate(texts) if text == 0]
        hypothesis = [index for index, text in enumerate(texts) if text == 1]
        dropped = set([*reversed(premise), *reversed(hypothesis)][:excess])
        kept = [index for index in range(len(encoding.ids)) if index not in dropped]
        ids, types = encoding.ids, encoding.type_ids
        return [ids[index] for index in kept], [types[index] for index in kept]

    def _run(self, rows: Sequence[tuple[list[int], list[int]]]) -> NDArray[np.float32]:
        shape = (len(rows), max(len(ids) for ids, _ in rows))
        input_ids = np.full(shape, self._pad_id, np.int64)
        mask, token_types = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for index, (ids, types) in enumerate(rows):
            input_ids[index, : len(ids)] = ids
            mask[index, : len(ids)] = 1
            token_types[index, : len(ids)] = types
        inputs = {"input_ids": input_ids, "attention_mask": mask, "token_type_ids": token_types}
        (logits,) = self._session.run(["logits"], {name: inputs[name] for name in self._session.input_names})
        return np.asarray(logits, np.float32)


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    exp: NDArray[np.float32] = np.exp(logits - logits.max(axis=-1, keepdims=True))
    exp /= exp.sum(axis=-1, keepdims=True)
    return exp
