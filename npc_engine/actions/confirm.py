"""Whether a player's line agrees to what the character has just offered to do."""

from __future__ import annotations

import re

_PLAIN = r"(?:yes|yeah|yep|yup|aye|please do|do it|go ahead|i(?:'ll| will) take (?:it|them))\b"
# These also begin other things ("Fine weather.", "Deal with the wolves first."): they must stand alone.
_ALONE = (
    r"(?:sure|ok(?:ay)?|of course|certainly|deal|done|agreed|sounds good|fine|right)\b"
    r"(?=\W*$|\s*[,.;:!]|\s+(?:then|thing|please|thanks|thank|do|go|let's|i'll|i will)\b)"
)
_YES = re.compile(rf"^\W*(?:{_PLAIN}|{_ALONE})", re.IGNORECASE)
_NO = re.compile(r"\?|\b(?:no|not|nope|nah|never|wait|stop|but|later|instead|cannot|\w+n't)\b", re.IGNORECASE)


def is_yes(line: str) -> bool:
    """True only for a plain yes at the start of the line, with no question and nothing that takes it back.

    In doubt it is no yes: the character then asks again, while a deal that nobody agreed to costs the player.
    """
    text = line.replace("’", "'")
    return bool(_YES.match(text)) and not _NO.search(text)
