"""What a pair is: a premise, a hypothesis, and what the one says of the other."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

Label = Literal["entailment", "neutral", "contradiction"]
LABELS: tuple[Label, ...] = get_args(Label)
"""The names in logit order; the exported folder writes the same order down."""

_WORD = re.compile(r"[a-z0-9']+")


@dataclass(frozen=True, slots=True)
class Pair:
    """One training or test pair.

    `source` is the set (and, for generated pairs, the generator) the pair came from, `licence` what may be done with
    it.
    """

    premise: str
    hypothesis: str
    label: Label
    source: str
    licence: str


def normalized(text: str) -> str:
    """The text as leakage is judged: lower case, words only, one space between them."""
    return " ".join(_WORD.findall(text.lower()))


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a JSON Lines file, gzip or plain.

    Raises:
        FileNotFoundError: There is no such file.
        json.JSONDecodeError: A line is not JSON.
    """
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                yield json.loads(line)


def write_pairs(path: Path, pairs: Iterable[Pair]) -> int:
    """Write pairs as JSON Lines and return how many."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for pair in pairs:
            file.write(json.dumps(asdict(pair), ensure_ascii=False) + "\n")
            count += 1
    return count
