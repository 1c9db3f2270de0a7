"""Where the judge's thresholds lie: false alarms over sheets that hold together, and generated faults that are found.

All that a sheet says is true of its character at once, so each of its facts, said as a sentence, must pass against all
the others: whatever is rejected there is a false alarm. What must not pass comes from the generators' held-out pairs,
since sheets hold no contradictions. The pairs written by hand over the shipped characters play no part.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from npc_engine.guard.judge import threshold_for
from npc_engine.guard.nearest import StatementIndex
from npc_engine.guard.verdict import Statement, Thresholds
from npc_engine.inference.encoder import SentenceEncoder
from npc_engine.sheets.schema import CharacterSheet
from tools.nli.evaluate import Score
from tools.nli.pairs import LABELS, Pair
from tools.nli.personas import rephrased

ENTAILS, CONTRADICTS = LABELS.index("entailment"), LABELS.index("contradiction")
GRID = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98)
PAIRS_OF_A_SET = 300


@dataclass(frozen=True)
class Scores:
    """Scores of what must pass and of what must not, (n,) float32 each."""

    good: NDArray[np.float32]
    bad: NDArray[np.float32]


def contradictions(
    score: Score,
    sheets: Sequence[CharacterSheet],
    encoder: SentenceEncoder,
    held_out: Mapping[str, Sequence[Pair]],
    *,
    seed: int,
) -> Scores:
    """How strongly each fact contradicts the others of its sheet, and a generated contradiction its premise."""
    rng = random.Random(f"thresholds:{seed}")
    limit = Thresholds().max_passive
    good = []
    for sheet in sheets:
        # What is hidden may be the truth behind what is public, and then the two do contradict.
        facts = [fact for fact in sheet.facts if fact.when is None]
        statements = [Statement(id=fact.id, text=fact.text, kind="fact") for fact in facts]
        index = StatementIndex(statements, encoder.embed([fact.text for fact in facts]))
        said = [rephrased(fact.text, rng) for fact in facts]
        for fact, sentence, embedding in zip(facts, said, encoder.embed(said), strict=True):
            near = [one for one, _ in index.nearest(sentence, embedding, k=limit + 1) if one.id != fact.id][:limit]
            good.append(float(score([(one.text, sentence) for one in near])[:, CONTRADICTS].max()))
    return Scores(np.array(good, np.float32), _labelled(score, held_out, "contradiction", CONTRADICTS, seed=seed))


def secrets(score: Score, sheets: Sequence[CharacterSheet], encoder: SentenceEncoder, *, seed: int) -> Scores:
    """How far public facts say hidden ones, and hidden ones in other words say themselves: entailment both ways."""
    rng = random.Random(f"secrets:{seed}")
    good, bad = [], []
    for sheet in sheets:
        hidden = [fact for fact in sheet.facts if fact.when is not None]
        public = [fact for fact in sheet.facts if fact.when is None]
        if not hidden:
            continue
        statements = [Statement(id=fact.id, text=fact.text, kind="fact") for fact in hidden]
        index = StatementIndex(statements, encoder.embed([fact.text for fact in hidden]))
        for fact, embedding in zip(public, encoder.embed([fact.text for fact in public]), strict=True):
            near = [one.text for one, _ in index.nearest(fact.text, embedding, k=Thresholds().max_hidden)]
            good.append(max(float(both_ways(score, fact.text, text)) for text in near))
        bad += [float(both_ways(score, rephrased(fact.text, rng), fact.text)) for fact in hidden]
    return Scores(np.array(good, np.float32), np.array(bad, np.float32))


def support(score: Score, held_out: Mapping[str, Sequence[Pair]], *, seed: int) -> Scores:
    """Entailment of held-out pairs: `good` are those that are not entailed, `bad` those that are."""
    others = [_labelled(score, held_out, label, ENTAILS, seed=seed) for label in ("neutral", "contradiction")]
    return Scores(np.concatenate(others), _labelled(score, held_out, "entailment", ENTAILS, seed=seed))


def both_ways(score: Score, one: str, other: str) -> np.float32:
    """The lesser of the two entailments."""
    scores = score([(one, other), (other, one)])
    return np.float32(scores[:, ENTAILS].min())


def table(name: str, scores: Scores, *, max_false_alarm_share: float) -> str:
    """Shares at each threshold of `GRID`, and the threshold that keeps the share of false alarms."""
    found = threshold_for(
        scores.good.tolist() + scores.bad.tolist(),
        [False] * len(scores.good) + [True] * len(scores.bad),
        max_false_alarm_share=max_false_alarm_share,
    )
    lines = [
        f"{name}: {len(scores.good)} that must pass, {len(scores.bad)} that must not; {found:.3f} stops at most "
        f"{max_false_alarm_share:.0%} of the former and {(scores.bad >= found).mean():.1%} of the latter",
        "| threshold | false alarms | found |",
        "|---|---|---|",
    ]
    lines += [f"| {at:.2f} | {(scores.good >= at).mean():.1%} | {(scores.bad >= at).mean():.1%} |" for at in GRID]
    return "\n".join(lines)


def _labelled(
    score: Score, held_out: Mapping[str, Sequence[Pair]], label: str, column: int, *, seed: int
) -> NDArray[np.float32]:
    chosen: list[Pair] = []
    for name, pairs in sorted(held_out.items()):
        fitting = [pair for pair in pairs if pair.label == label and name.startswith("gen_")]
        chosen += random.Random(f"{name}:{label}:{seed}").sample(fitting, min(PAIRS_OF_A_SET, len(fitting)))
    return score([(pair.premise, pair.hypothesis) for pair in chosen])[:, column]
