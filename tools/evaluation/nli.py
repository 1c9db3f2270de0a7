"""The NLI model that contradictions are measured with, whichever the judge uses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from npc_engine.config import EngineConfig
from npc_engine.guard.nli import NliJudge
from npc_engine.inference.classifier import PairClassifier
from npc_engine.models.installed import find_installed

COLUMNS = ("entailment", "neutral", "contradiction")
ENTAILMENT, CONTRADICTION = COLUMNS.index("entailment"), COLUMNS.index("contradiction")


class Nli(Protocol):
    """Judges pairs of texts."""

    async def scores(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """(n_pairs, 3) float32 probabilities of (premise, hypothesis) pairs, in the order of `COLUMNS`."""
        ...


def load_nli(name: str, *, config: EngineConfig) -> Nli:
    """An NLI model from the cache or a folder.

    Args:
        name: An installed model's name, or a folder with `classifier.onnx`.
        config: Where the cache is, and how many threads.

    Raises:
        ModelError: It is not installed, does not load, or its labels are not those of three-way NLI.
    """
    folder = Path(name) if Path(name).is_dir() else find_installed(name, config.cache_dir).path
    return NliJudge(PairClassifier.load(folder, config=config), name=name)
