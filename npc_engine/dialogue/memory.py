"""What is remembered: the exchanges of one conversation, and what a character has told a player about herself.

Kept in this process only: a restart forgets.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass

# Words from which a sentence says by itself whom it is about and that something is so.
_STANDS_ALONE = re.compile(r"\b(I|I'm|I've|I'd|I'll|my|me|mine)\b")
MIN_STANDALONE_WORDS = 4


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One turn as both sides heard it. `reply` is empty where the turn was cancelled before the first word."""

    player: str
    reply: str


class History:
    """The exchanges of one conversation.

    Args:
        max_exchanges: Beyond this the oldest tenth is forgotten at once, since each forgetting changes the prompt's
            prefix and with it empties the cache. The prompt's token budget usually bites first.
    """

    def __init__(self, *, max_exchanges: int = 200) -> None:
        self._exchanges: list[Exchange] = []
        self._max_exchanges = max_exchanges

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """All that is remembered, oldest first."""
        return tuple(self._exchanges)

    def add(self, exchange: Exchange) -> None:
        """Remember an exchange."""
        self._exchanges.append(exchange)
        if len(self._exchanges) > self._max_exchanges:
            del self._exchanges[: max(1, self._max_exchanges // 10)]

    def take_back(self, exchanges: int) -> None:
        """Forget the latest exchanges."""
        del self._exchanges[-exchanges:]

    def last(self) -> Exchange | None:
        """The latest exchange, if there is one."""
        return self._exchanges[-1] if self._exchanges else None


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What a character once answered to a question that her sheet leaves open; from then on it is so for this player.

    Attributes:
        id: `said:` and a number, unique within its `Statements`.
        question: The line that it answered.
        text: The sentence as the player heard it.
    """

    id: str
    question: str
    text: str

    @property
    def as_premise(self) -> str:
        """The statement as a claim that can be read without its question: "Blue." alone claims nothing."""
        if _STANDS_ALONE.search(self.text) and len(self.text.split()) >= MIN_STANDALONE_WORDS:
            return self.text
        return f"Asked \u201c{self.question}\u201d I said: {self.text}"


class Statements:
    """What one character has told one player about herself, oldest first.

    Args:
        max_statements: Beyond this the oldest is forgotten.
    """

    def __init__(self, *, max_statements: int = 100) -> None:
        self._statements: OrderedDict[str, Statement] = OrderedDict()
        self._max_statements = max_statements
        self._num_added = 0

    @property
    def all(self) -> tuple[Statement, ...]:
        """All that is remembered, oldest first."""
        return tuple(self._statements.values())

    def add(self, *, question: str, text: str) -> Statement:
        """Remember a statement; the same claim made before stays as it was, and is returned."""
        statement = Statement(id=f"said:{self._num_added + 1}", question=question, text=text)
        key = statement.as_premise.casefold()
        if key not in self._statements:
            self._num_added += 1
            self._statements[key] = statement
            if len(self._statements) > self._max_statements:
                self._statements.popitem(last=False)
        return self._statements[key]

    def forget(self, statement_id: str) -> None:
        """Forget a statement; does nothing where it is forgotten already."""
        kept = [(key, each) for key, each in self._statements.items() if each.id != statement_id]
        self._statements = OrderedDict(kept)


class StatementStore:
    """The statements of every pair of a character and a player.

    Args:
        max_pairs: Beyond this the pair that has not been asked for longest is forgotten.
    """

    def __init__(self, *, max_pairs: int = 10_000) -> None:
        self._pairs: OrderedDict[tuple[str, str], Statements] = OrderedDict()
        self._max_pairs = max_pairs

    def of(self, character_id: str, player_id: str) -> Statements:
        """What this character has told this player; the same object until the pair is forgotten."""
        pair = (character_id, player_id)
        statements = self._pairs.setdefault(pair, Statements())
        self._pairs.move_to_end(pair)
        if len(self._pairs) > self._max_pairs:
            self._pairs.popitem(last=False)
        return statements
