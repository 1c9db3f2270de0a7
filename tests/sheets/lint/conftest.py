"""A folder with the shipped lore and schema, an encoder of words, and an NLI model that knows the planted pairs."""

import shutil

import numpy as np
import pytest

from npc_engine.config import load_config
from npc_engine.inference.encoder import SentenceEncoder
from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheet
from tests.sheets.lint import planting


class ScriptedNli:
    """Knows some pairs by heart and finds every other one neutral.

    Args:
        verdicts: Column of the certain label, by pair.
    """

    def __init__(self, verdicts):
        self.verdicts = verdicts
        self.asked = []

    def scores_now(self, pairs):
        self.asked += pairs
        scores = np.tile(np.array([0.02, 0.96, 0.02], np.float32), (len(pairs), 1))
        for row, pair in enumerate(pairs):
            if pair in self.verdicts:
                scores[row] = 0.02
                scores[row, self.verdicts[pair]] = 0.96
        return scores


@pytest.fixture(scope="session")
def scripted_nli():
    verdicts = {}
    for name in planting.SHEETS:
        texts = {fact.id: fact.text for fact in load_sheet(shipped_sheets_dir() / f"{name}.yaml").facts}
        for column, rows in ((2, planting.CONTRADICTIONS), (0, planting.ENTAILED)):
            for sheet, fact_id, text in rows:
                if sheet == name:
                    verdicts |= {(texts[fact_id], text): column, (text, texts[fact_id]): column}
        for sheet, fact_id, text in planting.LEAKED_BY_MEANING:
            if sheet == name:
                verdicts[text, texts[fact_id]] = 0
    return ScriptedNli(verdicts)


@pytest.fixture(scope="session")
def encoder(word_encoder):
    return SentenceEncoder.load(word_encoder, config=load_config(device="cpu", threads=1))


@pytest.fixture
def sheets_folder(tmp_path):
    """Where a copy of a sheet loads as the original does."""
    shutil.copytree(shipped_sheets_dir() / "lore", tmp_path / "lore")
    (tmp_path / "character-1.json").write_text("{}", encoding="utf-8")
    return tmp_path
