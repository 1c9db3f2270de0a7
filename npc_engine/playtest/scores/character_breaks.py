"""Does a reply fall out of the character: talk of an assistant, of the prompt, or of our world's things?

The wordings are the judge's (`guard/phrases.toml`); a word that the sheet itself or the player's line uses is no break.
"""

from __future__ import annotations

from collections.abc import Iterator

from npc_engine.guard.rules import phrases
from npc_engine.guard.words import find_phrase
from npc_engine.playtest.scores.checks import stable_text
from npc_engine.sheets.schema import CharacterSheet


def breaks(reply: str, *, line: str, sheet: CharacterSheet | None) -> list[str]:
    """The words of a reply that no character says; empty where there are none.

    Args:
        reply: The reply.
        line: What the player said.
        sheet: Whose reply it is; its own words are allowed.
    """
    return list(_breaks(reply.replace("’", "'"), line, sheet))


def _breaks(reply: str, line: str, sheet: CharacterSheet | None) -> Iterator[str]:
    table = phrases()
    for kind in ("assistant", "instruction"):
        for pattern in table.patterns[kind]:
            if found := pattern.search(reply):
                yield found[0]
    own = "" if sheet is None else " ".join([stable_text(sheet), *(fact.text for fact in sheet.facts)])
    for word in table.other_world:
        if find_phrase(reply, word) and not find_phrase(line, word) and not find_phrase(own, word):
            yield word
