"""Have recorded dialogues with the engine, turn by turn, each after gold's turns before it.

Before every turn the conversation is given gold's past: what was said, what succeeded, which criteria add up, what was
offered. So turns are comparable, and one wrong turn spoils no other. With `calls_only` a turn ends after its calls.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import Any

from npc_engine.actions.choose import Choice
from npc_engine.actions.confirm import is_yes
from npc_engine.actions.ranking import ChoiceWeights
from npc_engine.actions.record import Record
from npc_engine.config import EngineConfig
from npc_engine.dialogue.acting import act
from npc_engine.dialogue.admission import admit
from npc_engine.dialogue.engine import Dialogue
from npc_engine.dialogue.events import ActionCall, TurnEnd
from npc_engine.dialogue.memory import Exchange, History, Statements
from npc_engine.dialogue.offers import ALL_ACTIONS
from npc_engine.dialogue.session import Conversation, Turn
from npc_engine.dialogue.turn import ground, route
from npc_engine.sheets.schema import ActionSpec
from tools.tasks.calls import ALIASES, Call
from tools.tasks.cpdc import Episode
from tools.tasks.game import answer

# What a turn's record keeps of its trace.
_KEPT = ("actions", "choice", "task_score", "premises", "route", "latency", "tokens", "error", "stopped")


@dataclass(frozen=True, kw_only=True)
class Refused:
    """The game does not do it."""

    error: str


Game = Callable[[Call], Mapping[str, Any] | Refused]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a record belongs to; records of another run are left alone.

    Attributes:
        part: Of the data.
        model: The dialogue model.
        guard: The guard strategy.
        calls_only: Whether speaking was skipped.
        perturb: What was done to the function lists; None for nothing.
        seed: Of conversations and perturbations.
        has_procedures: Whether the sheets have procedures.
        has_examples: Whether their actions have example lines.
        weights: What choices were made with.
    """

    part: str
    model: str
    guard: str
    calls_only: bool
    perturb: str | None
    seed: int
    has_procedures: bool
    has_examples: bool
    weights: ChoiceWeights

    def key(self, episode: Episode) -> dict[str, Any]:
        """What names a record."""
        return asdict(self) | {"episode": episode.id, "digest": digest(episode)}


def digest(episode: Episode) -> str:
    """Changes with anything in the dialogue or its function list."""
    return hashlib.sha256(json.dumps(asdict(episode), sort_keys=True).encode()).hexdigest()[:16]


async def have_episode(
    dialogue: Dialogue, character_id: str, episode: Episode, *, run: Run, config: EngineConfig, has_model: bool = True
) -> list[dict[str, Any]]:
    """Have one dialogue; a record a turn: calls, results, reply, times, what the trace says.

    Args:
        dialogue: The engine.
        character_id: The dialogue's character.
        episode: The dialogue.
        run: How to have it.
        config: As the engine was loaded with.
        has_model: Whether the model runs; without it a turn that carries out an agreed offer, which is no choice, is
            recorded as that call and not run.
    """
    conversation = dialogue.open_conversation(character_id, player_id=f"recorded {run.seed}", actions=[ALL_ACTIONS])
    try:
        turns = []
        for number in range(len(episode.turns)):
            give_past(conversation, episode, number, is_said=not run.calls_only)
            agreed = conversation.pending
            if not has_model and agreed is not None and is_yes(episode.turns[number].line):
                call = {
                    "name": agreed.action.name if agreed.action else "",
                    "arguments": agreed.arguments,
                    "result": {},
                }
                turns.append(_record(episode.turns[number].line, [call], None, {}, 0.0))
            elif run.calls_only:
                turns.append(await _call_only(conversation, episode, number, config))
            else:
                turns.append(await _say(conversation, episode, number))
        return turns
    finally:
        conversation.close()


