"""Where a sentence may be cut so that what is left is as true as the whole: at commas, where nothing is denied.

A part of "She works and sings." follows from it; a part of "She never works and sings." does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from npc_engine.sheets.extract.names import Character, leading_run

# A fact answers a question well when it is short. Source: docs/sheets.md, "How to write one".
MAX_WORDS = 25
MIN_WORDS = 3

# A part of such a sentence may not be true when the whole is.
NOT_MONOTONE = re.compile(
    r"\b(?:no|not|never|nobody|nothing|none|neither|nor|without|only|hardly|barely|rarely|seldom|few|little|unless|if|"
    r"until|except|but|than|rather|almost|nearly|too|whether|all|every|\w+n['’]t)\b",
    re.IGNORECASE,
)
# What somebody supposes is no fact.
HEDGED = re.compile(
    r"\b(?:may|might|possibly|probably|perhaps|maybe|reportedly|allegedly|supposedly|apparently|presumably|seem|seems|"
    r"seemed|is said|are said|was said|said to|is believed|was believed|according to|legend\w*|rumou?r\w*|alleged|"
    r"claims? that|claimed that|thought to|noted by|would have|could have|estimates?|if|whether|unclear|unknown|"
    r"uncertain|disputed|traditionally|regarded)\b",
    re.IGNORECASE,
)
# A sentence of its own before a comma, and no adverbial.
_IS_CLAUSE = re.compile(
    r"(?:It|They|He|She|There|This|That|These|Those|We|I|You)\b|"
    r"(?:The|A|An|His|Her|Their|Its|Some|Many|Most)\b.*\b(?:is|was|were|are|had|has|have|would|will)\b"
)
# What ends so after a cut leaves its clause open.
ENDS_OPEN = re.compile(r"\b(?:that|which|who|how|where|what|whether|as)(?:\s\S+){0,2}$")
# Says that something was said, and not what.
SAYS_NOTHING = re.compile(r"\b(?:stated?|states|said|says|wrote|writes|asserted|declared|explained|argued|noted)$")
_ENDS_IN_ADJECTIVE = re.compile(r"\ban?\s\S+(?:ous|ive|al|ic|ful|less|ent|ant|able|ible|ary|y)$")
_DANGLING = re.compile(
    r"[\s,;:—–-]+(?:and|or|but|the|a|an|of|to|in|on|at|by|for|with|from|who|which|that|as|when|where|while|my|his|her|"
    r"because|although|though|since|is|am|was|were|be|so|both|either|also|then|such|including|especially|therefore|thus|however)?$",
    re.IGNORECASE,
)


def shortened(text: str) -> str | None:
    """A clause cut to MAX_WORDS and before what is only supposed, at a comma where the rest is as true as the whole.

    None where there is no such place.
    """
    hedge = HEDGED.search(text)
    limit = hedge.start() if hedge else len(text)
    if len(text.split()) <= MAX_WORDS and not hedge:
        return text
    # What was learnt, said or decided is cut nowhere.
    if NOT_MONOTONE.search(text) or re.match(r"(?:\S+\s){1,3}that\b", text):
        return None
    best = None
    for found in re.finditer(r"[,;:—](?=\s(?!\d))|\s(?=(?:because|although|though|while|whereas|which)\b)", text):
        head = text[: found.start()]
        if len(head.split()) > MAX_WORDS or found.start() > limit:
            break
        # "blueprints, codes, or plans" is cut behind the first.
        # "a mysterious, pale scar" is cut nowhere.
        is_inside = re.match(r"[,;]?\s(?:and|or)\s", text[found.start() :]) or _ENDS_IN_ADJECTIVE.search(head)
        if not is_inside:
            best = head
    if best is None:
        return None
    best = trimmed(best)
    return best if len(best.split()) >= MIN_WORDS and not ENDS_OPEN.search(best) else None


def upto(out: list[str], body: str) -> str | None:
    """What was rewritten so far, cut back to the end of a part of the sentence."""
    if NOT_MONOTONE.search(body):
        return None
    text = " ".join(out)
    cut = max((text.rfind(sign) for sign in (",", ";", " —")), default=-1)
    joint = re.search(r"^(.*\S)\s+(?:after|before|when|while|because|although|so that)\b", text)
    if joint and joint.end() > cut:
        head = joint[1]
    elif cut > 0:
        head = text[:cut]
    else:
        return None
    head = trimmed(head)
    if ENDS_OPEN.search(head):
        return None
    return head if len(head.split()) >= MIN_WORDS + 1 else None


def trimmed(text: str) -> str:
    """A text without the words that a cut left hanging at its end."""
    text = re.sub(r",\sas\s[^,]*$|\s(?:and|but|or),\s[^,]*$", "", text) if text.count(",") else text
    while (shorter := _DANGLING.sub("", text)) != text:
        text = shorter
    return text


def clauses(character: Character, text: str) -> Iterator[tuple[str, bool]]:
    """A sentence cut where the character is the subject anew: the parts, and whether each is such a later part."""
    subject = character.pronouns.subject if character.pronouns else "he"
    names = "|".join(map(re.escape, character.called))
    parts = re.split(rf"(?:,\s(?:and|but|so|yet)|;)\s(?=(?:{subject}{'|' + names if names else ''})\s)", text)
    for number, part in enumerate(parts):
        yield (part[:1].upper() + part[1:] if number else part), number > 0


def split_lead(text: str) -> tuple[str, str]:
    """What stands before the subject, and the rest, where a sentence begins with an adverbial and its comma."""
    found = re.match(r"((?:[^,]|,(?=\s\d)){2,120}),\s+(?=\S)", text)
    if (
        found is None
        or _IS_CLAUSE.match(found[1])
        or (leading_run(text) and " " not in found[1] and not found[1].endswith("ly"))
    ):
        return "", text
    return found[1], text[found.end() :]
