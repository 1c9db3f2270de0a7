"""The stored sets: which rows may train weights that ship, which only measure, and what leaks.

A row trains only where its set is in `TRAINED` and its own licence field starts with one of `SHIPPABLE`. Every row that
shares a premise or a hypothesis with a row of a test set is dropped (compared by words, `pairs.normalized`). Some rows
of every set are held out by premise, so that no premise is in both parts.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.nli.pairs import LABELS, Label, Pair, normalized, read_rows

FILES = ("nli/pairs.jsonl.gz", "nli/pairs_large.jsonl.gz")
PERSONA_FILE = "nli/persona_pairs_noisy.jsonl.gz"

SHIPPABLE = (
    "MIT",
    "Apache",
    "CC BY 4.0",
    "CC BY-SA",
    "CC0",
    "OANC",
    "public domain",
    "Wikipedia/WikiMatrix text CC BY-SA",
)
UNSURE = ("none stated", "?", "own licence", "BY-NC", "C-UDA", "CDLA", "research")
"""A licence field with one of these words does not ship, whatever else it names."""

TRAINED: dict[str, float] = {
    "snli": 0.27,
    "snli_reversed": 0.07,
    "disco_cf_snli": 0.16,
    "mnli": 0.12,
    "wanli": 0.11,
    "infotabs": 0.04,
    "fever_2way": 0.06,
    "vania_base_wiki": 0.02,
    "vania_sim_wiki": 0.04,
    "scone": 0.015,
    "help_and": 0.01,
    "begin": 0.03,
    "conjnli_adv_auto": 0.01,
    "persona_inventory": 0.015,
}
"""The sets that train and the share of the human stream each gets.

Counterfactual NLI (`cad_nli`) and FEVER-symmetric are absent on purpose, train parts too: their test parts measure
transfer. The shares are roughly proportional to the rows, less where premises are long or the labels are noisy.
"""

HELD_OUT = 0.05
"""Share of a set's premises held out to steer by (learning rate, stopping) and to calibrate on."""

REVERSED_CONTRADICTIONS = 0.5
"""Share of SNLI's contradictions that `add_reversed` turns around: about as many as the neutrals it makes."""


@dataclass
class Split:
    """The pairs of one reading of the data folder.

    `train` and `held_out` hold pairs by set; `dropped` counts the rows left out, by reason; `forbidden` is
    every text of a test set, normalized.
    """

    train: dict[str, list[Pair]] = field(default_factory=dict)
    held_out: dict[str, list[Pair]] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    forbidden: set[str] = field(default_factory=set)

    def drop(self, reason: str) -> None:
        """Count a row that is left out."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1

    def add(self, pair: Pair, *, held_out: bool) -> None:
        """Put a pair into its set's training or held-out part."""
        (self.held_out if held_out else self.train).setdefault(pair.source, []).append(pair)


def may_ship(licence: str) -> bool:
    """Whether a row's own licence field lets it train weights that ship."""
    return licence.startswith(SHIPPABLE) and not any(word in licence for word in UNSURE)


def source_of(row: dict[str, Any]) -> str:
    """The set a row counts as: the parts of BEGIN are one set here."""
    source = str(row["source"])
    return "begin" if source in ("begin_wow", "begin_cmu") else source


def label_of(row: dict[str, Any], rng: random.Random) -> Label | None:
    """The three-way label of a row, None where it has none.

    Two-way rows of BEGIN whose reply is not borne out become neutral: its annotators call them generic or hallucinated,
    hardly ever contradicted (Dziri et al. 2022, section 3). Other two-way rows keep only their entailments.
    """
    label = row.get("label")
    if label in LABELS:
        return label  # type: ignore[no-any-return]
    if row.get("label2") == "entailment":
        return "entailment"
    if row.get("label2") == "not_entailment" and str(row["source"]).startswith("begin"):
        return "neutral"
    return None


