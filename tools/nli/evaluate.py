"""Measures a classifier folder on the test sets, beside what needs no understanding at all.

Any folder that the engine can load will do: the shipped one, an imported one. Sets are sampled by the seed and never
looked at by training (`data.load` drops every row that shares a text with them).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from npc_engine.config import EngineConfig
from npc_engine.inference.classifier import PairClassifier
from npc_engine.inference.nli_labels import label_columns
from tools.nli.data import FILES
from tools.nli.metrics import Figures, measure
from tools.nli.pairs import LABELS, Pair, read_rows

TESTS: dict[str, tuple[str, ...]] = {
    "Breaking-NLI": ("breaking_nli",),
    "Counterfactual NLI, test": ("cad_nli",),
    "FaithDial audit, WoW": ("faithdial_audit_ctrl_wow", "faithdial_audit_doha_wow", "faithdial_audit_gpt2_wow"),
    "FaithDial audit, CMU": ("faithdial_audit_ctrl_cmu", "faithdial_audit_doha_cmu", "faithdial_audit_gpt2_cmu"),
    "FaithDial audit, Topical": (
        "faithdial_audit_ctrl_topicalchat",
        "faithdial_audit_doha_topical",
        "faithdial_audit_gpt2_topical",
    ),
    "FEVER-symmetric, test": ("fever_symmetric",),
    "InfoTabS, test": ("infotabs",),
    "Negation in SNLI": ("negation_snli",),
    "Negation in MultiNLI": ("negation_mnli",),
    "SICK, test": ("sick_reannotated",),
    "Spoken dialogue NLI, test": ("guclasp_dnli",),
    "ANLI": ("anli",),
}
"""The sets that are measured; only rows whose use is `test_only`."""


@dataclass(frozen=True)
class TestSet:
    """Pairs with their gold labels, three-way or two-way."""

    __test__ = False

    name: str
    pairs: list[tuple[str, str]]
    gold: list[str]


Score = Callable[[Sequence[tuple[str, str]]], NDArray[np.float32]]
"""From (premise, hypothesis) pairs to (n_pairs, 3) float32 probabilities in the order of `LABELS`."""


def test_sets(data: Path, *, limit: int, seed: int) -> list[TestSet]:
    """Read the test sets, at most `limit` pairs of each (0: all)."""
    rows: dict[str, list[tuple[str, str, str]]] = {name: [] for name in TESTS}
    set_of = {source: name for name, sources in TESTS.items() for source in sources}
    for file in FILES:
        for row in read_rows(data / file):
            name = set_of.get(str(row["source"]))
            gold = row.get("label2") if name and name.startswith("FaithDial") else row.get("label")
            if name is not None and row["use"] == "test_only" and gold:
                rows[name].append((str(row["premise"]), str(row["hypothesis"]), str(gold)))
    return [sampled(name, found, limit=limit, seed=seed) for name, found in rows.items() if found]


test_sets.__test__ = False  # type: ignore[attr-defined]


def pair_file(path: Path) -> TestSet:
    """A JSON Lines file of premise, hypothesis, label as a test set, whole.

    Raises:
        FileNotFoundError: There is no such file.
        KeyError: A row lacks a field.
    """
    rows = [(str(row["premise"]), str(row["hypothesis"]), str(row["label"])) for row in read_rows(path)]
    return sampled(path.stem, rows, limit=0, seed=0)


def held_out_sets(held_out: Mapping[str, Sequence[Pair]], *, limit: int, seed: int) -> list[TestSet]:
    """The held-out part of what trained, by set."""
    return [
        sampled(
            f"held out: {name}", [(pair.premise, pair.hypothesis, pair.label) for pair in pairs], limit=limit, seed=seed
        )
        for name, pairs in held_out.items()
        if pairs
    ]


def sampled(name: str, rows: Sequence[tuple[str, str, str]], *, limit: int, seed: int) -> TestSet:
    """A test set of at most `limit` of the rows."""
    chosen = list(rows)
    if limit and len(chosen) > limit:
        chosen = random.Random(f"{name}:{seed}").sample(chosen, limit)
    return TestSet(name, [(premise, hypothesis) for premise, hypothesis, _ in chosen], [gold for _, _, gold in chosen])


def folder_score(folder: Path) -> Score:
    """Score with a classifier folder, through the engine's own runtime.

    Raises:
        CorruptModel: The folder does not load.
        UnsupportedLabels: It is not a three-way classifier.
    """
    classifier = PairClassifier.load(folder, config=EngineConfig(device="cpu"), max_cached=0)
    columns = list(label_columns(classifier.spec.labels, model=str(folder)))
    assert LABELS == ("entailment", "neutral", "contradiction")
    return lambda pairs: classifier.classify(pairs)[:, columns]


def evaluate(score: Score, sets: Sequence[TestSet], *, on_set: Callable[[str], None]) -> list[Figures]:
    """Measure every set; `on_set` is called with the name of each before it."""
    figures = []
    for test in sets:
        on_set(test.name)
        figures.append(measure(test.name, score(test.pairs), test.gold))
    return figures


def table(figures: Sequence[Figures], columns: Mapping[str, Sequence[Figures]]) -> str:
    """A Markdown table: the figures, and the accuracy under each further column's name."""
    heads = ["set", "pairs", "accuracy", "macro F1", "contradiction P / R", "ECE", "majority", *columns]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    others = [{one.name: one.accuracy for one in some} for some in columns.values()]
    for one in figures:
        found = "" if one.precision is None or one.recall is None else f"{one.precision:.3f} / {one.recall:.3f}"
        cells = [
            one.name + (" (two-way)" if one.is_two_way else ""),
            str(one.num_pairs),
            f"{one.accuracy:.3f}",
            f"{one.macro_f1:.3f}",
            found,
            f"{one.calibration_error:.3f}",
            f"{one.majority:.3f}",
            *(f"{other[one.name]:.3f}" if one.name in other else "" for other in others),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
