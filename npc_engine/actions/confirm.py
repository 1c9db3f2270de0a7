"""Whether a player's line agrees to what the character has just offered to do."""

from __future__ import annotations

import re

_YES = re.compile(
    r"^\W*(?:yes|yeah|yep|yup|aye|sure|ok(?:ay)?|of course|certainly|deal|done|agreed|please do|do it|go ahead|"
    r"i(?:'ll| will) take it|sounds good|fine|right)\b",
    re.IGNORECASE,
)
_NO = re.compile(r"\b(?:no|not|don't|never|wait|stop|but)\b", re.IGNORECASE)


def is_yes(line: str) -> bool:
    """True only for a plain yes at the start of the line with nothing that takes it back."""
    text = line.replace("’", "'")
    return bool(_YES.match(text)) and not _NO.search(text)
