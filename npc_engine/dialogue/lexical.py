"""BM25 over a character's facts: exact words, names and numbers, which sentence embeddings blur.

Source: Robertson and Zaragoza 2009, The Probabilistic Relevance Framework; k1 = 1.2, b = 0.75 as there, section 3.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import snowballstemmer
from numpy.typing import NDArray

K1 = 1.2
B = 0.75
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
# Words that a question is made of whatever it asks about.
_STOP = frozenset(
    _WORD.findall(
        "a an and are as at be been but by can could did do does for from had has have he her his how i if in is it "
        "its me my of on or our she should so some tell that the their them there they this to us was we were what "
        "when where which who whom whose why will with would you your about any much many know"
    )
)
_stemmer = snowballstemmer.stemmer("english")


@lru_cache(maxsize=65536)
def _stem(word: str) -> str:
    stem: str = _stemmer.stemWord(word)
    return stem


def terms(text: str) -> list[str]:
    """Stems of the content words of a text, in order."""
    words = (word.removesuffix("'s") for word in _WORD.findall(text.casefold().replace("’", "'")))
    return [_stem(word) for word in words if word not in _STOP]


@lru_cache(maxsize=8192)
def _counts(text: str) -> Counter[str]:
    """How often each content word occurs. Kept, since a talk's events are ranked anew every turn; never changed."""
    return Counter(terms(text))


class Bm25:
    """BM25 scores of a fixed list of texts, by an inverted index: a query costs what its own words' postings cost.

    Args:
        texts: One a document.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        documents = [_counts(text) for text in texts]
        lengths = np.array([sum(document.values()) for document in documents], np.float32)
        norm = K1 * (1 - B + B * lengths / max(1.0, float(lengths.mean()) if len(texts) else 1.0))
        postings: dict[str, list[tuple[int, int]]] = {}
        for index, document in enumerate(documents):
            for term, count in document.items():
                postings.setdefault(term, []).append((index, count))
        self._num_documents = len(texts)
        self._idf_unseen = float(np.log1p((len(texts) + 0.5) / 0.5))
        self._weights: dict[str, tuple[NDArray[np.int64], NDArray[np.float32], float]] = {}
        for term, entries in postings.items():
            rows = np.array([index for index, _ in entries])
            counts = np.array([count for _, count in entries], np.float32)
            idf = float(np.log1p((len(texts) - len(rows) + 0.5) / (len(rows) + 0.5)))
            self._weights[term] = rows, (idf * counts * (K1 + 1) / (counts + norm[rows])).astype(np.float32), idf

    def scores(self, query: str) -> NDArray[np.float32]:
        """(n_texts,) float32: BM25 as a share of what a text with every content word of the query would score.

        0 where no content word is shared, about 1 where all are. Dividing by the best text's score instead would lift
        a text that shares one common word to 1 whenever no text shares more.
        """
        total = np.zeros(self._num_documents, np.float32)
        ideal = 0.0
        for term in set(terms(query)):
            if term in self._weights:
                rows, weights, idf = self._weights[term]
                total[rows] += weights
                ideal += idf
            else:
                ideal += self._idf_unseen
        return total / ideal if ideal > 0 else total
