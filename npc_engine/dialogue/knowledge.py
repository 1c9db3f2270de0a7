"""What a character knows, as the judge looks at it: every fact and relationship of the sheet, and which hold now."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from npc_engine.dialogue.grounding import Grounder
from npc_engine.guard.nearest import StatementIndex
from npc_engine.guard.verdict import Statement
from npc_engine.guard.words import stems, words
from npc_engine.inference.encoder import SentenceEncoder
from npc_engine.sheets.conditions import GameState
from npc_engine.sheets.schema import CharacterSheet


@dataclass(frozen=True, kw_only=True)
class View:
    """What holds in one state of the game.

    Attributes:
        holds: (n_statements,) bool.
        hidden: Statements that do not.
        words: Words of those that do.
        stems: Stems of those that do.
    """

    holds: NDArray[np.bool_]
    hidden: tuple[Statement, ...]
    words: frozenset[str]
    stems: frozenset[str]


class Knowledge:
    """The statements of one sheet. Built when it loads.

    Args:
        sheet: The character.
        grounder: Its embeddings of the facts are used again.
        encoder: For the relationships.

    Attributes:
        index: Facts, then relationships.
        embeddings: (n_statements, hidden_size) float32, of the same.
    """

    def __init__(self, sheet: CharacterSheet, grounder: Grounder, encoder: SentenceEncoder) -> None:
        facts = [Statement(id=fact.id, text=fact.text, kind="fact") for fact in sheet.facts]
        people = [
            Statement(id=f"relationship:{one.name}", text=f"{one.name} is my {one.kind}.", kind="relationship")
            for one in sheet.relationships
        ]
        self.embeddings = np.concatenate([grounder.fact_embeddings, encoder.embed([one.text for one in people])])
        self.index = StatementIndex([*facts, *people], self.embeddings)
        self._grounder = grounder
        self._num_people = len(people)
        self._words = [frozenset(words(one.text)) for one in self.index.statements]
        self._stems = [stems(one.text) for one in self.index.statements]
        self._last: View | None = None

    def at(self, state: GameState) -> View:
        """What holds in a state; the last state's view is kept, since turns seldom change it."""
        holds = np.concatenate([self._grounder.holds(state), np.ones(self._num_people, np.bool_)])
        if self._last is None or not np.array_equal(holds, self._last.holds):
            known = np.flatnonzero(holds)
            self._last = View(
                holds=holds,
                hidden=tuple(self.index.statements[row] for row in np.flatnonzero(~holds)),
                words=frozenset().union(*(self._words[row] for row in known)),
                stems=frozenset().union(*(self._stems[row] for row in known)),
            )
        return self._last
