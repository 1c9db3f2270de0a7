"""Ground a turn: which premises the character may use for this line, best first.

Hybrid retrieval: BM25 finds names, numbers and rare words; the sentence encoder finds other wordings. A fact whose
condition does not hold is never a candidate, so it cannot reach the prompt. World events of the game take part like
facts; relationships join when the line names them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from npc_engine.dialogue.lexical import Bm25, terms
from npc_engine.inference.encoder import SentenceEncoder
from npc_engine.sheets.conditions import GameState
from npc_engine.sheets.schema import CharacterSheet, UnknownTopic

PremiseKind = Literal["fact", "event", "relationship", "action_result"]

MAX_PREMISES = 4
# A score is cosine plus LEXICAL_WEIGHT times the share of BM25: see docs/log.md, "How premises are ranked".
LEXICAL_WEIGHT = 0.35
# A premise below this is about something else. Set where no question of the shipped characters loses its fact.
MIN_SCORE = 0.25
# A fact at least this close answers the line, so the line is not about an unknown topic.
ANSWERS_SCORE = 0.80
# A line this close to an example of an unknown topic is about it.
UNKNOWN_TOPIC_COSINE = 0.70
# Pull of what was said before on a line that cannot stand alone ("and how much is that?").
CONTEXT_WEIGHT = 0.5
# Embeddings of world events kept a character: 1.5 kB each, and several conversations' worth of them.
MAX_SEEN_EVENTS = 2000
_REFERRING = re.compile(r"\b(it|that|this|them|they|those|these|he|she|him|her|his|there|one|ones|then)\b", re.I)


@dataclass(frozen=True, kw_only=True)
class Premise:
    """Something the character may use now."""

    id: str
    text: str
    source: str
    kind: PremiseKind
    score: float = 0.0


@dataclass(frozen=True, kw_only=True)
class WorldEvent:
    """A fact the game injected. `game_time` is the game's own clock, any unit, or None."""

    id: str
    text: str
    game_time: float | None = None


@dataclass(frozen=True, kw_only=True)
class Grounding:
    """What was found for a line.

    Attributes:
        premises: Best first.
        unknown_topic: The topic the character knows nothing of, where the line is about one.
        num_candidates: Facts and events whose condition holds.
        num_hidden: Facts whose condition does not.
    """

    premises: tuple[Premise, ...]
    unknown_topic: UnknownTopic | None
    num_candidates: int
    num_hidden: int


