"""An NLI model that answers by a table, and an encoder of words: the process edge of the judge, made by hand."""

import re
import zlib

import numpy as np

from npc_engine.guard.verdict import COLUMNS


class TableNli:
    """Answers with the label of the first row whose two texts are in premise and hypothesis, else "neutral".

    Attributes:
        asked: Every pair it was asked about.
    """

    name = "table"

    def __init__(self, *rows):
        self.rows = rows
        self.asked = []

    async def scores(self, pairs):
        self.asked += pairs
        result = np.full((len(pairs), len(COLUMNS)), 0.05, np.float32)
        for row, pair in enumerate(pairs):
            result[row, COLUMNS.index(self._label(*pair))] = 0.9
        return result

    def _label(self, premise, hypothesis):
        for part, other, label in self.rows:
            if part in premise and other in hypothesis:
                return label
        return "neutral"


class WordEncoder:
    """An embedding is the sum of a text's words, each a fixed random direction."""

    def embed(self, texts):
        rows = np.zeros((len(texts), 64), np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.casefold()):
                rows[row] += np.random.default_rng(zlib.crc32(word.encode())).standard_normal(64)
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)

    async def aembed(self, texts):
        return self.embed(texts)
