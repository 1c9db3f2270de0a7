"""What is judged, by what, and what comes of it: statements, reasons, verdicts, and the limits they go by.

Plain data. Knows nothing of sheets, prompts or models.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

StatementKind = Literal["fact", "event", "relationship", "action_result", "said", "memory"]
ReasonKind = Literal[
    "contradiction",
    "unsupported",
    "ungrounded",
    "number",
    "name",
    "instruction",
    "assistant",
    "other_world",
    "avoided",
    "stage_direction",
    "deed",
    "secret",
    "quirk",
    "saturation",
]
# Reasons of style: the sentence is not wrong, and is said where the character would else have no answer.
STYLE_REASONS: frozenset[ReasonKind] = frozenset({"quirk", "saturation"})
# Whether a sentence may say that something was just done: freely, only as a result says it, or not at all.
Deeds = Literal["free", "by_result", "none"]


@dataclass(frozen=True, kw_only=True)
class Statement:
    """Something that holds for the character.

    Attributes:
        id: As traces name it.
        text: One or two plain sentences.
        kind: Where it comes from.
    """

    id: str
    text: str
    kind: StatementKind


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why a sentence may not be said.

    Attributes:
        kind: Which check found it.
        statement_id: The statement it collides with, where there is one.
        score: A probability from the NLI model, or 1 where a string rule decided.
        span: The words of the sentence that are meant, as they stand there.
    """

    kind: ReasonKind
    statement_id: str | None
    score: float
    span: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the judge found about one sentence.

    Attributes:
        sentence: The sentence.
        reasons: Why not to say it; empty where it may be said.
        contradiction: Highest probability that a statement contradicts it; None without an NLI model, or where the
            sentence claims nothing.
        support: Highest probability that an active statement entails it; None likewise, and without such statements.
        grounded: Highest probability that any statement at all entails it; None likewise.
        supported_by: The active statement of that probability, where `Thresholds.support` is reached.
        num_judged: Pairs that the NLI model was asked about.
    """

    sentence: str
    reasons: tuple[Reason, ...]
    contradiction: float | None = None
    support: float | None = None
    grounded: float | None = None
    supported_by: str | None = None
    num_judged: int = 0

    @property
    def is_sayable(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.reasons


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """The judge's limits. Probabilities are the NLI model's, 0 to 1.

    docs/judge.md says what they were fitted to.

    Attributes:
        contradiction: From here on a sentence contradicts a statement, weighed by nearness. Source: 3 in 100 sentences
            that contradict nothing are stopped, docs/judge.md.
        secret: From here on, in both directions, a sentence says a hidden statement. Source: likewise, fewer than 1 in
            100.
        support: From here on a statement entails a sentence. Source: likewise, of pairs that are not entailed fewer
            than 5 in 100.
        near: Nearness (`StatementIndex.nearest`) below which a statement is about something else, and is not
            judged whether it contradicts. Source: docs/log.md, "Only what is near contradicts".
        nearness_weight: Natural log units that the odds of a contradiction lose with each unit of missing nearness.
            Source: as above.
        full_nearness: Nearness from which nothing is lost. Source: as above.
        secret_words: Words of a hidden statement that nothing else explains, from which a sentence says it. Source: one
            such word also comes by chance; chosen by hand, not calibrated.
        secret_share: Share of a hidden statement's words in the sentence and the player's line together, from which
            one such word is enough. Source: as above.
        max_passive: Statements judged a sentence, besides the active ones and what was said. Source: bounds the time,
            whatever the size of the sheet.
        max_said: The character's own earlier sentences judged, those nearest to the sentence. Source: as above.
        max_hidden: Hidden statements judged, those nearest to the sentence. Source: as above.
        short_words: A sentence of at most so many words answers a question rather than stands alone. Source: chosen
            by hand, not calibrated.
    """

    contradiction: float = 0.6
    secret: float = 0.8
    support: float = 0.5
    near: float = 0.25
    nearness_weight: float = 5.0
    full_nearness: float = 0.8
    secret_words: int = 2
    secret_share: float = 0.6
    max_passive: int = 32
    max_said: int = 16
    max_hidden: int = 4
    short_words: int = 4

    def contradicts(self, probability: float, nearness: float | None) -> float:
        """How likely a sentence contradicts a statement, 0 to 1.

        Two facts about different matters share little, and an NLI model that sees a sentence beside everything that a
        sheet says will find one of them against it; so its odds are weighed with how near the two are.

        Args:
            probability: What the NLI model says.
            nearness: Of the statement to the sentence; None leaves the probability as it is.
        """
        if nearness is None:
            return probability
        odds = probability / max(1e-9, 1 - probability)
        odds *= math.exp(self.nearness_weight * min(0.0, nearness - self.full_nearness))
        return odds / (1 + odds)


class Nli(Protocol):
    """A natural-language inference model."""

    @property
    def name(self) -> str:
        """As traces name it."""
        ...

    async def scores(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """Judge (premise, hypothesis) pairs.

        Returns:
            (n_pairs, 3) float32 probabilities in the order of `COLUMNS`.
        """
        ...


# Columns of what `Nli.scores` returns.
COLUMNS = ("entailment", "neutral", "contradiction")
ENTAILMENT, CONTRADICTION = COLUMNS.index("entailment"), COLUMNS.index("contradiction")


class Embedder(Protocol):
    """A sentence encoder."""

    async def aembed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n_texts, hidden_size) float32 rows of length 1."""
        ...
