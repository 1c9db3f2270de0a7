"""Which of several candidates for a sentence is said: one interface, a strategy a name of the setting `guard`.

| guard | candidates of the first sentence | rejected | chosen by |
|---|---|---|---|
| off | one | nothing | - |
| rules | one; more where it is rejected | by string rules | the first that passes |
| judge | one, on a GPU all; more where it is rejected | by string rules and NLI | all scores together |
| rerank | all | by string rules | NLI consistency alone |
| self_consistency | all | by string rules | agreement with the other candidates |
| self_conscious | all | by string rules | how well an imaginary listener knows who speaks |
| cautious | one, all where the model is in doubt | by string rules | likelihood a token |

Sources: judge, Zhou et al. 2023, SimOAP: over-sampling and post-evaluation; rerank, Welleck et al. 2019, Dialogue
Natural Language Inference; self_consistency, Wang et al. 2023 and Chen et al. 2023 (the medoid in place of
a vote); self_conscious, Kim et al. 2020, Will I Sound Like Me?, with the listener's likelihood approximated by the
sentence encoder and not computed by the dialogue model; cautious, Wang et al. 2025, cautious next token prediction,
with doubt measured over the sentence (its mean log-probability) and not at each token.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from npc_engine.guard.flanderization import VoiceLexicon, flanderization_index
from npc_engine.guard.style import closeness, mirroring, style
from npc_engine.guard.verdict import ReasonKind, Verdict
from npc_engine.guard.words import stems

Draws = Literal["lazily", "by_device", "always", "in_doubt"]
# A first sentence less likely a token than this (natural log) was written in doubt. Source: starting value, as
# `Thresholds`; not calibrated.
DOUBT_LOGPROB = -0.6
# How sharply the imaginary listener tells characters apart. Source: starting value; cosines differ by tenths.
LISTENER_SHARPNESS = 10.0
# Weights of `judge`. Source: set by hand, so that consistency outweighs all the others together.
_WEIGHTS = {"consistency": 4.0, "support": 1.5, "coherence": 1.0, "likelihood": 0.5, "length_fit": 0.5}
# What the controls pull with, each times the control. Source: set by hand: at full strength the voice weighs as much as
# coherence, saturation more, and facts carried on a task as much as consistency.
_VOICE_WEIGHT = 1.0
_FLANDERIZATION_WEIGHT = 2.0
_MIRRORING_WEIGHT = 1.0
_CARRIED_WEIGHT = 4.0


@dataclass(frozen=True, kw_only=True)
class Pull:
    """How strongly a turn's controls weigh its candidates; the defaults leave the ranking as it is.

    Attributes:
        role_play: 0 to 1: how much being close to the character's style counts.
        saturation: 0 to 1: how much a high flanderization index counts against a candidate.
        mirroring_cap: Mirroring the player beyond this counts against it; 1 is never reached.
        task_priority: 0 to 1: how much carrying what must be said counts.
    """

    role_play: float = 0.0
    saturation: float = 0.0
    mirroring_cap: float = 1.0
    task_priority: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What speaks for a candidate. All are 0 to 1, larger is better, except where said; None: not computed.

    Attributes:
        consistency: 1 minus the highest probability of a contradiction; None without an NLI model.
        support: Highest probability that an active statement entails it; None likewise.
        coherence: Cosine to the player's line; -1 to 1.
        mean_logprob: Natural log, a token; at most 0.
        length_fit: 1 up to the length that is wanted, then falling.
        flanderization: Its flanderization index; smaller is better.
        voice: How close its style is to the character's own.
        mirroring: How far its style has gone over to the player's; smaller is better.
        carried: Share of what must be said that it says.
        agreement: Mean cosine to the other candidates; -1 to 1.
        listener: Probability that an imaginary listener knows the character among the others; None without others.
    """

    consistency: float | None
    support: float | None
    coherence: float
    mean_logprob: float
    length_fit: float
    flanderization: float
    voice: float
    mirroring: float
    carried: float
    agreement: float
    listener: float | None


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """One value of the setting `guard`.

    Attributes:
        draws: When more than one candidate of the first sentence is sampled.
        uses_nli: Whether the NLI model is asked at all.
        ignores: Reasons that do not reject a sentence.
        rank: The value of a candidate that is not rejected; the largest is said.
    """

    draws: Draws
    uses_nli: bool
    ignores: frozenset[ReasonKind]
    rank: Callable[[Scores, Pull], float]

    def rejects(self, verdict: Verdict) -> bool:
        """Whether a sentence with this verdict is not said."""
        return any(reason.kind not in self.ignores for reason in verdict.reasons)


def _by_judge(scores: Scores, pull: Pull) -> float:
    values = {
        "consistency": 1.0 if scores.consistency is None else scores.consistency,
        "support": scores.support or 0.0,
        "coherence": scores.coherence,
        "likelihood": math.exp(scores.mean_logprob),
        "length_fit": scores.length_fit,
    }
    return (
        sum(_WEIGHTS[name] * value for name, value in values.items())
        + _VOICE_WEIGHT * pull.role_play * scores.voice
        + _CARRIED_WEIGHT * pull.task_priority * scores.carried
        - _FLANDERIZATION_WEIGHT * pull.saturation * scores.flanderization
        - _MIRRORING_WEIGHT * max(0.0, scores.mirroring - pull.mirroring_cap)
    )


