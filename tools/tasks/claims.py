"""Does a reply say that something was done? String rules of the scoreboards' own, which know nothing of the guard.

They are written against replies of people: gold replies that follow an action, and replies that follow none. A deed
is claimed by a past or perfect tense of the speaker with a verb of handing over, arranging or recording; by presenting
what the player now has, or thanking for the purchase; or by a verdict ("It's done", "Registered"). Offers, questions,
conditions, plans and denials claim nothing.

What is not covered: deeds told in the third person ("The sword goes with you"), irony, other languages.
"""

from __future__ import annotations

import re

_DONE_VERBS = (
    "sold|given|handed|passed|delivered|sent|paid|charged|accepted|registered|recorded|logged|noted|marked|written|"
    "signed|stamped|entered|enrolled|enlisted|added|put|placed|set|booked|reserved|ordered|assigned|selected|started|begun|"
    "opened|closed|locked|unlocked|rung|equipped|fitted|strapped|attached|installed|repaired|mended|fixed|sharpened|"
    "poured|lent|loaned|granted|issued|arranged|prepared|packed|wrapped|cancelled|canceled|removed|activated|"
    "deployed|dispatched|calibrated|bookmarked|summoned|healed|blessed|finalized|finalised|completed|complete|secured|"
    "confirmed|sealed|applied|approved|provisioned|finished|bought|purchased"
)
_PAST_VERBS = (
    "sold|gave|handed|passed|delivered|sent|took|accepted|registered|recorded|logged|marked|wrote|signed|entered|enrolled|"
    "added|put|booked|reserved|ordered|assigned|started|began|opened|closed|locked|unlocked|rang|equipped|fitted|strapped|"
    "installed|repaired|mended|fixed|sharpened|poured|lent|granted|issued|arranged|packed|removed|activated|summoned"
)
_OBJECT = "you|it|them|him|her|your|the|that|this|those|these"
_DEEDS = re.compile(
    rf"""
      \b(?:i|we)(?:'ve|\ have)\ (?:just\ |now\ |already\ |also\ |gone\ ahead\ and\ )*(?:{_DONE_VERBS})\b
    | \b(?:i|we)\ (?:just|now|hereby)\ (?:{_PAST_VERBS}|sell|give|hand|grant|register|record|accept|start|open)\b
    | \bi\ (?:{_PAST_VERBS})\ (?:{_OBJECT})\b
    | \bi'm\ (?:handing|giving|passing|registering|recording|marking|adding|entering|signing|booking)\ (?:{_OBJECT})\b
    | \b(?:here\ (?:is|are)|here's|there's)\ your\b (?!\ (?:chance|choice|answer|problem|options?|best)\b)
    | \bhere\ (?:you\ (?:go|are)|it\ is|they\ are)\b
    | (?:'s|'re|\bis|\bare)\ (?:now\ |all\ |officially\ )*yours\b
    | \b(?:it|that|everything|all)(?:'s|\ is|\ has\ been)\ (?:now\ |all\ )*
        (?:done|settled|taken\ care\ of|{_DONE_VERBS})\b (?!\ by\b)
    | \b(?:has|have)\ (?:now\ |just\ |already\ )?been\ (?:{_DONE_VERBS})\b (?!\ by\b)
    | \byour\b[^,.]*?\b(?:is|are)\ (?:now\ |all\ |officially\ )*(?:{_DONE_VERBS}|active|underway|live)\b
    | \b(?:is|are)\ now\ (?:{_DONE_VERBS}|filled|active|underway|open|live)\b
    | \b(?:quest|order|act|session|mission|operation|journey|job)[ ]
        (?:has\ (?:now\ )?(?:begun|started)|begins\ now|is\ underway)\b
    | ^\W*(?:done|sold|agreed|deal|it's\ a\ deal|consider\ it\ done)\b\s*[.!,]?$
    | ^\W*(?:your\ )?(?:\w+\ ){{0,3}}(?:{_DONE_VERBS})\W*$
    | \bthank\ you\ for\ (?:your|the)\ (?:purchase|order|patronage|payment)\b
    | \byou(?:'ve|\ have)\ (?:now\ |just\ |officially\ )*(?:bought|purchased|acquired|been\ (?:{_DONE_VERBS}))\b
    | \byou(?:'re|\ are)\ (?:now\ |all\ |officially\ )*
        (?:equipped|registered|enrolled|enlisted|booked|assigned|signed\ up)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_NO_CLAIM = re.compile(
    r"\?\s*$|\b(?:if|when|once|unless|until|before|after|would|could|should|shall|might|may|can|cannot|can't|not|never|"
    r"haven't|hasn't|isn't|aren't|wasn't|didn't|won't|unable|failed|no longer|cannot be|to be|will|i'll|let me|"
    r"let's)\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[^.!?]+[.!?]*")
_CLAUSE = re.compile(r",|;|\u2014|--|\bbut\b|\band then\b")


def claimed_deeds(reply: str) -> list[str]:
    """The sentences of a reply that say that something was done, as they stand."""
    found = []
    for sentence in _SENTENCE.findall(reply.replace("\u2019", "'")):
        if sentence.rstrip().endswith("?"):
            continue
        if any(_DEEDS.search(clause.strip()) and not _NO_CLAIM.search(clause) for clause in _CLAUSE.split(sentence)):
            found.append(sentence.strip())
    return found
