"""Persona extending: what a reply adds to a character about whom the sheet says nothing.

"What is your favourite colour?" has no answer in most sheets. Whatever the character says to it is kept as a statement
(`memory.Statements`) and found by grounding like a fact, so that she says the same the next time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from npc_engine.dialogue.grounding import Grounding
from npc_engine.dialogue.open_questions import OPEN_SCORE, asks_about_you, names_you
from npc_engine.guard.disclaimer import says_not_knowing

# A statement at least this close answers the line already. A starting value: 60 rewordings found theirs at 0.46 and up.
SAID_SCORE = 0.75
# A longer answer without a word of the speaker's own is about something else: "Blue." is kept, a saying is not.
MAX_BARE_WORDS = 5
_I = re.compile(r"\b(?:I|[Mm]y|[Mm]ine)\b")


def extension(line: str, sentences: Sequence[str], grounding: Grounding) -> str | None:
    """The sentence of a reply that becomes a statement of the character; None where there is none.

    Args:
        line: What the player said.
        sentences: The reply as the player heard it, each sentence judged; the model's own, not an authored line.
        grounding: What was found for the line.
    """
    if not asks_about_you(line) or grounding.unknown_topic is not None:
        return None
    for premise in grounding.premises:
        if premise.score >= (SAID_SCORE if premise.kind == "said" else OPEN_SCORE):
            return None
    return next((sentence for sentence in sentences if _is_claim(sentence)), None)


def _is_claim(sentence: str) -> bool:
    if sentence.rstrip().endswith("?") or says_not_knowing(sentence):
        return False
    return bool(_I.search(sentence)) or (len(sentence.split()) <= MAX_BARE_WORDS and not names_you(sentence))
