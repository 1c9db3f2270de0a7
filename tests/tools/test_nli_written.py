"""The pairs written for the classifier: well formed, balanced, and apart from what measures it."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tools.nli.pairs import LABELS, normalized
from tools.nli.written import read_written, written_pairs

PAIRS = list(read_written())
MEASURED = Path(__file__).parents[1] / "data" / "nli_pairs.jsonl"


def test_every_premise_has_all_three_labels():
    labels = {}
    for pair in PAIRS:
        labels.setdefault(pair.premise, set()).add(pair.label)
    assert len(labels) > 500
    assert all(found == set(LABELS) for found in labels.values())


def test_the_labels_are_balanced_and_no_pair_stands_twice():
    counts = Counter(pair.label for pair in PAIRS)
    assert max(counts.values()) < 1.25 * min(counts.values())
    assert len({(pair.premise, pair.hypothesis) for pair in PAIRS}) == len(PAIRS)


def test_nothing_that_measures_is_among_them():
    rows = [json.loads(line) for line in MEASURED.read_text(encoding="utf-8").splitlines()]
    measured = {normalized(row[side]) for row in rows for side in ("premise", "hypothesis")}
    assert not [pair for pair in PAIRS if {normalized(pair.premise), normalized(pair.hypothesis)} & measured]


def test_some_are_told_once_more_in_the_third_person():
    pairs = list(written_pairs(seed=1))
    assert pairs == list(written_pairs(seed=1))
    assert len(PAIRS) < len(pairs) < 1.2 * len(PAIRS)


def test_a_line_of_another_kind_is_named(tmp_path):
    file = tmp_path / "written.tsv"
    file.write_text("P\tI am tall.\nx\tI am short.\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"written.tsv:2"):
        list(read_written(file))
