"""Pairs of what is true of one made-up character: whole, apart from what measures them, and held out as characters."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tools.nli.characters import character_pairs, read_characters
from tools.nli.pairs import LABELS, normalized

CHARACTERS = read_characters()
MEASURED = Path(__file__).parents[1] / "data" / "nli_pairs.jsonl"
SHEETS = Path(__file__).parents[2] / "character_sheets"


def test_every_character_has_many_facts_and_each_name_is_there_once():
    names = [character.name for character in CHARACTERS]
    assert len(names) == len(set(names)) > 80
    assert all(len(character.facts) >= 20 for character in CHARACTERS)
    assert sum(bool(fact.same and fact.against) for character in CHARACTERS for fact in character.facts) > 600


def test_nothing_that_measures_is_among_them():
    rows = [json.loads(line) for line in MEASURED.read_text(encoding="utf-8").splitlines()]
    measured = {normalized(row[side]) for row in rows for side in ("premise", "hypothesis")}
    assert not [fact.text for one in CHARACTERS for fact in one.facts if normalized(fact.text) in measured]
    shipped = " ".join(path.read_text(encoding="utf-8") for path in SHEETS.glob("*.yaml"))
    assert not [fact.text for one in CHARACTERS for fact in one.facts if fact.text in shipped]


def test_two_facts_of_one_character_are_neutral_and_every_hypothesis_may_have_another_label():
    pairs = list(character_pairs(CHARACTERS, seed=1))
    assert pairs == list(character_pairs(CHARACTERS, seed=1))
    counts = Counter(pair.label for pair in pairs)
    assert set(counts) == set(LABELS)
    assert counts["neutral"] > sum(counts.values()) / 2
    own = {fact.text: one.name for one in CHARACTERS for fact in one.facts}
    plain = [pair for pair in pairs if pair.premise in own and pair.hypothesis in own and pair.label == "neutral"]
    assert len(plain) > 5000
    assert all(own[pair.premise] == own[pair.hypothesis] for pair in plain)
    said = {label: {pair.hypothesis for pair in pairs if pair.label == label} for label in LABELS}
    assert len(said["neutral"] & said["contradiction"]) > 500
    assert len(said["neutral"] & said["entailment"]) > 500


def test_a_line_that_belongs_to_nothing_is_named(tmp_path):
    file = tmp_path / "characters.tsv"
    file.write_text("#\tA, b, c\n=\tI am short.\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"characters.tsv:2"):
        read_characters(file)
