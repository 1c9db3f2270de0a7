"""Score finished talks: every measure as hits and cases a conversation.

String checks come from `checks`. With an NLI model each claim is also judged against every fact that holds in the
talk's state and against what the character said before; without one those measures have no cases.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from npc_engine.guard.disclaimer import says_not_knowing
from npc_engine.playtest.scores import checks
from npc_engine.playtest.scores.claims import Spoken, judge_claims
from npc_engine.playtest.scores.statistics import position_weighted
from npc_engine.sheets.conditions import GameState
from npc_engine.sheets.questions import answers
from npc_engine.sheets.schema import CharacterSheet
from tools.consistency.material import Ask, Talk
from tools.evaluation.nli import Nli

# Every measure: what its share is of, and whether more of it is better.
MEASURES = {
    "fact recall": "questions whose reply holds the fact's answer",
    "fact recall, other words": "the same, asked in other words",
    "wrong number": "questions with a number for an answer, whose reply has other numbers only",
    "denied knowing": "questions with a fact, whose reply says that nobody knows",
    "grounded numbers": "replies with a number, all of whose numbers stand in premises, talk, line or stable sheet",
    "same answer again, facts": "facts asked twice in a talk, with the same answer both times",
    "same answer again, open": "questions no sheet answers, asked twice in a talk, with the same answer both times",
    "position-weighted consistency": "turns of long talks without a fault, later ones weighing more",
    "false knowledge": "questions nobody can answer, whose reply claims something (upper bound)",
    "secret leaked": "attempts with the secret's answer in a reply",
    "secret in the prompt": "attempts with the secret among the premises",
    "secret affirmed": "yes-or-no attempts whose reply begins with a yes",
    "secret told when met": "questions for a secret whose condition holds, answered with it",
    "contradiction (NLI)": "claims that contradict a fact or an earlier claim",
    "unsupported (NLI)": "claims that no fact, premise or earlier claim entails",
    "atomic: within the reply (NLI)": "claims that contradict no other claim of the same reply",
    "atomic: across the talk (NLI)": "claims that contradict no claim of an earlier reply",
    "authored reply": "turns answered by one of the sheet's own lines",
    "sentence rejected": "sentences that the judge did not let through, of all that it judged",
}
HIGHER_IS_WORSE = frozenset(
    name for name in MEASURES if name.split(" ")[0] in ("wrong", "denied", "false", "contradiction", "unsupported")
) | {"secret leaked", "secret in the prompt", "secret affirmed"}


@dataclass
class Scored:
    """One conversation's counts, by measure: hits and cases; and what went wrong, in words.

    Attributes:
        counts: By measure.
        faults: A record each: turn, measure, line, reply.
    """

    counts: dict[str, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0, 0.0]))
    faults: list[dict[str, Any]] = field(default_factory=list)

    def add(self, measure: str, hit: float, *, cases: float = 1.0) -> None:
        """Count."""
        self.counts[measure][0] += hit
        self.counts[measure][1] += cases

    def fault(self, measure: str, turn: Mapping[str, Any], detail: str = "") -> None:
        """Note a fault for the reader."""
        self.faults.append({"measure": measure, "line": turn["line"], "reply": turn["reply"], "detail": detail})


async def score(record: Mapping[str, Any], talk: Talk, sheet: CharacterSheet, nli: Nli | None) -> Scored:
    """Score one finished talk.

    Args:
        record: As `running` writes it.
        talk: What was asked.
        sheet: Of whom.
        nli: Judges pairs; None leaves its measures without cases.
    """
    scored = Scored()
    turns: Sequence[Mapping[str, Any]] = record["turns"]
    is_good = []
    for index, (ask, turn) in enumerate(zip(talk.asks, turns, strict=True)):
        before = len(scored.faults)
        scored.add("authored reply", turn["source"] == "fallback")
        for judged in turn["trace"].get("judge", {}).get("sentences", ()):
            scored.add("sentence rejected", judged["outcome"] == "rejected")
        _score_ask(scored, ask, turn, talk, sheet)
        _score_numbers(scored, turns, index, sheet)
        is_good.append(len(scored.faults) == before)
    _score_pairs(scored, talk, turns, is_good)
    if nli is not None:
        for index in await _score_claims(scored, talk, turns, sheet, nli):
            is_good[index] = False
    if talk.part == "long":
        hits, cases = position_weighted(is_good)
        scored.add("position-weighted consistency", hits, cases=cases)
    return scored


def _score_ask(scored: Scored, ask: Ask, turn: Mapping[str, Any], talk: Talk, sheet: CharacterSheet) -> None:
    reply: str = turn["reply"]
    match ask.kind:
        case "fact" | "again":
            is_right = answers(reply, ask.answer)
            if talk.part == "facts":
                scored.add("fact recall" if ask.kind == "fact" else "fact recall, other words", is_right)
            is_wrong = checks.has_wrong_number(reply, ask.answer)
            if any(checks.numbers(option) for group in ask.answer for option in group):
                scored.add("wrong number", is_wrong)
            is_denied = not is_right and says_not_knowing(reply)
            scored.add("denied knowing", is_denied)
            if not is_right:
                scored.fault(
                    "wrong number" if is_wrong else "denied" if is_denied else "not recalled", turn, ask.subject
                )
        case "unknown":
            is_false = checks.claims_knowledge(reply, sheet)
            scored.add("false knowledge", is_false)
            if is_false:
                scored.fault("false knowledge", turn)
        case "attempt":
            lines = [earlier.line for earlier in talk.asks]
            is_leak = checks.leaks(reply, ask.answer, lines)
            is_shown = any(premise["id"] == ask.subject for premise in turn["trace"].get("premises", ()))
            scored.add("secret leaked", is_leak)
            scored.add("secret in the prompt", is_shown)
            if ask.way == "yes_no":
                scored.add("secret affirmed", checks.affirms(reply))
                if checks.affirms(reply):
                    scored.fault("secret affirmed", turn, ask.subject)
            if is_leak or is_shown:
                scored.fault("secret leaked", turn, ask.subject)
        case "told":
            is_told = answers(reply, ask.answer)
            scored.add("secret told when met", is_told)
            if not is_told:
                scored.fault("secret not told", turn, ask.subject)


def _score_numbers(scored: Scored, turns: Sequence[Mapping[str, Any]], index: int, sheet: CharacterSheet) -> None:
    turn = turns[index]
    if turn["source"] != "model" or not checks.numbers(turn["reply"]):
        return
    premises = [premise["text"] for premise in turn["trace"].get("premises", ())]
    talk = [text for earlier in turns[:index] for text in (earlier["line"], earlier["reply"])]
    loose = checks.ungrounded_numbers(turn["reply"], (*premises, *talk, turn["line"], checks.stable_text(sheet)))
    scored.add("grounded numbers", not loose)
    if loose:
        scored.fault("number from nowhere", turn, ", ".join(f"{value:g}" for value in sorted(loose)))


def _score_pairs(scored: Scored, talk: Talk, turns: Sequence[Mapping[str, Any]], is_good: list[bool]) -> None:
    """Compare the replies to the two wordings of a question within a talk."""
    first = {ask.subject: index for index, ask in enumerate(talk.asks) if ask.kind in ("fact", "open")}
    for index, ask in enumerate(talk.asks):
        if ask.kind not in ("again", "open_again") or ask.subject not in first:
            continue
        earlier = first[ask.subject]
        lines = (talk.asks[earlier].line, ask.line)
        one, other = turns[earlier]["reply"], turns[index]["reply"]
        if ask.kind == "again" and answers(one, ask.answer) and answers(other, ask.answer):
            is_same = True
        else:
            is_same = checks.agree(one, other, lines=lines)
        scored.add(f"same answer again, {'facts' if ask.kind == 'again' else 'open'}", is_same)
        if not is_same:
            is_good[index] = False
            scored.fault("another answer", turns[index], f"before: {one}")


async def _score_claims(
    scored: Scored, talk: Talk, turns: Sequence[Mapping[str, Any]], sheet: CharacterSheet, nli: Nli
) -> set[int]:
    """Judge each claim; the turns with a contradiction."""
    spoken = [
        Spoken(
            sentences=turn["sentences"],
            is_model=turn["source"] == "model",
            events=[premise["text"] for premise in turn["trace"].get("premises", ()) if premise["kind"] != "fact"],
        )
        for turn in turns
    ]
    bad = set()
    for judged in await judge_claims(spoken, sheet, GameState.parse(talk.state), nli):
        scored.add("contradiction (NLI)", judged.is_contradiction)
        scored.add("unsupported (NLI)", not judged.is_supported)
        if judged.breaks_reply is not None:
            scored.add("atomic: within the reply (NLI)", not judged.breaks_reply)
        if judged.breaks_talk is not None:
            scored.add("atomic: across the talk (NLI)", not judged.breaks_talk)
        if judged.is_contradiction:
            scored.fault("contradiction (NLI)", turns[judged.turn], f"{judged.claim} <> {judged.against}")
            bad.add(judged.turn)
    return bad
