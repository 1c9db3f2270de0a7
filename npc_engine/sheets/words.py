"""Words of English text as every comparison here takes them: in order, as stems, and phrases within a text.

What counts as a content word is for the reader to say: lint and the judge have word lists of their own.
"""

from __future__ import annotations

import re
from functools import lru_cache

import snowballstemmer

WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_stemmer = snowballstemmer.stemmer("english")


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """A word's stem. Source: the Snowball English stemmer."""
    found: str = _stemmer.stemWord(word)
    return found


def words(text: str) -> list[str]:
    """The words of a text without case and possessive endings, in order."""
    return [word.removesuffix("'s") for word in WORD.findall(text.casefold().replace("’", "'"))]


def find_phrase(text: str, phrase: str) -> re.Match[str] | None:
    """Where a word or phrase stands in a text, in any case and with a plural's ending."""
    spaced = r"[\s-]+".join(map(re.escape, phrase.split()))
    return re.search(rf"(?<![\w-]){spaced}(?:s|es)?(?![\w-])", text, re.IGNORECASE)
