"""Ground a turn: which premises the character may use for this line, best first.

Hybrid retrieval: BM25 finds names, numbers and rare words; the sentence encoder finds other wordings. A fact whose
condition does not hold is never a candidate, so it cannot reach the prompt. World events of the game take part like
facts, and so does what the character has told this player about herself beyond her sheet; relationships join when the
line names them.

What a turn costs hardly depends on how much a character knows: one product of a matrix and a vector, the postings of
the line's own words, each distinct condition once, and objects for the few premises that win. Measured by
tools/bench_grounding.py.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from npc_engine.dialogue.lexical import Bm25, terms
from npc_engine.dialogue.memory import Statement
from npc_engine.inference.encoder import SentenceEncoder
from npc_engine.sheets.conditions import Condition, GameState
from npc_engine.sheets.schema import CharacterSheet, Fact, Relationship, UnknownTopic

PremiseKind = Literal["fact", "event", "relationship", "action_result", "said"]

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
# Embeddings of world events and statements kept a character: 1.5 kB each, and several conversations' worth of them.
MAX_SEEN_TEXTS = 4000
# Facts encoded between two lines of the log: 5,000 take 11 s on 2 processors (docs/log.md, "What 5,000 facts cost").
LOAD_BLOCK = 500
_REFERRING = re.compile(r"\b(it|that|this|them|they|those|these|he|she|him|her|his|there|one|ones|then)\b", re.I)

_log = logging.getLogger(__name__)


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
        searched = [_searched(fact.text, fact.tags) for fact in sheet.facts]
        self._facts = sheet.facts
        self._encoder = encoder
        self._conditions = _Conditions(sheet.facts)
        self._bm25 = Bm25(searched)
        self._embeddings = _embed_facts(encoder, searched, name=sheet.id)
        self._seen: dict[str, NDArray[np.float32]] = {}
        self._relationships = [(frozenset(terms(one.name)), _relationship(one)) for one in sheet.relationships]
        self._topics = _Topics(sheet.unknown_topics, encoder)

    @property
    def fact_embeddings(self) -> NDArray[np.float32]:
        """(n_facts, hidden_size) float32, unit rows in the order of the sheet's facts: text and tags."""
        return self._embeddings

    def holds(self, state: GameState) -> NDArray[np.bool_]:
        """(n_facts,) bool: which facts' conditions hold."""
        return self._conditions.holds(state)

    async def ground(
        self,
        line: str,
        embedding: NDArray[np.float32],
        *,
        said_before: Sequence[str],
        state: GameState,
        events: Sequence[WorldEvent],
        statements: Sequence[Statement] = (),
    ) -> Grounding:
        """Rank what the character may use for a line.

        Args:
            line: What the player said.
            embedding: (hidden_size,) float32, of the line.
            said_before: The last exchange, as context for a line that cannot stand alone; may be empty.
            state: The game's state, which conditions look at.
            events: World facts injected by the game, oldest first.
            statements: What the character has told this player about herself beyond her sheet.
        """
        query = await self._query(line, embedding, said_before)
        lexical_query = " ".join((line, *said_before)) if _needs_context(line) else line
        holds = self._conditions.holds(state)
        scores = hybrid(self._embeddings @ query, self._bm25.scores(lexical_query))
        authored = [
            Premise(id=fact.id, text=fact.text, source=fact.source, kind="fact", score=score)
            for fact, score in ((self._facts[row], float(scores[row])) for row in best(scores, allowed=holds))
        ]
        authored += await self._events(events, query, lexical_query)
        spoken = frozenset(terms(line))
        authored += [premise for names, premise in self._relationships if spoken & names]
        answered = max((premise.score for premise in authored), default=0.0) >= ANSWERS_SCORE
        candidates = [*authored, *await self._statements(statements, query, lexical_query, authored)]
        num_known = int(holds.sum())
        return Grounding(
            premises=tuple(sorted(candidates, key=lambda premise: -premise.score)[:MAX_PREMISES]),
            unknown_topic=None if answered else self._topics.of(spoken, query),
            num_candidates=num_known + len(events) + len(statements),
            num_hidden=len(self._facts) - num_known,
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
        texts = [event.text for event in events]
        scores = hybrid(await self._embed_seen(texts) @ query, Bm25(texts).scores(lexical_query))
        return [
            Premise(id=events[row].id, text=events[row].text, source="game", kind="event", score=float(scores[row]))
            for row in best(scores)
        ]

    async def _statements(
        self,
        statements: Sequence[Statement],
        query: NDArray[np.float32],
        lexical_query: str,
        authored: Sequence[Premise],
    ) -> list[Premise]:
        """What she has said, found by the question that it answered as well as by its own words.

        Where the sheet answers the line, the best of it stands before anything that was made up in talk.
        """
        if not statements:
            return []
        questions = await self._embed_seen([statement.question for statement in statements])
        answers = await self._embed_seen([statement.text for statement in statements])
        cosines = np.maximum(questions @ query, answers @ query)
        texts = [f"{statement.question} {statement.text}" for statement in statements]
        scores = hybrid(cosines, Bm25(texts).scores(lexical_query))
        top = max((premise.score for premise in authored), default=0.0)
        ceiling = top if top >= ANSWERS_SCORE else np.inf
        return [
            Premise(
                id=statements[row].id,
                text=statements[row].as_premise,
                source="said",
                kind="said",
                score=min(float(scores[row]), ceiling),
            )
            for row in best(scores)
        ]

    async def _embed_seen(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n_texts, hidden_size) float32; a text that was seen before is not encoded again."""
        found = {text: self._seen[text] for text in texts if text in self._seen}
        fresh = [text for text in dict.fromkeys(texts) if text not in found]
        if fresh:
            found |= zip(fresh, await self._encoder.aembed(fresh), strict=True)
            self._seen |= found
            for text in list(self._seen)[:-MAX_SEEN_TEXTS]:
                del self._seen[text]
        return np.stack([found[text] for text in texts])


class _Conditions:
    """The conditions of some facts, each distinct one looked at once a turn."""

    def __init__(self, facts: Sequence[Fact]) -> None:
        places: dict[Condition | None, int] = {None: 0}
        self._owner = np.array([places.setdefault(fact.when, len(places)) for fact in facts], np.int64)
        self._distinct = tuple(condition for condition in places if condition is not None)

    def holds(self, state: GameState) -> NDArray[np.bool_]:
        """(n_facts,) bool: whether each fact exists in this state."""
        truths = np.array([True, *(condition.holds(state) for condition in self._distinct)], bool)
        held: NDArray[np.bool_] = truths[self._owner]
        return held


class _Topics:
    """What the character knows nothing of, as a keyword or a close example gives it away."""

    def __init__(self, topics: Sequence[UnknownTopic], encoder: SentenceEncoder) -> None:
        self._topics = topics
        self._by_term: dict[str, list[tuple[int, frozenset[str]]]] = {}
        for index, wanted in _keywords(topics):
            self._by_term.setdefault(min(wanted), []).append((index, wanted))
        examples = [(topic, line) for topic in topics for line in topic.examples]
        self._owners = [topic for topic, _ in examples]
        self._embeddings = encoder.embed([line for _, line in examples])

    def of(self, spoken: frozenset[str], query: NDArray[np.float32]) -> UnknownTopic | None:
        """The first topic with a keyword all of whose words are spoken, else that of a close example."""
        named = [index for term in spoken for index, wanted in self._by_term.get(term, ()) if wanted <= spoken]
        if named:
            return self._topics[min(named)]
        if self._owners:
            cosines = self._embeddings @ query
            nearest = int(cosines.argmax())
            if cosines[nearest] >= UNKNOWN_TOPIC_COSINE:
                return self._owners[nearest]
        return None


def hybrid(cosines: NDArray[np.float32], bm25: NDArray[np.float32]) -> NDArray[np.float32]:
    """One score a candidate from both rankings; (n,) float32, about 0 to 1.35."""
    return (cosines + LEXICAL_WEIGHT * bm25).astype(np.float32)


def best(scores: NDArray[np.float32], *, allowed: NDArray[np.bool_] | None = None) -> list[int]:
    """The candidates that are ranked: at most MAX_PREMISES of those allowed, none below MIN_SCORE, best first.

    Args:
        scores: (n,) float32.
        allowed: (n,) bool; None allows every one.

    Returns:
        Rows of `scores`; of equal ones the earlier comes first.
    """
    good = scores >= MIN_SCORE
    rows = np.flatnonzero(good if allowed is None else good & allowed)
    if rows.size > MAX_PREMISES:
        floor = np.partition(scores[rows], -MAX_PREMISES)[-MAX_PREMISES]
        rows = rows[scores[rows] >= floor]
    ranked: list[int] = rows[np.argsort(-scores[rows], kind="stable")][:MAX_PREMISES].tolist()
    return ranked


def _embed_facts(encoder: SentenceEncoder, texts: Sequence[str], *, name: str) -> NDArray[np.float32]:
    """(n_texts, hidden_size) float32; a long list says in the log how far it is."""
    if len(texts) <= LOAD_BLOCK:
        return encoder.embed(texts)
    blocks = []
    for start in range(0, len(texts), LOAD_BLOCK):
        _log.info("%s: encoding facts, %d of %d", name, start, len(texts))
        blocks.append(encoder.embed(texts[start : start + LOAD_BLOCK]))
    return np.concatenate(blocks)


def _keywords(topics: Sequence[UnknownTopic]) -> Iterator[tuple[int, frozenset[str]]]:
    """Each keyword's words, with its topic's place; one of nothing but stop words gives nothing away."""
    for index, topic in enumerate(topics):
        for keyword in topic.keywords:
            if wanted := frozenset(terms(keyword)):
                yield index, wanted


def _relationship(person: Relationship) -> Premise:
    return Premise(
        id=f"relationship:{person.name}",
        text=f"{person.name} is my {person.kind}. {person.attitude}",
        source="sheet",
        kind="relationship",
        score=ANSWERS_SCORE,
    )


def _searched(text: str, tags: Iterable[str]) -> str:
    return " ".join((text, *tags))


def _needs_context(line: str) -> bool:
    return bool(_REFERRING.search(line)) or len(terms(line)) < 2