class Grounder:
    """Finds premises for one character. Built when its sheet loads; encodes every fact once.

    Args:
        sheet: The character.
        encoder: The sentence encoder, shared.
    """

    def __init__(self, sheet: CharacterSheet, encoder: SentenceEncoder) -> None:
        self._sheet = sheet
        self._encoder = encoder
        self._bm25 = Bm25([_searched(fact.text, fact.tags) for fact in sheet.facts])
        self._embeddings = encoder.embed([_searched(fact.text, fact.tags) for fact in sheet.facts])
        self._seen_events: dict[str, NDArray[np.float32]] = {}
        self._topic_examples = [(topic, line) for topic in sheet.unknown_topics for line in topic.examples]
        self._topic_embeddings = encoder.embed([line for _, line in self._topic_examples])

    async def ground(
        self,
        line: str,
        embedding: NDArray[np.float32],
        *,
        said_before: Sequence[str],
        state: GameState,
        events: Sequence[WorldEvent],
    ) -> Grounding:
        """Rank what the character may use for a line.

        Args:
            line: What the player said.
            embedding: (hidden_size,) float32, of the line.
            said_before: The last exchange, as context for a line that cannot stand alone; may be empty.
            state: The game's state, which conditions look at.
            events: World facts injected by the game, oldest first.
        """
        query = await self._query(line, embedding, said_before)
        lexical_query = " ".join((line, *said_before)) if _needs_context(line) else line
        holds = np.array([fact.when is None or fact.when.holds(state) for fact in self._sheet.facts], bool)
        scores = hybrid(self._embeddings @ query, self._bm25.scores(lexical_query))
        candidates = [
            Premise(id=fact.id, text=fact.text, source=fact.source, kind="fact", score=float(score))
            for fact, score, is_known in zip(self._sheet.facts, scores, holds, strict=True)
            if is_known and score >= MIN_SCORE
        ]
        candidates += await self._events(events, query, lexical_query)
        candidates += self._relationships(line)
        premises = tuple(sorted(candidates, key=lambda premise: -premise.score)[:MAX_PREMISES])
        return Grounding(
            premises=premises,
            unknown_topic=self._unknown_topic(line, query, premises),
            num_candidates=int(holds.sum()) + len(events),
            num_hidden=int((~holds).sum()),
        )

    async def _query(
        self, line: str, embedding: NDArray[np.float32], said_before: Sequence[str]
    ) -> NDArray[np.float32]:
        if not said_before or not _needs_context(line):
            return embedding
        context = (await self._encoder.aembed(said_before)).mean(axis=0)
        query: NDArray[np.float32] = embedding + CONTEXT_WEIGHT * context
        return query / np.linalg.norm(query)

    async def _events(
        self, events: Sequence[WorldEvent], query: NDArray[np.float32], lexical_query: str
    ) -> list[Premise]:
        if not events:
            return []
        embeddings = await self._event_embeddings([event.text for event in events])
        scores = hybrid(embeddings @ query, Bm25([event.text for event in events]).scores(lexical_query))
        return [
            Premise(id=event.id, text=event.text, source="game", kind="event", score=float(score))
            for event, score in zip(events, scores, strict=True)
            if score >= MIN_SCORE
        ]

    async def _event_embeddings(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n_texts, hidden_size) float32; a text that was seen before is not encoded again."""
        found = {text: self._seen_events[text] for text in texts if text in self._seen_events}
        fresh = [text for text in dict.fromkeys(texts) if text not in found]
        if fresh:
            found |= zip(fresh, await self._encoder.aembed(fresh), strict=True)
            self._seen_events |= found
            for text in list(self._seen_events)[:-MAX_SEEN_EVENTS]:
                del self._seen_events[text]
        return np.stack([found[text] for text in texts])

    def _relationships(self, line: str) -> list[Premise]:
        spoken = set(terms(line))
        return [
            Premise(
                id=f"relationship:{person.name}",
                text=f"{person.name} is my {person.kind}. {person.attitude}",
                source="sheet",
                kind="relationship",
                score=ANSWERS_SCORE,
            )
            for person in self._sheet.relationships
            if spoken & set(terms(person.name))
        ]

    def _unknown_topic(self, line: str, query: NDArray[np.float32], premises: Sequence[Premise]) -> UnknownTopic | None:
        """The topic that a keyword or a close example gives away, unless a premise answers the line."""
        if premises and premises[0].score >= ANSWERS_SCORE:
            return None
        spoken = set(terms(line))
        for topic in self._sheet.unknown_topics:
            if any(_holds_all(spoken, keyword) for keyword in topic.keywords):
                return topic
        if self._topic_examples:
            cosines = self._topic_embeddings @ query
            best = int(cosines.argmax())
            if cosines[best] >= UNKNOWN_TOPIC_COSINE:
                return self._topic_examples[best][0]
        return None


def hybrid(cosines: NDArray[np.float32], bm25: NDArray[np.float32]) -> NDArray[np.float32]:
    """One score a candidate from both rankings; (n,) float32, about 0 to 1.35."""
    return (cosines + LEXICAL_WEIGHT * bm25).astype(np.float32)


def _searched(text: str, tags: Iterable[str]) -> str:
    return " ".join((text, *tags))


def _needs_context(line: str) -> bool:
    return bool(_REFERRING.search(line)) or len(terms(line)) < 2


def _holds_all(spoken: set[str], keyword: str) -> bool:
    wanted = terms(keyword)
    return bool(wanted) and all(term in spoken for term in wanted)
