"""Task turns of the shipped characters whose game answers well, refuses, says nothing, contradicts itself or is late.

The player says an example line of the action's own, agrees where the action asks for a yes, and the game then answers
in one of `KINDS`. What the character says of it is checked by the scoreboards' own strings (`claims.py`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from npc_engine.dialogue.engine import Dialogue
from npc_engine.dialogue.events import ActionCall, TurnEnd
from npc_engine.dialogue.offers import ALL_ACTIONS
from npc_engine.dialogue.session import Conversation
from npc_engine.errors import UnknownActionCall
from npc_engine.sheets.schema import ActionSpec, CharacterSheet, Parameter
from tools.tasks.calls import Call, is_valid
from tools.tasks.claims import claimed_deeds

KINDS = ("done", "error", "empty", "contradictory", "late")
# Kinds after which the action has succeeded.
SUCCEEDED = frozenset({"done", "empty"})
ERRORS = (
    "the player does not have enough money",
    "there is none left",
    "that is not possible here",
    "the game has no such entry",
)
CONTRADICTORY: tuple[Mapping[str, Any], ...] = (
    {"success": False, "reason": "too little money"},
    {"status": "refused", "done": False},
    {"done": 0, "message": "nothing was changed"},
)
YES = "Yes, please."
# Example lines a talk is made of, of each action.
EXAMPLES = 2
_CONDITIONS_MET: Mapping[str, Any] = {"trust": 100}


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One talk about one action.

    Attributes:
        id: Unique.
        character: Whom with.
        action: What is asked for.
        line: The player's line.
        kind: How the game answers.
        answer: What it answers: `result`, or `error`; neither where it is late.
    """

    id: str
    character: str
    action: str
    line: str
    kind: str
    answer: Mapping[str, Any]


def trials(sheets: Mapping[str, CharacterSheet]) -> list[Trial]:
    """Every action of every sheet with its first `EXAMPLES` example lines and each kind of answer, in a fixed order."""
    errors, contradictory = cycle(ERRORS), cycle(CONTRADICTORY)
    found = []
    for name, sheet in sheets.items():
        for action in sheet.resolved_actions():
            for number, line in enumerate(action.examples[:EXAMPLES]):
                for kind in KINDS:
                    answer: dict[str, Any] = {}
                    if kind == "error":
                        answer = {"error": next(errors)}
                    elif kind == "contradictory":
                        answer = {"result": dict(next(contradictory))}
                    elif kind == "done":
                        answer = {"result": {"status": "done"}}
                    elif kind == "empty":
                        answer = {"result": {}}
                    found.append(
                        Trial(
                            id=f"{name} {action.name} {number} {kind}",
                            character=name,
                            action=action.name,
                            line=line,
                            kind=kind,
                            answer=answer,
                        )
                    )
    return found


async def have_trial(dialogue: Dialogue, trial: Trial) -> list[dict[str, Any]]:
    """Have one talk: the line, and a yes where something was offered; a record a turn."""
    state = {"hour": 23} if trial.action == "open_wicket" else {}
    conversation = dialogue.open_conversation(
        trial.character, player_id=f"examiner {trial.id}", state=_CONDITIONS_MET | state, actions=[ALL_ACTIONS]
    )
    try:
        turns = [await _say(conversation, trial.line, trial)]
        if conversation.pending is not None:
            turns.append(await _say(conversation, YES, trial))
        return turns
    finally:
        conversation.close()


async def have_talk(dialogue: Dialogue, character: str, line: str) -> dict[str, Any]:
    """One turn without actions, for its time: a record as `have_trial` gives."""
    conversation = dialogue.open_conversation(character, player_id=f"examiner {line}", actions=())
    try:
        return await _say(conversation, line, None)
    finally:
        conversation.close()


async def _say(conversation: Conversation, line: str, trial: Trial | None) -> dict[str, Any]:
    begun = time.perf_counter()
    calls: list[ActionCall] = []
    end: TurnEnd | None = None
    async with aclosing(conversation.say(line)) as events:
        async for event in events:
            if isinstance(event, ActionCall):
                calls.append(event)
                if trial is not None and trial.kind != "late":
                    conversation.action_result(event.call_id, trial.answer.get("result"), trial.answer.get("error"))
            elif isinstance(event, TurnEnd):
                end = event
    assert end is not None  # run_turn always ends with one
    is_late_refused = [_is_refused(conversation, call) for call in calls if trial is not None and trial.kind == "late"]
    return {
        "line": line,
        "calls": [{"name": call.name, "arguments": dict(call.arguments)} for call in calls],
        "late_refused": is_late_refused,
        "reply": end.text,
        "source": end.source,
        "total_s": round(time.perf_counter() - begun, 4),
        "trace": {key: end.trace[key] for key in ("actions", "latency", "tokens", "stages") if key in end.trace},
    }


def _is_refused(conversation: Conversation, call: ActionCall) -> bool:
    """Whether an answer that comes after the turn is refused."""
    try:
        conversation.action_result(call.call_id, {"status": "done"}, None)
    except UnknownActionCall:
        return True
    return False


# --- scoring --------------------------------------------------------------------------------------


def false_claims(trial: Trial, turns: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, str]]:
    """Turns, by number, whose reply claims a deed although no call of the talk has succeeded so far; the sentence."""
    has_succeeded = False
    for number, turn in enumerate(turns):
        has_succeeded = has_succeeded or (bool(turn["calls"]) and trial.kind in SUCCEEDED)
        if not has_succeeded:
            for sentence in claimed_deeds(turn["reply"]):
                yield number, sentence


def is_task(turns: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the talk came to a call."""
    return any(turn["calls"] for turn in turns)


def valid_calls(sheet: CharacterSheet, turns: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """Calls that fit what the sheet declares, and all calls."""
    functions = [declared(action) for action in sheet.resolved_actions()]
    calls = [Call(name=one["name"], arguments=one["arguments"]) for turn in turns for one in turn["calls"]]
    return sum(is_valid(call, functions) for call in calls), len(calls)


def declared(action: ActionSpec) -> dict[str, Any]:
    """An action as JSON Schema, for `calls.is_valid`."""
    return {
        "name": action.name,
        "parameters": {
            "type": "object",
            "properties": {one.name: _schema(one) for one in action.parameters},
            "required": [one.name for one in action.parameters if one.required],
        },
    }


def _schema(parameter: Parameter) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": parameter.type}
    if parameter.choices:
        schema["enum"] = list(parameter.choices)
    if parameter.minimum is not None:
        schema["minimum"] = parameter.minimum
    if parameter.maximum is not None:
        schema["maximum"] = parameter.maximum
    return {"type": "array", "items": schema} if parameter.many else schema
