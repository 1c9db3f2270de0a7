"""What needs no inference: words of the hypothesis alone, and the cosine of two sentence embeddings."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from itertools import pairwise, permutations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tools.nli.pairs import LABELS, Pair

NUM_FEATURES = 1 << 16
_WORD = re.compile(r"[a-z0-9']+")


class HypothesisOnly:
    """Logistic regression over hashed words and word pairs of the hypothesis; never sees the premise."""

    def __init__(self, *, seed: int, num_passes: int = 3, rate: float = 0.3) -> None:
        self._rng = np.random.default_rng(seed)
        self._num_passes, self._rate = num_passes, rate
        self._weights = np.zeros((NUM_FEATURES, len(LABELS)), dtype=np.float32)

    def fit(self, pairs: Sequence[Pair]) -> HypothesisOnly:
        """Fit by AdaGrad, one pair at a time."""
        features = [_features(pair.hypothesis) for pair in pairs]
        targets = [LABELS.index(pair.label) for pair in pairs]
        squares = np.full_like(self._weights, 1e-8)
        for _ in range(self._num_passes):
            for index in self._rng.permutation(len(pairs)):
                rows = features[index]
                error = _softmax(self._weights[rows].sum(axis=0))
                error[targets[index]] -= 1
                squares[rows] += error**2
                self._weights[rows] -= self._rate * error / np.sqrt(squares[rows])
        return self

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """(n_pairs, 3) float32 probabilities."""
        return np.stack([_softmax(self._weights[_features(hypothesis)].sum(axis=0)) for _, hypothesis in pairs])


class Cosine:
    """Two thresholds on the cosine of the sentence encoder's embeddings, and which label each of the three parts is."""

    def __init__(self, encoder: Path) -> None:
        from npc_engine.config import EngineConfig
        from npc_engine.inference.encoder import SentenceEncoder

        self._encoder = SentenceEncoder.load(encoder, config=EngineConfig(device="cpu"))
        self._cuts, self._labels = (0.0, 0.0), (0, 1, 2)

    def fit(self, pairs: Sequence[Pair]) -> Cosine:
        """Choose the thresholds and labels of best accuracy."""
        cosines = self._cosines([(pair.premise, pair.hypothesis) for pair in pairs])
        gold = np.array([LABELS.index(pair.label) for pair in pairs])
        grid = np.quantile(cosines, np.linspace(0, 1, 21))
        best = -1.0
        for low in grid:
            for high in grid[grid >= low]:
                part = (cosines >= low).astype(int) + (cosines >= high)
                for labels in permutations(range(len(LABELS))):
                    accuracy = float((np.array(labels)[part] == gold).mean())
                    if accuracy > best:
                        best, self._cuts, self._labels = accuracy, (float(low), float(high)), labels
        return self

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """(n_pairs, 3) float32, one of them 1."""
        cosines = self._cosines(pairs)
        part = (cosines >= self._cuts[0]).astype(int) + (cosines >= self._cuts[1])
        return np.eye(len(LABELS), dtype=np.float32)[np.array(self._labels)[part]]

    def _cosines(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        premises = self._encoder.embed([premise for premise, _ in pairs])
        hypotheses = self._encoder.embed([hypothesis for _, hypothesis in pairs])
        return np.asarray((premises * hypotheses).sum(axis=1), dtype=np.float32)


def _features(text: str) -> NDArray[np.int64]:
    words = ["^", *_WORD.findall(text.lower()), "$"]
    names = words[1:-1] + [f"{one} {other}" for one, other in pairwise(words)]
    return np.array(sorted({zlib.crc32(name.encode()) % NUM_FEATURES for name in names}), dtype=np.int64)


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    exp: NDArray[np.float32] = np.exp(logits - logits.max())
    exp /= exp.sum()
    return exp
