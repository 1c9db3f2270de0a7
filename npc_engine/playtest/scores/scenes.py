"""Scores of scenes: does a character take over what another said, or who the other is, and does it tell what it heard?

String checks that a reader can follow, each with what it does not see; where an NLI model is given, it judges the same
replies for meaning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from npc_engine.guard.verdict import CONTRADICTION, ENTAILMENT, Nli
from npc_engine.guard.words import is_content, stems
from npc_engine.playtest.scene.plan import sheet_text
from npc_engine.playtest.scores import checks
from npc_engine.playtest.scores.claims import NLI_DECIDES, is_claim
from npc_engine.playtest.scores.scored import Scored
from npc_engine.playtest.talks import TalkRecord, TurnRecord
from npc_engine.sheets.fields import Answer
from npc_engine.sheets.questions import answers
from npc_engine.sheets.schema import CharacterSheet
from npc_engine.sheets.words import words

# A run of so many words that two say alike is not chance. Source: all lines of the twelve shipped sheets, pair by pair:
# shorter runs are common in lines of not knowing; runs of five words with three content words are shared only where
# both sheets tell of the same thing.
REPEATED_WORDS, REPEATED_CONTENT = 5, 3
_SENTENCE = re.compile(r"[^.!?…]+[.!?…]*")
_REPORTS = re.compile(r"\b(?:she|he|they|her|his|their)\b", re.I)
_I_AM = r"\b(?:I\s+am|I'm|(?:my|the)\s+name\s+is|(?:my|the)\s+name's|call(?:s|ed)?\s+me)\s+"
_BEFORE_NAME = r"(?:(?:only|just|simply|called|named|mistress|master|sister|brother|captain|mr|mrs|miss)\.?\s+)?"
_I_AM_A = re.compile(
    r"\b(?:I\s+am|I'm|I\s+work\s+as|I\s+serve\s+as)\s+(?:(?:only|just|but)\s+)?(?:an?|the|your)\s+(?P<what>[^.,;:!?]+)",
    re.I,
)
# What follows these says whose or where, not what.
_OF = re.compile(r"\b(?:of|in|at|from|who|that|which|with|for|to|beside|near)\b", re.I)
_NOT_A_TRADE = frozenset(stems("young old former good chief head daughter son widow town village"))
# A word with a capital within a sentence, that no quote or colon begins anew.
_CAPITAL = re.compile(r"(?<=[\w,;] )[A-Z][a-z]+(?:'s)?")


async def score_scene(scored: Scored, sheets: Mapping[str, CharacterSheet], *, nli: Nli | None = None) -> None:
    """Add the scores of a scene; does nothing for a talk with one character, or where the other's sheet is missing."""
    record = scored.record
    other = sheets.get(record.others[0]) if record.others else None
    if other is None:
        return
    own = sheets[record.character]
    told = next((turn for turn in record.turns if turn.probe == "told"), None)
    for number, turn in enumerate(record.turns, start=1):
        match turn.probe:
            case "conformity" if told is not None and any(map(is_claim, told.sentences)):
                _conformity(scored, turn, told, own, other, number)
            case "impersonation":
                claimed = impersonates(turn.reply, own=own, other=other)
                detail = f"claims to be {claimed}"
                scored.check("impersonation", not claimed, number, detail, bad_counts=True)
            case "hearsay" if told is not None:
                _hearsay(scored, turn, told, own, other, number)
    if nli is not None and told is not None:
        await _score_by_nli(scored, told, own, other, nli)


def _conformity(
    scored: Scored, turn: TurnRecord, told: TurnRecord, own: CharacterSheet, other: CharacterSheet, number: int
) -> None:
    is_taken = answers(told.reply, told.expected.says) and takes_over(turn.reply, told.expected.says, other=other)
    again = repeats(turn.reply, told.reply, known=(sheet_text(own), turn.line), other=other)
    detail = f"says as its own what {other.identity.name} said: {again or told.reply}"
    scored.check("conformity", not (is_taken or again), number, detail, bad_counts=True)


def _hearsay(
    scored: Scored, turn: TurnRecord, told: TurnRecord, own: CharacterSheet, other: CharacterSheet, number: int
) -> None:
    if answers(told.reply, told.expected.says):
        is_told = answers(turn.reply, told.expected.says)
        scored.check("hearsay", is_told, number, f"{other.identity.name} said: {told.reply}")
    if turn.source == "model":
        loose = invented(turn.reply, scored.record, number, own=own, other=other)
        scored.check("confabulation", not loose, number, f"from nowhere: {', '.join(loose)}", bad_counts=True)


def takes_over(reply: str, answer: Answer, *, other: CharacterSheet) -> bool:
    """Whether a reply gives an answer as the speaker's own: in sentences that do not report it.

    A sentence reports where it names the other, or says she, he or they. What is not covered: "Hesta is right, it is
    forty" counts as a report, and an answer in other words as none.
    """
    return answers(" ".join(_own_sentences(reply, other)), answer)


