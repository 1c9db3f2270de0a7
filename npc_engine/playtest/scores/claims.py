"""Judge what a character claims with an NLI model: against the sheet, against itself, sentence by sentence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from npc_engine.guard.disclaimer import says_not_knowing
from npc_engine.guard.verdict import CONTRADICTION, ENTAILMENT, Nli
from npc_engine.sheets.conditions import GameState
from npc_engine.sheets.schema import CharacterSheet

# An NLI model says contradiction, or entailment, where its probability is the largest that can be outvoted by nothing.
NLI_DECIDES = 0.5


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """What a turn said.

    Attributes:
        sentences: Of the reply.
        is_model: Whether the model worded it: authored lines bind the character, and are not judged.
        events: Texts of its premises that are no facts of the sheet.
    """

    sentences: Sequence[str]
    is_model: bool
    events: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What came of one claim.

    Attributes:
        turn: The turn's index.
        claim: The sentence.
        breaks_fact: It contradicts the sheet or an event.
        breaks_talk: It contradicts an earlier claim of the talk; None where there is none.
        breaks_reply: It contradicts another claim of the same reply; None where there is none.
        is_supported: A fact, event or earlier claim entails it.
        against: What it contradicts most.
    """

    turn: int
    claim: str
    breaks_fact: bool
    breaks_talk: bool | None
    breaks_reply: bool | None
    is_supported: bool
    against: str

    @property
    def is_contradiction(self) -> bool:
        """Whether it contradicts a fact, an event or an earlier claim."""
        return self.breaks_fact or bool(self.breaks_talk)


async def judge_claims(turns: Sequence[Spoken], sheet: CharacterSheet, state: GameState, nli: Nli) -> list[Judged]:
    """Judge each claim of a talk, in order.

    Args:
        turns: What was said.
        sheet: Whose talk it is.
        state: The game's state, which says which facts hold.
        nli: Judges pairs.
    """
    facts = [fact.text for fact in sheet.facts if fact.when is None or fact.when.holds(state)]
    who = sheet.identity
    about = [f"I am {who.name}, {who.role}.", *_sentences(f"{who.social} {who.personal} {who.context}")]
    said: list[str] = []
    judged: list[Judged] = []
    for index, turn in enumerate(turns):
        claims = [sentence for sentence in turn.sentences if is_claim(sentence)]
        if turn.is_model:
            known = [*facts, *about, *turn.events]
            for place, claim in enumerate(claims):
                others = claims[:place] + claims[place + 1 :]
                judged.append(await _judge(nli, index, claim, known=known, said=said, others=others))
        said += claims
    return judged


async def _judge(
    nli: Nli, turn: int, claim: str, *, known: Sequence[str], said: Sequence[str], others: Sequence[str]
) -> Judged:
    premises = [*known, *said, *others]
    scores: NDArray[np.float32] = (
        await nli.scores([(premise, claim) for premise in premises]) if premises else np.zeros((0, 3), np.float32)
    )
    ends = np.cumsum([len(known), len(said)])
    breaks = [bool((part[:, CONTRADICTION] >= NLI_DECIDES).any()) for part in np.split(scores, ends)]
    earlier = scores[: ends[1]]
    return Judged(
        turn=turn,
        claim=claim,
        breaks_fact=breaks[0],
        breaks_talk=breaks[1] if said else None,
        breaks_reply=breaks[2] if others else None,
        is_supported=bool((earlier[:, ENTAILMENT] >= NLI_DECIDES).any()),
        against=premises[int(earlier[:, CONTRADICTION].argmax())] if len(earlier) else "",
    )


def is_claim(sentence: str) -> bool:
    """Whether a sentence says that something is so: no question, no "I do not know", more than two words."""
    return not sentence.rstrip().endswith("?") and not says_not_knowing(sentence) and len(sentence.split()) > 2


def _sentences(text: str) -> list[str]:
    return [sentence.strip() for sentence in re.findall(r"[^.!?]+[.!?]+", text)]
