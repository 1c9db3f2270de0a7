"""From texts to proposals: read, find the character, take what the sentences say of it, compare with what is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from npc_engine.sheets.extract.changes import Known, Proposal, entailed, proposals
from npc_engine.sheets.extract.claims import claims
from npc_engine.sheets.extract.names import Character, find_character
from npc_engine.sheets.extract.relations import Relation, relations
from npc_engine.sheets.extract.text import read_text
from npc_engine.sheets.lint.models import NO_MODELS, Models
from npc_engine.sheets.schema import CharacterSheet


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """What the texts say.

    Attributes:
        character: Whom they are about.
        proposals: New facts and changes, in the order of the texts.
        people: Those whom the proposals name.
        num_sentences: Sentences read.
        num_claims: Of them, claims about the character, repetitions included.
    """

    character: Character
    proposals: tuple[Proposal, ...]
    people: tuple[Relation, ...]
    num_sentences: int
    num_claims: int


def extract(
    paths: Sequence[Path],
    *,
    name: str | None = None,
    into: CharacterSheet | None = None,
    models: Models = NO_MODELS,
) -> Extraction:
    """Find what texts say about one character.

    Args:
        paths: Text files, in the order in which things happen.
        name: The character's name; without one, `into`'s, or what the text tells.
        into: The sheet that is added to: what it says is not proposed again, what it says otherwise is a change.
        models: What is installed; without any, words and rules alone.

    Raises:
        TextUnreadable: A file is missing, is no text, or says nothing.
        CharacterUnclear: The texts do not tell whom they are about.
    """
    texts = [read_text(path, chapter=number) for number, path in enumerate(paths)]
    character = find_character(texts, name or (into.identity.name if into else None))
    found = entailed(claims(texts, character), models)
    lore = {reference.lore for reference in into.knowledge} if into else set()
    known = [
        Known(id=fact.id, text=fact.text, is_open=fact.when is None and fact.source not in lore)
        for fact in (into.facts if into else ())
    ]
    proposed = proposals(found, known, models)
    return Extraction(
        character=character,
        proposals=tuple(proposed),
        people=tuple(relations([one.claim for one in proposed], name=character.name)),
        num_sentences=sum(len(text.sentences) for text in texts),
        num_claims=len(found),
    )
