"""What the rules share on one sheet: the subject, the models, and what is computed once for several rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from npc_engine.sheets.lint.models import Models
from npc_engine.sheets.lint.subject import Subject
from npc_engine.sheets.lint.words import document_frequency, stems

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Pairs that a model is asked about: a fact's nearest ones and those that share its rare words. Bounds the time, which
# then grows with the number of facts and not with its square: tools/bench_lint.py.
MAX_NEAREST = 4
# Below this cosine two sentences are taken to be about different things. Source: chosen by hand, not calibrated.
MIN_COSINE = 0.45
# A word in at most so many of the statements is rare.
RARE = 2
# From here on a model's probability counts. Source: the judge's starting value (docs/judge.md), not calibrated here.
PROBABILITY = 0.8

ENTAILMENT, CONTRADICTION = 0, 2


class Context:
    """One sheet under lint.

    Args:
        subject: The sheet.
        models: What is installed.
    """

    def __init__(self, subject: Subject, models: Models) -> None:
        self.subject = subject
        self.models = models
        self._judged: dict[tuple[str, str], NDArray[np.float32]] = {}

    @cached_property
    def frequency(self) -> Counter[str]:
        """In how many texts of the sheet, facts and lore included, each stem occurs."""
        texts = [text.text for text in self.subject.always]
        return document_frequency([*texts, *(placed.fact.text for placed in self.subject.facts)])

    @cached_property
    def similarity(self) -> NDArray[np.float32] | None:
        """(n_facts, n_facts) float32 cosines of the facts' texts; None without an encoder."""
        import numpy as np

        facts = self.subject.facts
        if self.models.encoder is None or len(facts) < 2:
            return None
        vectors = self.models.encoder.embed([placed.fact.text for placed in facts])
        return np.asarray(vectors @ vectors.T, np.float32)

    @cached_property
    def near_pairs(self) -> tuple[tuple[int, int], ...]:
        """Pairs of facts worth asking a model about, each once, the earlier fact first."""
        pairs = self._pairs_of_rare_words() | self._nearest_pairs()
        return tuple(sorted(pairs))

    def judged(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """(n_pairs, 3) probabilities; zeros without a model. What was judged before is not asked again."""
        import numpy as np

        if self.models.nli is None or not pairs:
            return np.zeros((len(pairs), 3), np.float32)
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self._judged]
        if new:
            self._judged.update(zip(new, self.models.nli.scores_now(new), strict=True))
        return np.array([self._judged[pair] for pair in pairs], np.float32)

    def _pairs_of_rare_words(self) -> set[tuple[int, int]]:
        """Facts that share two rare words: at most three facts each, so that a lawless word list stays small."""
        rows: dict[str, list[int]] = {}
        for row, placed in enumerate(self.subject.facts):
            for stem in stems(placed.fact.text):
                rows.setdefault(stem, []).append(row)
        shared: Counter[tuple[int, int]] = Counter()
        for having in rows.values():
            if 2 <= len(having) <= RARE + 1:
                shared.update((a, b) for i, a in enumerate(having) for b in having[i + 1 :])
        return {pair for pair, count in shared.items() if count >= 2}

    def _nearest_pairs(self) -> set[tuple[int, int]]:
        import numpy as np

        if self.similarity is None:
            return set()
        scores = self.similarity.copy()
        np.fill_diagonal(scores, -1)
        count = min(MAX_NEAREST, len(scores) - 1)
        nearest = np.argpartition(-scores, count - 1, axis=1)[:, :count]
        return {
            (min(row, int(other)), max(row, int(other)))
            for row, others in enumerate(nearest)
            for other in others
            if scores[row, other] >= MIN_COSINE
        }