def is_held_out(premise: str, seed: int) -> bool:
    """Whether a premise belongs to the held-out part: by a hash, so that file order does not matter."""
    return fraction(premise, seed) < HELD_OUT


def fraction(text: str, seed: int) -> float:
    """A number in [0, 1) that depends on the text's words and the seed alone."""
    digest = hashlib.blake2b(f"{seed}:{normalized(text)}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") / 2**32


def test_texts(data: Path) -> set[str]:
    """Every premise and hypothesis of a test set, normalized; texts below four words say nothing and are left out."""
    texts: set[str] = set()
    for name in FILES:
        for row in read_rows(data / name):
            if row["use"] == "test_only" or str(row["source"]) in ("cad_nli", "fever_symmetric"):
                texts.update(normalized(row[side]) for side in ("premise", "hypothesis"))
    return {text for text in texts if text.count(" ") >= 3}


def load(data: Path, *, seed: int) -> Split:
    """Read the pairs that may train, split and filtered.

    Args:
        data: The folder that holds `nli/`.
        seed: Decides which premises are held out.

    Raises:
        FileNotFoundError: A file is missing.
    """
    split, rng = Split(), random.Random(seed)
    forbidden = split.forbidden = test_texts(data)
    seen: set[tuple[str, str]] = set()
    for name in FILES:
        for row in read_rows(data / name):
            source = source_of(row)
            if row["use"] == "test_only" or source not in TRAINED:
                continue
            licence = str(row["licence"])
            label = label_of(row, rng)
            premise, hypothesis = str(row["premise"]).strip(), str(row["hypothesis"]).strip()
            texts = (normalized(premise), normalized(hypothesis))
            if not may_ship(licence):
                split.drop("licence")
            elif label is None:
                split.drop("no three-way label")
            elif row.get("premise_in_test") or row.get("premise_in_old_test_only") or forbidden.intersection(texts):
                split.drop("shares a text with a test set")
            elif texts in seen:
                split.drop("twice")
            else:
                seen.add(texts)
                pair = Pair(premise, hypothesis, label, source, licence)
                split.add(pair, held_out=is_held_out(premise, seed))
    add_reversed(split)
    add_inventory(split, data / PERSONA_FILE, seed=seed)
    return split


def add_reversed(split: Split) -> None:
    """Turn SNLI entailments around: the caption is more than its summary says, so it becomes neutral.

    SNLI's part here has one neutral to ten others; what adds detail is neutral too, and the summary (as premise) is at
    least four words shorter so that paraphrases stay out. Contradictions are turned as well (they hold both ways
    under SNLI's reading of one scene), so that a caption as hypothesis does not mean neutral.
    """
    for pairs, held_out in ((split.train, False), (split.held_out, True)):
        for pair in list(pairs.get("snli", ())):
            gain = len(pair.premise.split()) - len(pair.hypothesis.split())
            if pair.label == "entailment" and gain >= 4:
                label: Label = "neutral"
            elif (
                pair.label == "contradiction"
                and fraction(f"{pair.hypothesis} {pair.premise}", 0) < REVERSED_CONTRADICTIONS
            ):
                label = "contradiction"
            else:
                continue
            split.add(Pair(pair.hypothesis, pair.premise, label, "snli_reversed", pair.licence), held_out=held_out)


def add_inventory(split: Split, path: Path, *, seed: int) -> None:
    """Add the pairs of personality-inventory items; items of the same pole entail nothing strictly and are left out."""
    for row in read_rows(path):
        label = row["label_heuristic"]
        if label in ("contradiction", "neutral"):
            pair = Pair(row["premise"], row["hypothesis"], label, "persona_inventory", "public domain (IPIP items)")
            split.add(pair, held_out=is_held_out(pair.premise, seed))


def counts(pairs: Iterable[Pair]) -> dict[Label, int]:
    """Pairs by label."""
    found: dict[Label, int] = dict.fromkeys(LABELS, 0)
    for pair in pairs:
        found[pair.label] += 1
    return found
