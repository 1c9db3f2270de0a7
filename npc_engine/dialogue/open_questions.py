"""Which questions the sheet leaves open: about the character herself, and about the world.

What she is asked about herself she may answer as she likes, and keeps to it (`extending`). What she is asked about the
world she may only answer with what follows from something that she knows: else she says that she does not know.

What is not covered: questions that do not look like one ("I wonder who built this"), languages other than English.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from npc_engine.dialogue.grounding import Grounding
from npc_engine.guard.rules import Allowed, RuleContext, names

# A line whose best authored premise scores below this is answered by none: see docs/log.md, "Which questions are open".
OPEN_SCORE = 0.55
_ASKS = re.compile(
    r"^\W*(?:and |but |so |well,? )?(?:who|what|when|where|which|whose|whom|why|how|do|does|did|are|were|is|was|have|"
    r"has|had|can|could|will|would|should|tell me|describe)\b",
    re.IGNORECASE,
)
_YOU = re.compile(r"\b(?:you|your|yours|yourself)\b", re.IGNORECASE)
# Asks for a fact: who, which, how many; or whether something is so. "What a day!" and "how goes it?" do not.
_WANTS_A_FACT = re.compile(
    r"\b(?:who|whom|whose|which|when|where|why)\b"
    r"|\bwhat(?:'s|\s+(?!a\b|an\b|about\b|now\b|if\b|news?\b))"
    r"|\bhow\s+(?:many|much|old|far|long|big|large|tall|deep|heavy|high|wide|fast|often|did|do|does|can|is\s+(?!it\b|life\b"
    r"|business\b|trade\b)|are\s+(?!things\b))"
    r"|^\W*(?:and |but |so |well,? )?(?:is|are|was|were|does|did|has|have|had|will|can)\s+"
    r"(?:the|a|an|there|any|some|he|she|they|my|his|her|their|[A-Z])",
    re.IGNORECASE,
)
_TAG = re.compile(
    r"(?:,\s*(?:is|are|was|were|do|does|did|has|have)n['’]t\s+\w+|,\s*(?:eh|right|no|yes))\s*\?\s*$", re.I
)


def is_question(line: str) -> bool:
    """Whether a line asks, with a question mark or without."""
    return "?" in line or bool(_ASKS.search(line))


def names_you(text: str) -> bool:
    """Whether a text speaks of the one it is spoken to."""
    return bool(_YOU.search(text))


def asks_about_you(line: str) -> bool:
    """Whether a line is a question about the one who is spoken to."""
    return names_you(line) and is_question(line)


def asks_about_the_world(line: str) -> bool:
    """Whether a line asks how something is, and not about the one who is spoken to; pleasantries do not."""
    return is_question(line) and not names_you(line) and not _TAG.search(line) and bool(_WANTS_A_FACT.search(line))


def names_a_stranger(line: str, *, talk: Sequence[str], told: Sequence[str], world_words: frozenset[str]) -> bool:
    """Whether a line names somebody or something that neither the sheet nor the talk has named before.

    Args:
        line: What the player says.
        talk: What both said before.
        told: What the model is told of the character.
        world_words: Every word of what she knows.
    """
    known = Allowed(talk=talk, told=told, world_words=world_words)
    return any(True for _ in names(line, RuleContext(allowed=known)))


def needs_support(line: str, grounding: Grounding, *, is_stranger_named: bool) -> bool:
    """Whether a claim in the reply has to follow from something the character knows.

    It does where the line asks about somebody that nobody here has heard of, or about the world where no authored
    premise answers. What she has said before (`said`) answers nothing about the world.

    Args:
        line: What the player says.
        grounding: What was found for it.
        is_stranger_named: As `names_a_stranger` says.
    """
    if is_stranger_named and is_question(line):
        return True
    best = max((premise.score for premise in grounding.premises if premise.kind != "said"), default=0.0)
    return asks_about_the_world(line) and best < OPEN_SCORE
