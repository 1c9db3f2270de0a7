"""Hold a reply to what was expected of it; every miss is a sentence that a writer can act on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from npc_engine.playtest.scenarios.schema import Expected
from npc_engine.playtest.scores import checks
from npc_engine.playtest.scores.character_breaks import breaks
from npc_engine.playtest.talks import TalkRecord, TurnRecord
from npc_engine.sheets.action_spec import NO_ACTION
from npc_engine.sheets.questions import answers
from npc_engine.sheets.schema import CharacterSheet


@dataclass(frozen=True)
class Miss:
    """One thing that was expected and did not come.

    Attributes:
        turn: The line's number, from 1; 0 for the talk as a whole.
        check: The key of `Expected`.
        problem: In words.
    """

    turn: int
    check: str
    problem: str

    def __str__(self) -> str:
        return f"line {self.turn}: {self.problem}" if self.turn else self.problem


def misses(record: TalkRecord, sheet: CharacterSheet | None = None) -> list[Miss]:
    """Everything that did not come out as expected; empty where the talk is right.

    Args:
        record: The talk.
        sheet: The character's; without it authored lines are not known to be authored.
    """
    found = [
        miss
        for index, turn in enumerate(record.turns)
        for miss in turn_misses(turn.expected, record.turns[: index + 1], sheet)
    ]
    if record.error is not None:
        found.append(Miss(0, "error", f"the talk ended with {record.error}"))
    return found


def turn_misses(expected: Expected, turns: Sequence[TurnRecord], sheet: CharacterSheet | None = None) -> list[Miss]:
    """What the last of some turns lacks."""
    return [Miss(len(turns), check, problem) for check, problem in _misses(expected, turns, sheet)]


def _misses(expected: Expected, turns: Sequence[TurnRecord], sheet: CharacterSheet | None) -> Iterator[tuple[str, str]]:
    turn = turns[-1]
    yield from _of_premises(expected, turn)
    yield from _of_words(expected, turns, sheet)
    yield from _of_action(expected, turn)
    yield from _of_form(expected, turn)
    if expected.any_of:
        branches = [list(_misses(one, turns, sheet)) for one in expected.any_of]
        if all(branches):
            listed = "; or ".join(", ".join(problem for _, problem in branch) for branch in branches)
            yield "any_of", f"none of the alternatives holds: {listed}"


def _of_premises(expected: Expected, turn: TurnRecord) -> Iterator[tuple[str, str]]:
    shown = [premise["id"] for premise in turn.trace.get("premises", ())]
    for fact in expected.facts:
        if fact not in shown:
            yield "facts", f"{fact} is not among the premises ({', '.join(shown) or 'none'})"
    for fact in expected.no_facts:
        if fact in shown:
            yield "no_facts", f"{fact} is among the premises"


def _of_words(
    expected: Expected, turns: Sequence[TurnRecord], sheet: CharacterSheet | None
) -> Iterator[tuple[str, str]]:
    turn = turns[-1]
    for group in expected.says:
        if not answers(turn.reply, (group,)):
            yield "says", f"the reply has none of {' / '.join(group)}"
    for text in expected.never_says:
        if answers(turn.reply, ((text,),)):
            yield "never_says", f"the reply has {text!r}"
    if expected.tells_not and checks.leaks(turn.reply, expected.tells_not, [one.line for one in turns]):
        told = " and ".join(" / ".join(group) for group in expected.tells_not)
        yield "tells_not", f"the reply gives away: {told}"
    if expected.unknown and claims(turn, sheet):
        yield "unknown", "the reply claims to know"
    if expected.in_character:
        for words in breaks(turn.reply, line=turn.line, sheet=sheet):
            yield "in_character", f"no character says {words!r}"
    if expected.same_as is not None and expected.same_as < len(turns):
        earlier = turns[expected.same_as - 1]
        if not checks.agree(earlier.reply, turn.reply, lines=(earlier.line, turn.line)):
            yield "same_as", f"line {expected.same_as} was answered otherwise: {earlier.reply!r}"


def claims(turn: TurnRecord, sheet: CharacterSheet | None) -> bool:
    """Whether a reply to what nobody can answer claims something; see `checks.claims_knowledge`."""
    if turn.trace.get("unknown_topic") and turn.source == "fallback":
        return False
    return checks.claims_knowledge(turn.reply, sheet)


def _of_action(expected: Expected, turn: TurnRecord) -> Iterator[tuple[str, str]]:
    if expected.action is None:
        return
    called = [action.name for action in turn.actions]
    chosen = chosen_action(turn)
    if expected.action == NO_ACTION:
        if chosen is not None:
            yield "action", f"no action was expected, {chosen['name']} came"
        return
    if chosen is None or chosen["name"] != expected.action:
        yield "action", f"{expected.action} was expected, {chosen['name'] if chosen else 'no action'} came"
        return
    given = chosen.get("arguments", {})
    for name, value in expected.arguments.items():
        if not _is_same(given.get(name), value):
            yield "arguments", f"{expected.action}: {name} is {given.get(name)!r}, expected {value!r}"
    if expected.called is not None and (expected.action in called) is not expected.called:
        yield "called", f"{expected.action} was {'not ' if expected.called else ''}called"


def chosen_action(turn: TurnRecord) -> dict[str, Any] | None:
    """The action that a line led to, called or offered: its name and arguments; None for none."""
    if turn.actions:
        return {"name": turn.actions[0].name, "arguments": turn.actions[0].arguments}
    action = turn.trace.get("action")
    return dict(action) if isinstance(action, dict) and "name" in action else None


def _is_same(given: Any, wanted: Any) -> bool:
    if isinstance(given, str) and isinstance(wanted, str):
        return given.casefold().strip() == wanted.casefold().strip()
    # 1 == True in Python, and not on the wire.
    return isinstance(given, bool) is isinstance(wanted, bool) and given == wanted


def _of_form(expected: Expected, turn: TurnRecord) -> Iterator[tuple[str, str]]:
    if expected.source is not None and turn.source != expected.source:
        yield "source", f"worded by {turn.source}, expected {expected.source}"
    if expected.verdict is not None:
        rejected = sum(one["outcome"] == "rejected" for one in turn.trace.get("judge", {}).get("sentences", ()))
        if expected.verdict == "clean" and rejected:
            yield "verdict", f"the judge rejected {rejected} of its sentences"
        if expected.verdict == "rejected" and not rejected:
            yield "verdict", "the judge rejected nothing"
    words, sentences = len(turn.reply.split()), len(turn.sentences)
    limits: tuple[tuple[str, float | None, float, str], ...] = (
        ("max_words", expected.max_words, words, "words"),
        ("max_sentences", expected.max_sentences, sentences, "sentences"),
        ("max_first_sentence_s", expected.max_first_sentence_s, turn.first_sentence_s, "s to the first sentence"),
        ("max_total_s", expected.max_total_s, turn.total_s, "s in all"),
    )
    for name, limit, value, unit in limits:
        if limit is not None and value > limit:
            yield name, f"{value:g} {unit}, at most {limit:g} allowed"
