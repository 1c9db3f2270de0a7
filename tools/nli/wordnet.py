"""WordNet's words as a plain reader sees them: opposites, words that mean the same, and what is a kind of what.

Reads the data files of WordNet 3.0 (Debian: wordnet-base). Only words that are common in tagged text are kept, in their
first sense, so that a swap does not land on a meaning nobody thinks of. Knows nothing about sentences.

Source: Fellbaum (1998), the file format is documented in wndb(5WN).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path("/usr/share/wordnet")


@dataclass
class Lexicon:
    """`opposites` and `synonyms` by word; both ways round, each at most a handful."""

    opposites: dict[str, set[str]] = field(default_factory=dict)
    synonyms: dict[str, set[str]] = field(default_factory=dict)


def read(folder: Path = FOLDER) -> Lexicon:
    """The opposites and synonyms of common adjectives and adverbs, in their first sense.

    Raises:
        FileNotFoundError: WordNet is not installed there.
    """
    lexicon, common = Lexicon(), _first_senses(folder)
    for part in ("adj", "adv"):
        synsets = dict(_synsets(folder / f"data.{part}"))
        for offset, (words, pointers) in synsets.items():
            known = [word for word in words if common.get((part, word)) == offset]
            for word in known:
                for other in known:
                    if other != word:
                        lexicon.synonyms.setdefault(word, set()).add(other)
            for source, target_offset, target in pointers:
                if target_offset not in synsets:
                    continue
                first, second = words[source], synsets[target_offset][0][target]
                if common.get((part, first)) == offset and common.get((part, second)) == target_offset:
                    lexicon.opposites.setdefault(first, set()).add(second)
                    lexicon.opposites.setdefault(second, set()).add(first)
    return lexicon


def _first_senses(folder: Path) -> dict[tuple[str, str], int]:
    """The offset of each common word's most frequent sense."""
    found: dict[tuple[str, str], int] = {}
    for part in ("adj", "adv"):
        for line in (folder / f"index.{part}").read_text(encoding="utf-8").splitlines():
            if line.startswith(" "):
                continue
            fields = line.split()
            word, num_pointers = fields[0], int(fields[3])
            tagged, offsets = int(fields[5 + num_pointers]), fields[6 + num_pointers :]
            if tagged > 0 and "_" not in word:
                found[part, word] = int(offsets[0])
    return found


def _synsets(path: Path) -> Iterator[tuple[int, tuple[list[str], list[tuple[int, int, int]]]]]:
    """Offset, words and opposites (index of the word, offset and index of the other) of each synset of a data file."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(" "):
            continue
        fields = line.split(" | ")[0].split()
        num_words = int(fields[3], 16)
        words = [fields[4 + 2 * index].split("(")[0].lower() for index in range(num_words)]
        at = 4 + 2 * num_words
        pointers = []
        for index in range(int(fields[at])):
            symbol, offset, part, ends = fields[at + 1 + 4 * index : at + 5 + 4 * index]
            if symbol == "!" and part in "asr" and ends != "0000":
                pointers.append((int(ends[:2], 16) - 1, int(offset), int(ends[2:], 16) - 1))
        yield int(fields[0]), (words, pointers)
