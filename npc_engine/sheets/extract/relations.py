"""People in the character's life, out of what the character says, such as "My brother Tobin is a carter."."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from npc_engine.sheets.fields import MAX_NAME_CHARS, MAX_NOTE_CHARS

if TYPE_CHECKING:
    from npc_engine.sheets.extract.claims import Claim

_WHICH = (
    r"(?:older|elder|younger|big|little|twin|best|old|close|closest|only|late|half|step|first|second|eldest|youngest)"
)
_NOUN = (
    r"(?:(?:grand|step|half-|great-)?(?:father|mother|brother|sister|son|daughter)|husband|wife|uncle|aunt|cousin|nephew|"
    r"niece|friend|rival|enemy|archenemy|partner|mentor|teacher|apprentice|student|pupil|master|neighbou?r|colleague|"
    r"companion|lover|fianc[ée]e?|boss|captain|ally|assistant|servant|landlord|landlady|childhood friend|pet|cat|dog)"
)
KIN = re.compile(rf"(?:{_WHICH}[ -])*{_NOUN}")
_TITLE = r"(?:(?:Mr|Mrs|Ms|Dr|St|Sir|Lord|Lady)\.? )?"
_NAME = rf"{_TITLE}[A-Z][\w’'-]*(?<!['’]s)(?: (?:(?:of|the|von|van|de) )?[A-Z][\w’'-]*(?<!['’]s))*(?: (?:Jr|Sr)\.)?"
# Who, and what they are to the character.
_PATTERNS = (
    re.compile(rf"\b[Mm]y (?P<kind>{KIN.pattern}),? (?P<name>{_NAME})(?=[,.;]|\s|$)"),
    re.compile(rf"\b[Mm]y (?P<kind>{KIN.pattern}) (?:is|was)(?: called| named)? (?P<name>{_NAME})"),
    re.compile(rf"(?P<name>{_NAME}) (?:is|was) my (?P<kind>{KIN.pattern})\b"),
    re.compile(rf"(?P<name>{_NAME}), my (?P<kind>{KIN.pattern})\b"),
    re.compile(rf"\bI (?:am|was) (?:the |a )?(?P<mutual>(?:best |close )?(?:friend|rival|enemy|archenemy|ally|partner|"
               rf"colleague|companion|cousin|neighbou?r|lover)) of (?P<name>{_NAME})"),
)  # fmt: skip
_FRIENDS = re.compile(
    rf"\bI (?:am|was|became|become) (?P<kind>(?:best |close |good )?friends) with "
    rf"(?P<names>{_NAME}(?:(?:, (?:and )?| and ){_NAME})*)"
)
_MARRIED = re.compile(rf"\bI (?:am married to|was married to|married) (?P<name>{_NAME})")


@dataclass(frozen=True, kw_only=True)
class Relation:
    """Somebody in the character's life.

    Attributes:
        name: Who.
        kind: What they are to the character.
        claim: What says so.
    """

    name: str
    kind: str
    claim: Claim


def relations(claims: Sequence[Claim], *, name: str) -> list[Relation]:
    """The people that the claims name, each once: the first kind that is told stands.

    Args:
        claims: What the character says.
        name: The character's own name, whose bearer is nobody else.
    """
    found: dict[str, Relation] = {}
    for claim in claims:
        if len(claim.text) > MAX_NOTE_CHARS:
            continue
        for who, kind in _told(claim.text):
            is_own = who in ("I", name) or who in name.split()
            if not is_own and who not in found and len(who) <= MAX_NAME_CHARS and len(kind) <= MAX_NAME_CHARS:
                found[who] = Relation(name=who, kind=kind, claim=claim)
    return list(found.values())


def _told(text: str) -> Iterator[tuple[str, str]]:
    for pattern in _PATTERNS:
        for match in pattern.finditer(text):
            groups = match.groupdict()
            yield match["name"].strip(), groups.get("kind") or groups["mutual"]
    for match in _FRIENDS.finditer(text):
        kind = match["kind"].removesuffix("s")
        for who in re.split(r", (?:and )?| and ", match["names"]):
            yield who, kind
    for match in _MARRIED.finditer(text):
        yield match["name"], "spouse"