def _by_consistency(scores: Scores, pull: Pull) -> float:
    return 1.0 if scores.consistency is None else scores.consistency


def _by_agreement(scores: Scores, pull: Pull) -> float:
    return scores.agreement


def _by_listener(scores: Scores, pull: Pull) -> float:
    # Without distractors the listener knows everybody; what is left is how likely the sentence is.
    return math.log(max(1e-9, 1.0 if scores.listener is None else scores.listener)) + scores.mean_logprob


def _by_likelihood(scores: Scores, pull: Pull) -> float:
    return scores.mean_logprob


_NONE: frozenset[ReasonKind] = frozenset()
_NLI_ONLY: frozenset[ReasonKind] = frozenset({"contradiction", "unsupported", "ungrounded"})
STRATEGIES: dict[str, Strategy] = {
    "rules": Strategy(draws="lazily", uses_nli=False, ignores=_NONE, rank=_by_judge),
    "judge": Strategy(draws="by_device", uses_nli=True, ignores=_NONE, rank=_by_judge),
    "rerank": Strategy(draws="always", uses_nli=True, ignores=_NLI_ONLY, rank=_by_consistency),
    "self_consistency": Strategy(draws="always", uses_nli=False, ignores=_NONE, rank=_by_agreement),
    "self_conscious": Strategy(draws="always", uses_nli=False, ignores=_NONE, rank=_by_listener),
    "cautious": Strategy(draws="in_doubt", uses_nli=False, ignores=_NONE, rank=_by_likelihood),
}


class Listener:
    """An imaginary listener who hears a sentence and guesses which of the loaded characters said it.

    Args:
        own: (n, hidden_size) float32, unit rows: what the character's sheet says.
        others: The same of each distractor.
    """

    def __init__(self, own: NDArray[np.float32], others: Sequence[NDArray[np.float32]]) -> None:
        self._sheets = [own, *others]

    def knows(self, embedding: NDArray[np.float32]) -> float | None:
        """Probability of the right guess, from the closest statement of each sheet; None without distractors."""
        if len(self._sheets) < 2 or not all(len(sheet) for sheet in self._sheets):
            return None
        closest = np.array([float((sheet @ embedding).max()) for sheet in self._sheets])
        weights = np.exp(LISTENER_SHARPNESS * (closest - closest.max()))
        return float(weights[0] / weights.sum())


def scores(
    verdicts: Sequence[Verdict],
    embeddings: NDArray[np.float32],
    *,
    line_embedding: NDArray[np.float32],
    mean_logprobs: Sequence[float],
    max_words: int,
    lexicon: VoiceLexicon,
    own_style: NDArray[np.float32],
    player_style: NDArray[np.float32],
    wanted: frozenset[str],
    listener: Listener | None,
) -> list[Scores]:
    """Score candidates for one sentence.

    Args:
        verdicts: One a candidate.
        embeddings: (n_candidates, hidden_size) float32, unit rows.
        line_embedding: (hidden_size,) float32, of the player's line.
        mean_logprobs: Natural log, a token; one a candidate.
        max_words: The length that is wanted at most.
        lexicon: The character's trademarks.
        own_style: (5,) float32, of the character's voice examples.
        player_style: (5,) float32, of the player's lines.
        wanted: Stems of what must be said; empty where nothing in particular must.
        listener: None: nobody listens.
    """
    cosines = embeddings @ embeddings.T
    others = max(1, len(verdicts) - 1)
    result = []
    for row, (verdict, mean_logprob) in enumerate(zip(verdicts, mean_logprobs, strict=True)):
        said = style(verdict.sentence)
        num_words = max(1, len(verdict.sentence.split()))
        result.append(
            Scores(
                consistency=None if verdict.contradiction is None else 1.0 - verdict.contradiction,
                support=verdict.support,
                coherence=float(embeddings[row] @ line_embedding),
                mean_logprob=mean_logprob,
                length_fit=min(1.0, max_words / num_words),
                flanderization=flanderization_index(verdict.sentence, lexicon),
                voice=closeness(said, own_style),
                mirroring=mirroring(said, own=own_style, player=player_style),
                carried=len(stems(verdict.sentence) & wanted) / len(wanted) if wanted else 1.0,
                agreement=float(cosines[row].sum() - cosines[row, row]) / others,
                listener=listener.knows(embeddings[row]) if listener else None,
            )
        )
    return result


def best(
    verdicts: Sequence[Verdict], scored: Sequence[Scores], strategy: Strategy, pull: Pull | None = None
) -> int | None:
    """The index of the candidate to say; None where all are rejected. Of equals, the first."""
    pull = pull or Pull()
    passing = [index for index, verdict in enumerate(verdicts) if not strategy.rejects(verdict)]
    return max(passing, key=lambda index: strategy.rank(scored[index], pull)) if passing else None