def give_past(conversation: Conversation, episode: Episode, number: int, *, is_said: bool) -> None:
    """Set a conversation to where gold stands before a turn.

    Args:
        conversation: Whose history, record, statements and pending offer are replaced.
        episode: The recorded dialogue.
        number: Of the turn that is next.
        is_said: Whether it will be had by `say`, which counts turns.
    """
    coming = conversation.num_turns + is_said
    procedures = conversation.character.procedures
    by_name = {action.name: action for action in conversation.actions}
    history, record, pending = History(), Record(), None
    for back, turn in zip(range(number, 0, -1), episode.turns[:number], strict=True):
        history.add(Exchange(player=turn.line, reply=turn.reply))
        pending = None
        for call in turn.calls:
            action = by_name[call.name]
            arguments = _declared(action, call.arguments)
            procedures.use(action.name, arguments, record)
            record.succeeded(action.name, arguments, turn=coming - back)
            if action.accumulate:
                record.add_criteria(action.name, arguments, turn=coming - back)
            else:
                record.drop_criteria()
            offered = by_name.get(procedures.after(action.name) or "")
            if offered is not None:
                pending = Choice(action=offered, arguments=_shared(offered, arguments))
    conversation.history, conversation.record, conversation.pending = history, record, pending
    conversation.statements = Statements()


async def _call_only(conversation: Conversation, episode: Episode, number: int, config: EngineConfig) -> dict[str, Any]:
    line = episode.turns[number].line
    return await called(conversation, line, config=config, game=lambda call: answer(call, episode, number=number))


async def called(conversation: Conversation, line: str, *, config: EngineConfig, game: Game) -> dict[str, Any]:
    """Run a turn's stages up to its calls; nothing is said.

    Of the turn the conversation remembers its calls, and what was offered, as if it had been heard.

    Args:
        conversation: Where it takes place.
        line: What the player says.
        config: As the dialogue was loaded with.
        game: Answers each call.

    Returns:
        A record: line, calls with their results, `reply` None, `total_s`, what the trace says.
    """
    turn = Turn(conversation, line, config=config, seed=config.seed or 0)
    begun = time.perf_counter()
    admit(turn)
    await route(turn)
    await ground(turn)
    calls: list[dict[str, Any]] = []
    async with aclosing(act(turn)) as events:
        async for event in events:
            _answer(conversation, event, game, calls)
    conversation.pending = turn.offer
    return _record(line, calls, None, turn.trace.data, time.perf_counter() - begun)


async def _say(conversation: Conversation, episode: Episode, number: int) -> dict[str, Any]:
    line = episode.turns[number].line
    begun = time.perf_counter()
    calls: list[dict[str, Any]] = []
    end: TurnEnd | None = None
    async with aclosing(conversation.say(line)) as events:
        async for event in events:
            _answer(conversation, event, lambda call: answer(call, episode, number=number), calls)
            if isinstance(event, TurnEnd):
                end = event
    assert end is not None  # run_turn always ends with one
    return _record(line, calls, end, end.trace, time.perf_counter() - begun)


def _answer(conversation: Conversation, event: Any, game: Game, calls: list[dict[str, Any]]) -> None:
    """The game's side of an event: answers a call and keeps what was called."""
    if isinstance(event, ActionCall):
        result = game(Call(name=event.name, arguments=event.arguments))
        error = result.error if isinstance(result, Refused) else None
        found = {} if isinstance(result, Refused) else dict(result)
        calls.append({"name": event.name, "arguments": dict(event.arguments), "result": found})
        conversation.action_result(event.call_id, None if error else found, error)


def _record(
    line: str, calls: list[dict[str, Any]], end: TurnEnd | None, trace: Mapping[str, Any], total_s: float
) -> dict[str, Any]:
    return {
        "line": line,
        "calls": calls,
        "reply": None if end is None else end.text,
        "source": None if end is None else end.source,
        "total_s": round(total_s, 4),
        "trace": {name: trace[name] for name in _KEPT if name in trace},
    }


def _declared(action: ActionSpec, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Gold's arguments under the names that the action declares."""
    names = {ALIASES.get(one.name, one.name): one.name for one in action.parameters}
    return {names.get(ALIASES.get(key, key), key): value for key, value in arguments.items()}


def _shared(action: ActionSpec, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that an offered action takes over; a list of one where it takes one value."""
    found = {}
    for one in action.parameters:
        for key, value in arguments.items():
            if ALIASES.get(key, key) == ALIASES.get(one.name, one.name):
                values: Sequence[Any] = value if isinstance(value, list) else [value]
                found[one.name] = list(values) if one.many else values[0]
    return found
