"""Where the judge's thresholds lie: false alarms over sheets that hold together, and generated faults that are found.

All that a sheet says is true of its character at once, so each of its facts, said as a sentence, must pass against all
the others: whatever is rejected there is a false alarm. What must not pass comes from held-out pairs of the generated
and written sets, since sheets hold no contradictions. The pairs that measure, written by hand, play no part.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

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
ABOUT_CHARACTERS = ("gen_", "written", "characters")
NEARNESS_WEIGHTS = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)


@dataclass(frozen=True)
class Scores:
    """Scores of what must pass and of what must not, (n,) float32 each."""

    good: NDArray[np.float32]
    bad: NDArray[np.float32]


@dataclass(frozen=True)
class Weighed:
    """Probabilities of a contradiction with the nearness of what they are about, before `Thresholds` weighs them.

    Attributes:
        good: Of each sentence that must pass, (n_statements, 2) float64: probability and nearness of each statement.
        bad: Of what must not pass, (n, 2) float64.
    """

    good: Sequence[NDArray[np.float64]]
    bad: NDArray[np.float64]

    def scores(self, limits: Thresholds) -> Scores:
        """What the judge makes of them."""
        good = [max((limits.contradicts(*row) for row in _near(rows, limits)), default=0.0) for rows in self.good]
        bad = [limits.contradicts(*row) if row[1] >= limits.near else 0.0 for row in self.bad.tolist()]
        return Scores(np.array(good, np.float32), np.array(bad, np.float32))

    def fitted(self, limits: Thresholds, *, max_false_alarm_share: float) -> tuple[float, float]:
        """The threshold that keeps the share of false alarms, and the share that is then found."""
        scores = self.scores(limits)
        at = threshold_for(
            scores.good.tolist(), [False] * len(scores.good), max_false_alarm_share=max_false_alarm_share
        )
        return at, float((scores.bad >= at).mean())


def contradictions(
    score: Score,
    sheets: Sequence[CharacterSheet],
    encoder: SentenceEncoder,
    held_out: Mapping[str, Sequence[Pair]],
    *,
    seed: int,
) -> Weighed:
    """How strongly each fact contradicts the others of its sheet, and a held-out contradiction its premise."""
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
            near = [item for item in index.nearest(sentence, embedding, k=limit + 1) if item[0].id != fact.id][:limit]
            scored = score([(one.text, sentence) for one, _ in near])[:, CONTRADICTS]
            good.append(np.column_stack([scored, [nearness for _, nearness in near]]).astype(np.float64))
    pairs = _chosen(held_out, "contradiction", seed=seed)
    scored = score([(pair.premise, pair.hypothesis) for pair in pairs])[:, CONTRADICTS]
    premises = encoder.embed([pair.premise for pair in pairs])
    said_ = encoder.embed([pair.hypothesis for pair in pairs])
    nearness = [
        StatementIndex([Statement(id="premise", text=pair.premise, kind="fact")], premise[None]).nearest(
            pair.hypothesis, embedding, k=1
        )[0][1]
        for pair, premise, embedding in zip(pairs, premises, said_, strict=True)
    ]
    return Weighed(good, np.column_stack([scored, nearness]).astype(np.float64))


def nearness_table(weighed: Weighed, *, limits: Thresholds, max_false_alarm_share: float) -> str:
    """What is found at each weight of nearness, by the threshold that keeps the share of false alarms."""
    lines = ["| weight of nearness | threshold | found |", "|---|---|---|"]
    for weight in NEARNESS_WEIGHTS:
        tried = replace(limits, nearness_weight=weight)
        at, found = weighed.fitted(tried, max_false_alarm_share=max_false_alarm_share)
        lines.append(f"| {weight:g} | {at:.2f} | {found:.1%} |")
    return f"at most {max_false_alarm_share:.0%} false alarms:\n" + "\n".join(lines)


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
    chosen = _chosen(held_out, label, seed=seed)
    return score([(pair.premise, pair.hypothesis) for pair in chosen])[:, column]


def _chosen(held_out: Mapping[str, Sequence[Pair]], label: str, *, seed: int) -> list[Pair]:
    """Some pairs of a label of each set that is about characters."""
    chosen: list[Pair] = []
    for name, pairs in sorted(held_out.items()):
        fitting = [pair for pair in pairs if pair.label == label and name.startswith(ABOUT_CHARACTERS)]
        chosen += random.Random(f"{name}:{label}:{seed}").sample(fitting, min(PAIRS_OF_A_SET, len(fitting)))
    return chosen


def _near(rows: NDArray[np.float64], limits: Thresholds) -> list[list[float]]:
    found: list[list[float]] = rows[rows[:, 1] >= limits.near].tolist()
    return found
