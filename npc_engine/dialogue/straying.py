"""Tell lines that leave the talk from talk: attacks on the character, and things outside its world.

Strings first (patterns, and words that the sheet's world does not have), then the sentence encoder: the line, and each
sentence of a long one, against authored examples and against talk that is like them. `straying.toml` holds all of it.

Source: the thresholds were chosen by hand for few false alarms; docs/controls.md has the figures. What is not
covered: languages other than English, attacks spread over several turns, text hidden in codes.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from npc_engine.guard.segments import SentenceBuffer
from npc_engine.guard.words import find_phrase, words
from npc_engine.inference.encoder import SentenceEncoder
from npc_engine.sheets.schema import CharacterSheet

if TYPE_CHECKING:
    from npc_engine.dialogue.session import Turn

Kind = Literal["attack", "outside"]
KINDS: tuple[Kind, ...] = ("attack", "outside")
# Cosine to the closest example from which a line is of its family, and by how much it must be closer than to any talk.
MIN_COSINE: Mapping[Kind, float] = {"attack": 0.55, "outside": 0.55}
MIN_MARGIN = 0.08
# A line of more words is looked at sentence by sentence as well, the first so many: the encoder blurs long texts.
LONG_LINE_WORDS = 24
MAX_SENTENCES = 12
# What the talk keeps of an attack: later prompts must not hold its words.
WITHHELD = "..."


@dataclass(frozen=True, kw_only=True)
class Straying:
    """Where a line goes astray.

    Attributes:
        kind: What it is.
        family: Which family of `straying.toml` told.
        by: Whether a string decided or the encoder.
        score: Cosine to the closest example; 1 where a string decided.
    """

    kind: Kind
    family: str
    by: Literal["words", "encoder"]
    score: float


@dataclass(frozen=True)
class Family:
    """One family of `straying.toml`."""

    kind: Kind
    name: str
    patterns: tuple[re.Pattern[str], ...]
    words: tuple[str, ...]
    examples: tuple[str, ...]
    belongs: tuple[str, ...]


@lru_cache(maxsize=1)
def families() -> tuple[Family, ...]:
    """The families of `straying.toml`."""
    table = _table()
    return tuple(
        Family(
            kind,
            name,
            tuple(re.compile(pattern, re.IGNORECASE) for pattern in entry.get("patterns", ())),
            tuple(entry.get("words", ())),
            tuple(entry["examples"]),
            tuple(entry.get("belongs", ())),
        )
        for kind in KINDS
        for name, entry in table[kind].items()
    )


@lru_cache(maxsize=1)
def _table() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads(
        resources.files("npc_engine.dialogue").joinpath("straying.toml").read_text(encoding="utf-8")
    )
    return table


class StrayExamples:
    """The examples as embeddings: the same for every character, encoded once.

    Args:
        encoder: The sentence encoder.
        among: The families; None: all.
    """

    def __init__(self, encoder: SentenceEncoder, among: Sequence[Family] | None = None) -> None:
        self.families = tuple(families() if among is None else among)
        examples = [(index, text) for index, family in enumerate(self.families) for text in family.examples]
        self.owner = np.array([index for index, _ in examples], np.int64)
        self.embeddings = encoder.embed([text for _, text in examples])
        self.talk = encoder.embed(list(_table()["talk"]["examples"]))


class StrayDetector:
    """Tells for one character. Built when its sheet loads.

    Args:
        sheet: The character; what its texts speak of is not outside its world.
        examples: Shared by all characters.
    """

    def __init__(self, sheet: CharacterSheet, examples: StrayExamples) -> None:
        self._examples = examples
        self._world = frozenset(words(" ".join(_texts(sheet))))
        self._at_home = frozenset(
            index
            for index, family in enumerate(examples.families)
            if any(set(words(phrase)) <= self._world for phrase in family.belongs)
        )

    def by_words(self, line: str) -> Straying | None:
        """What strings tell of a line; attacks first."""
        plain = line.replace("\u2019", "'")
        for index, family in enumerate(self._examples.families):
            if any(pattern.search(plain) for pattern in family.patterns) and index not in self._at_home:
                return Straying(kind=family.kind, family=family.name, by="words", score=1.0)
            for phrase in family.words:
                if find_phrase(plain, phrase) and not set(words(phrase)) <= self._world:
                    return Straying(kind=family.kind, family=family.name, by="words", score=1.0)
        return None

    def by_meaning(self, embeddings: NDArray[np.float32]) -> Straying | None:
        """What the encoder tells: the closest example, where it is close enough and closer than any talk.

        Args:
            embeddings: (n, hidden_size) float32 unit rows: the line, and sentences of it.
        """
        examples = self._examples
        cosines = embeddings @ examples.embeddings.T
        talk = (embeddings @ examples.talk.T).max(axis=1, keepdims=True)
        cosines[:, np.isin(examples.owner, list(self._at_home))] = -1.0
        cosines[cosines - talk < MIN_MARGIN] = -1.0
        best = int(cosines.max(axis=0).argmax())
        family = examples.families[examples.owner[best]]
        score = float(cosines[:, best].max())
        if score < MIN_COSINE[family.kind]:
            return None
        return Straying(kind=family.kind, family=family.name, by="encoder", score=score)


async def find_straying(turn: Turn) -> Straying | None:
    """Where the turn's line strays, if it does; noted in the trace."""
    character = turn.character
    found = character.straying.by_words(turn.line)
    if found is None:
        embeddings = turn.embedding[None]
        if sentences := sentences_of(turn.line):
            embeddings = np.concatenate([embeddings, await turn.stop.race(character.encoder.aembed(sentences))])
        found = character.straying.by_meaning(embeddings)
    turn.trace.data["straying"] = None if found is None else asdict(found) | {"score": round(found.score, 3)}
    return found


def sentences_of(line: str) -> list[str]:
    """The sentences that a long line is also judged by; none of a short one."""
    if len(line.split()) <= LONG_LINE_WORDS:
        return []
    buffer = SentenceBuffer()
    return [*buffer.feed(line), *buffer.flush()][:MAX_SENTENCES]


def _texts(sheet: CharacterSheet) -> list[str]:
    identity = sheet.identity
    return [
        identity.role,
        identity.social,
        identity.personal,
        identity.context,
        *(fact.text for fact in sheet.facts),
        *(tag for fact in sheet.facts for tag in fact.tags),
        *(example.character for example in sheet.voice.examples),
        *(text for action in sheet.actions for text in (action.description, *action.examples)),
    ]
