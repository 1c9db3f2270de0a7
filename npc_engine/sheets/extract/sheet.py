"""The sheet that accepted proposals make: a new one, or an older one with them added."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from npc_engine.sheets.adding import Addition, NewFact, NewPerson, fact_id, with_additions
from npc_engine.sheets.cards.sheet_text import sheet_yaml
from npc_engine.sheets.extract.attributes import ROLE_KEYS
from npc_engine.sheets.extract.changes import Proposal
from npc_engine.sheets.extract.names import Character
from npc_engine.sheets.extract.relations import Relation
from npc_engine.sheets.fields import MAX_NAME_CHARS, MAX_NOTE_CHARS
from npc_engine.sheets.schema import CHARACTER_SCHEMA
from npc_engine.sheets.templates import slug

# Under `extensions`: where each fact and person stands in the texts.
SECTION = "extracted"
MAX_PEOPLE = 32
SCHEMA_LINE = "# yaml-language-server: $schema=character-1.json\n"
# Lines for anybody, until the writer gives the character's own.
GREETING = "Hello."
FALLBACKS = {
    "unknown": ["I don't know anything about that.", "I couldn't tell you."],
    "error": ["Sorry, what did you say?", "Say that again?"],
    "refusal": ["No. I won't do that.", "I would rather not."],
    "out_of_world": ["I don't know what you mean.", "That means nothing to me."],
    "busy": ["One moment.", "Not just now."],
}
_STAND_INS = {
    "role": "someone who lives here",
    "social": "Known to the people nearby.",
    "personal": "Keeps to what is familiar.",
    "context": "An ordinary day.",
}
_ROLE = re.compile(r"I (?:am|was) (?:also )?(?:an?|the) (?P<role>[^,.;]+?)(?=,| who\b| which\b| that\b|\.$)")


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A proposal as the writer took it.

    Attributes:
        proposal: What was proposed.
        text: Its text, which the writer may have changed.
    """

    proposal: Proposal
    text: str


def new_sheet(character: Character, accepted: Sequence[Accepted], people: Sequence[Relation]) -> tuple[str, list[str]]:
    """A sheet of its own.

    Returns:
        Its text, and what the writer should look at.
    """
    addition = _addition(accepted, people, taken=set())
    role = find_role([one.proposal for one in accepted])
    data: dict[str, Any] = {
        "schema": CHARACTER_SCHEMA,
        "id": slug(character.name),
        "identity": {"name": character.name[:MAX_NAME_CHARS].strip(), **_STAND_INS} | ({"role": role} if role else {}),
        "voice": {"register": "plain and natural"},
        "facts": [fact.entry() for fact in addition.facts],
    }
    if addition.people:
        data["relationships"] = [person.entry() for person in addition.people]
    data |= {"fallbacks": FALLBACKS, "greeting": GREETING}
    data["extensions"] = {SECTION: addition.marks}
    look = ["" if role else "identity.role", "identity.social", "identity.personal", "identity.context"]
    look += ["voice.register", "fallbacks", "greeting"]
    return SCHEMA_LINE + sheet_yaml(data), [key for key in look if key]


def added_to(path: Path, accepted: Sequence[Accepted], people: Sequence[Relation], *, taken: set[str]) -> str:
    """The text of a sheet with the accepted facts in it: changed ones in their places, new ones behind the others.

    Args:
        path: The sheet.
        accepted: What the writer took.
        people: Those of whom the sheet has no relationship are added.
        taken: Ids that the sheet and its lore have.

    Raises:
        SheetError: The file is not YAML of our kind.
    """
    return with_additions(path, _addition(accepted, people, taken=taken), section=SECTION, comment="From the texts")


def find_role(proposals: Sequence[Proposal]) -> str:
    """What the character is, in one phrase; empty where no text says it."""
    for proposal in proposals:
        if proposal.claim.key.lower() in ROLE_KEYS and (found := _ROLE.match(proposal.claim.text)):
            return found["role"][:MAX_NOTE_CHARS]
    found_roles = (_ROLE.match(proposal.claim.text) for proposal in proposals)
    return next((found["role"][:MAX_NOTE_CHARS] for found in found_roles if found), "")


def _addition(accepted: Sequence[Accepted], people: Sequence[Relation], *, taken: set[str]) -> Addition:
    facts: list[NewFact] = []
    changed: dict[str, str] = {}
    marks: dict[str, dict[str, str]] = {"facts": {}}
    ids = set(taken)
    for one in accepted:
        claim = one.proposal.claim
        if one.proposal.replaces is not None:
            changed[one.proposal.replaces.id] = one.text
            name = one.proposal.replaces.id
        else:
            name = fact_id(one.text, ids)
            facts.append(NewFact(id=name, text=one.text, tags=_tags(claim.key)))
        marks["facts"][name] = str(claim.position)
        if one.proposal.history:
            past = fact_id(one.proposal.history, ids)
            facts.append(NewFact(id=past, text=one.proposal.history, tags=("before",)))
            marks["facts"][past] = f"until {claim.position}"
    known = {one.proposal.claim.text: one.text for one in accepted}
    persons = [
        NewPerson(name=one.name, kind=one.kind, attitude=known[one.claim.text][:MAX_NOTE_CHARS])
        for one in people[:MAX_PEOPLE]
        if one.claim.text in known
    ]
    if persons:
        marks["relationships"] = {one.name: str(one.claim.position) for one in people[:MAX_PEOPLE]}
    return Addition(facts=facts, people=persons, changed=changed, marks=marks)


def _tags(key: str) -> tuple[str, ...]:
    return (key.lower(),) if key else ()
