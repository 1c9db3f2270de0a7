"""Pairs written one at a time for this model, over facts of made-up characters, without a template (written.tsv).

A line `P`, tab, premise; then lines `e`, `n` or `c`, tab, hypothesis. Written by a large language model for this
purpose; they share no character with the pairs that measure (tests/data/nli_pairs.jsonl).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from tools.nli.pairs import Label, Pair
from tools.nli.surface import third_person

FILE = Path(__file__).parent / "written.tsv"
LICENCE = "own text"
SOURCE = "written"
TOLD = 0.15
"""Share of the pairs that are told of somebody once more: what she says of herself, said of her."""
_LABELS: dict[str, Label] = {"e": "entailment", "n": "neutral", "c": "contradiction"}


def read_written(path: Path = FILE) -> Iterator[Pair]:
    """The pairs of a file, in order.

    Raises:
        ValueError: A line is none of the four kinds, or a hypothesis stands before any premise.
    """
    premise = ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        kind, tab, text = line.partition("\t")
        if kind == "P" and text:
            premise = text.strip()
        elif kind in _LABELS and tab and text and premise:
            yield Pair(premise, text.strip(), _LABELS[kind], SOURCE, LICENCE)
        else:
            raise ValueError(f"{path}:{number}: {line!r} is no premise and no hypothesis")


def written_pairs(*, seed: int) -> Iterator[Pair]:
    """The written pairs, and some of them once more in the third person."""
    rng = random.Random(f"written:{seed}")
    for pair in read_written():
        yield pair
        he = rng.choice(("he", "she"))
        told, said = third_person(pair.premise, he), third_person(pair.hypothesis, he)
        if told is not None and said is not None and rng.random() < TOLD:
            yield Pair(told, said, pair.label, SOURCE, LICENCE)