def repeats(reply: str, told: str, *, known: Sequence[str], other: CharacterSheet) -> str:
    """Words that the other said and a reply says again as the speaker's own; empty where there are none.

    A run of `REPEATED_WORDS` words, `REPEATED_CONTENT` of them content words, which is neither in the speaker's sheet
    nor in the question (`known`). Sentences that report do not count, as in `takes_over`.
    """
    said = words(told)
    runs = {tuple(said[at : at + REPEATED_WORDS]) for at in range(len(said) - REPEATED_WORDS + 1)}
    held = " | ".join(" ".join(words(text)) for text in known)
    for sentence in _own_sentences(reply, other):
        mine = words(sentence)
        for at in range(len(mine) - REPEATED_WORDS + 1):
            run = mine[at : at + REPEATED_WORDS]
            is_content_run = sum(map(is_content, run)) >= REPEATED_CONTENT
            if is_content_run and tuple(run) in runs and " ".join(run) not in held:
                return " ".join(run)
    return ""


def _own_sentences(reply: str, other: CharacterSheet) -> list[str]:
    names = {word for word in words(other.identity.name) if len(word) > 2}
    found = [part.strip() for part in _SENTENCE.findall(reply.replace("’", "'"))]
    return [one for one in found if not names & set(words(one)) and not _REPORTS.search(one)]


def impersonates(reply: str, *, own: CharacterSheet, other: CharacterSheet) -> str:
    """The other's name or trade as a reply claims it for its speaker; empty where it does not.

    A name counts after "I am", "call me" and the like, or where it stands alone at the reply's beginning; a trade after
    "I am the", by its words that are not of the speaker's own trade. What is not covered: claims in other forms ("the
    smith stands before you").
    """
    text = " ".join(reply.replace("’", "'").split())
    mine = set(words(own.identity.name))
    names = [word for word in other.identity.name.split() if words(word) and not set(words(word)) & mine]
    if names:
        name = "|".join(map(re.escape, names))
        found = re.search(rf"{_I_AM}{_BEFORE_NAME}(?:{name})\b(?!')", text, re.I)
        alone = re.match(rf"\W*(?:(?:{name})\s*)+(?:[.!]|$|,\s*(?:the|an?)\b)", text)
        if found or (alone and not mine & set(words(text))):
            return other.identity.name
    trade = (_trade(other.identity.role) - _trade(own.identity.role)) - _NOT_A_TRADE
    for match in _I_AM_A.finditer(text):
        if trade & _trade(match["what"]):
            return match["what"].strip()
    return ""


def _trade(role: str) -> frozenset[str]:
    """Stems of what somebody is, without of where or whom; possessives are somebody else's."""
    what = re.sub(r"\b\w+(?:-\w+)?'s\b", " ", _OF.split(role.replace("’", "'"), maxsplit=1)[0])
    return stems(what)


def invented(reply: str, record: TalkRecord, number: int, *, own: CharacterSheet, other: CharacterSheet) -> list[str]:
    """Numbers and names of a reply that neither what was said before it nor the speaker's sheet holds.

    Said before are the player's lines, this one too, and what the other said; the speaker's own replies are not: who
    invents twice invents. What is not covered: names at the beginning of a sentence, and claims without either.
    """
    heard = [turn.line for turn in record.turns[:number]]
    heard += [turn.reply for turn in record.turns[: number - 1] if turn.speaker == other.id]
    sources = [*heard, sheet_text(own), other.identity.name, other.greeting, "Traveller"]
    numbers = [f"{value:g}" for value in sorted(checks.ungrounded_numbers(reply, sources))]
    known = {word for source in sources for word in words(source)}
    names = [name for name in _CAPITAL.findall(reply.replace("’", "'")) if not set(words(name)) & known]
    return numbers + [name for name in dict.fromkeys(names) if not checks.numbers(name)]


async def _score_by_nli(scored: Scored, told: TurnRecord, own: CharacterSheet, other: CharacterSheet, nli: Nli) -> None:
    said = [one for one in told.sentences if is_claim(one)]
    if not said:
        return
    known = [fact.text for fact in own.facts]
    for number, turn in enumerate(scored.record.turns, start=1):
        if turn.source != "model" or turn.probe not in ("conformity", "hearsay"):
            continue
        if turn.probe == "conformity":
            claims = [one for one in _own_sentences(turn.reply, other) if is_claim(one)]
            taken = [
                claim
                for claim in claims
                if await _any(nli, said, claim, ENTAILMENT) and not await _any(nli, known, claim, ENTAILMENT)
            ]
            scored.check("conformity (NLI)", not taken, number, " ".join(taken), bad_counts=True)
        else:
            claims = [one for one in turn.sentences if is_claim(one)]
            wrong = [claim for claim in claims if await _any(nli, said, claim, CONTRADICTION)]
            scored.check("confabulation (NLI)", not wrong, number, " ".join(wrong), bad_counts=True)


async def _any(nli: Nli, premises: Sequence[str], hypothesis: str, column: int) -> bool:
    if not premises:
        return False
    scores = await nli.scores([(premise, hypothesis) for premise in premises])
    return bool((np.asarray(scores)[:, column] >= NLI_DECIDES).any())
