"""The hand-made evaluation pairs are well formed, and stay what their page says."""

import json
from collections import Counter
from pathlib import Path

from npc_engine.inference.nli_labels import NLI_LABELS

DATA = Path(__file__).parent / "data"
ROWS = [json.loads(line) for line in (DATA / "nli_pairs.jsonl").read_text(encoding="utf-8").splitlines()]


def test_every_row_is_whole_and_said_once():
    for row in ROWS:
        assert list(row) == ["id", "character", "premise", "hypothesis", "label", "kind"]
        assert row["label"] in NLI_LABELS
        assert row["character"] in ("hesta", "corin", "ambrose", "lore")
        assert 5 <= len(row["hypothesis"].split()) <= 25
    assert len({row["id"] for row in ROWS}) == len({(row["premise"], row["hypothesis"]) for row in ROWS}) == len(ROWS)


def test_there_are_enough_of_each_label_and_the_page_names_each_kind():
    counts = Counter(row["label"] for row in ROWS)
    assert len(ROWS) >= 400
    assert counts["contradiction"] >= 160
    assert min(counts["entailment"], counts["neutral"]) >= 120
    page = (DATA / "README.md").read_text(encoding="utf-8")
    assert all(row["kind"] in page for row in ROWS)
