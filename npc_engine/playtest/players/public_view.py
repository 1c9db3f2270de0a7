"""What anybody may know of a character before talking to it: names, topics, questions. No secret, no condition."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from npc_engine.playtest.material import load_rewordings
from npc_engine.sheets.conditions import GameState
from npc_engine.sheets.fields import Answer
from npc_engine.sheets.questions import load_questions
from npc_engine.sheets.schema import CharacterSheet

QUESTIONS_FOLDER = "questions"


@dataclass(frozen=True, kw_only=True)
class Known:
    """A question with an answer that everybody may hear.

    Attributes:
        line: The question.
        again: The same in other words; None where there are none.
        fact: Id of the fact that answers it.
        says: The answer, as a scenario's `says`.
    """

    line: str
    again: str | None
    fact: str
    says: Answer


@dataclass(frozen=True, kw_only=True)
class PublicView:
    """What players are made from.

    Attributes:
        character: The character's id.
        name: Its first name.
        role: Its trade.
        people: Others in its life.
        topics: What open facts are about.
        known: Questions with answers.
        unknown: Lines about what it knows nothing of.
        wants: Lines that want one of its actions, with the action.
    """

    character: str
    name: str
    role: str
    people: tuple[str, ...]
    topics: tuple[str, ...]
    known: tuple[Known, ...]
    unknown: tuple[str, ...]
    wants: tuple[tuple[str, str], ...]

    @property
    def digest(self) -> str:
        """Hex digits that change with anything in it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


def public_view(sheet: CharacterSheet, *, sheets_dir: Path) -> PublicView:
    """What the sheet shows anybody, with the questions that lie beside it.

    Args:
        sheet: The character.
        sheets_dir: Its folder, which may hold `questions` and `rewordings`.

    Raises:
        SheetError: A question file does not load.
    """
    nobody = GameState()
    open_facts = [fact for fact in sheet.facts if not fact.secret and (fact.when is None or fact.when.holds(nobody))]
    ids = {fact.id for fact in open_facts}
    path = sheets_dir / QUESTIONS_FOLDER / f"{sheet.id}.yaml"
    questions = load_questions(path).questions if path.is_file() else ()
    again: Mapping[str, str] = load_rewordings(sheets_dir, sheet.id)
    known = tuple(
        Known(line=one.question, again=again.get(one.fact), fact=one.fact, says=one.answer)
        for one in questions
        if one.fact in ids and one.state == nobody
    )
    return PublicView(
        character=sheet.id,
        name=sheet.identity.name.split()[0],
        role=sheet.identity.role,
        people=tuple(one.name for one in sheet.relationships),
        topics=tuple(dict.fromkeys(fact.tags[0] for fact in open_facts if fact.tags)),
        known=known,
        unknown=tuple(line for topic in sheet.unknown_topics for line in topic.examples),
        wants=tuple(
            (line, action.name)
            for action in sheet.actions
            if action.when is None or action.when.holds(nobody)
            for line in action.examples
        ),
    )
