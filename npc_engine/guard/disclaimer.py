"""Does a reply say that the speaker does not know? A rule over wordings, for English.

What is not covered: a reply that evades without saying so ("Lovely weather, is it not?"), irony, other languages.
tests/guard/test_disclaimer.py holds the rule to the shipped sheets: their lines of not knowing, and their facts.
"""

from __future__ import annotations

import re

_NOT = r"(?:(?:do|did|could|would|will|can)\s+not|don't|didn't|cannot|can't|couldn't|wouldn't|won't|never|not\s+to)"
_HEDGE = r"(?:\s+(?:really|quite|rightly|honestly|truly|even|yet|rather|exactly))*"
_DISCLAIMERS = re.compile(
    rf"""
      \b(?:{_NOT}|rather\s+not){_HEDGE}\s+(?:know|tell\s+you|say|recall|remember|follow\s+you|claim\s+to|guess|answer\s+that|provide|assist|help\s+you|speak\s+to)\b
    | \bknow(?:s)?\s+(?:nothing|little|none|of\s+no(?:ne|thing)?)\b
    | \b(?:no|not\s+the\s+faintest|not\s+the\s+least)\s+(?:idea|notion|clue)\b
    | \bnot\s+(?:sure|certain|aware|familiar|something\s+I\s+know|in\s+my\s+books?|my\s+(?:trade|business|craft))\b
    | \bnever{_HEDGE}\s+(?:heard|seen|met|been|learned|learnt|came\s+across|tried|saw)\b
    | \b(?:have\s+not|haven't|has\s+not)\s+(?:heard|seen|met|been|the\s+(?:faintest|slightest))\b
    | \b(?:beyond|lost)\s+me\b | \bhave\s+me\s+there\b | \bis\s+news\s+to\s+me\b | \bbeats\s+me\b
    | \b(?:nobody|no\s+one)\s+(?:tells|told|has\s+told)\b
    | \b(?:would|had)\s+(?:be|to)\s+(?:a\s+)?(?:guess|guessing|invent|invented)\b
    | \b(?:a\s+)?question\s+for\s+(?:the|a|someone|somebody|another)\b
    | \bask\s+(?:someone|somebody|anyone|another)\b | \b(?:you\s+)?must\s+ask\b | \bif\s+I\s+knew\b
    | \bmust\s+disappoint\s+you\b
    """,
    re.IGNORECASE | re.VERBOSE,
)


def says_not_knowing(text: str) -> bool:
    """Whether some part of the text says that the speaker does not know, in one of the usual wordings."""
    return _DISCLAIMERS.search(text.replace("\u2019", "'")) is not None
