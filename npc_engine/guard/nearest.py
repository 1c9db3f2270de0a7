"""The statements nearest to a sentence, out of any number: cosine of embeddings, and rare words and numbers shared.

A contradiction shares its subject with what it contradicts, so that what is far from a sentence need not be judged.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from npc_engine.guard.verdict import Statement
from npc_engine.guard.words import stems

# Weight of shared rare words beside the cosine. Source: as in grounding, docs/log.md, "How premises are ranked".
LEXICAL_WEIGHT = 0.35


class StatementIndex:
    """A fixed list of statements.

    Args:
        statements: Any number.
        embeddings: (n_statements, hidden_size) float32, rows of length 1.
    """

    def __init__(self, statements: Sequence[Statement], embeddings: NDArray[np.float32]) -> None:
        self.statements = tuple(statements)
        self._embeddings = embeddings
        self._row_of = {statement.id: row for row, statement in enumerate(self.statements)}
        rows: dict[str, list[int]] = {}
        for row, statement in enumerate(self.statements):
            for stem in stems(statement.text):
                rows.setdefault(stem, []).append(row)
        self._rows = {stem: np.array(each) for stem, each in rows.items()}

    @property
    def stems(self) -> frozenset[str]:
        """Every stem of every statement."""
        return frozenset(self._rows)

    def nearest(
        self,
        sentence: str,
        embedding: NDArray[np.float32],
        *,
        k: int,
        holds: NDArray[np.bool_] | None = None,
        always: Collection[str] = (),
    ) -> list[tuple[Statement, float]]:
        """At most `k` statements with their nearness, nearest first, and those that are asked for besides.

        Args:
            sentence: What they are compared with.
            embedding: (hidden_size,) float32, of the sentence.
            k: How many.
            holds: (n_statements,) bool, which ones take part; None for all.
            always: Ids of statements that come in any case, where they are here.
        """
        if not self.statements or k <= 0:
            return []
        scores = self._embeddings @ embedding + LEXICAL_WEIGHT * self._shared(sentence)
        if holds is not None:
            scores = np.where(holds, scores, -np.inf)
        k = min(k, len(scores))
        top = {int(row) for row in np.argpartition(-scores, k - 1)[:k]}
        top |= {self._row_of[name] for name in always if name in self._row_of}
        best = sorted((row for row in top if scores[row] > -np.inf), key=lambda row: (-scores[row], row))
        return [(self.statements[row], float(scores[row])) for row in best]

    def _shared(self, sentence: str) -> NDArray[np.float32]:
        """(n_statements,) float32, 0 to 1: share of the sentence's stems in each, by their rarity."""
        shared = np.zeros(len(self.statements), np.float32)
        total = 0.0
        for stem in stems(sentence):
            rows = self._rows.get(stem)
            weight = float(np.log1p(len(self.statements) / (1 if rows is None else len(rows))))
            total += weight
            if rows is not None:
                shared[rows] += weight
        return shared / total if total else shared


@dataclass(frozen=True, kw_only=True)
class Held:
    """An index and which of its statements take part now.

    Attributes:
        index: The statements.
        holds: (n_statements,) bool; None for all.
    """

    index: StatementIndex
    holds: NDArray[np.bool_] | None = None

    def nearest(
        self, sentence: str, embedding: NDArray[np.float32], *, k: int, always: Collection[str] = ()
    ) -> list[tuple[Statement, float]]:
        """As `StatementIndex.nearest`."""
        return self.index.nearest(sentence, embedding, k=k, holds=self.holds, always=always)
