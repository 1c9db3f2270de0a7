"""Have talks over the protocol, several at once, and keep each when it is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from npc_engine.client.asynchronous import AsyncClient, AsyncConversation
from npc_engine.client.turn import ActionFailed
from npc_engine.errors import ConnectionLost, NpcEngineError, RequestError, RequestTimeout
from npc_engine.playtest.heard import HeardTurn
from npc_engine.playtest.results import Results
from npc_engine.playtest.scenarios.schema import Step
from npc_engine.playtest.scene import Scene
from npc_engine.playtest.scene.plan import SceneStep
from npc_engine.playtest.seeds import turn_seed
from npc_engine.playtest.talks import ActionRecord, Player, Talk, TalkRecord, TurnRecord, VoicedPlayer
from npc_engine.protocol.messages import ActionCall

PLAYER_NAME = "Traveller"
DONE = {"done": True}
# The prompt is most of a trace, and the sheets in the file's head say what it is made from.
_LEFT_OUT = ("prompt",)


@dataclass
class Pace:
    """How far a run is and how long the rest takes.

    Attributes:
        total: Turns planned of the talks that are to be had.
        done: Turns that are over; what a player leaves out of its plan counts when its talk is over.
        begun: When the first talk began, seconds of `time.perf_counter`.
    """

    total: int
    done: int = 0
    begun: float = field(default_factory=time.perf_counter)

    def left_s(self) -> float | None:
        """Seconds to go, at the pace so far; None before the first turn is over."""
        if not self.done:
            return None
        return (time.perf_counter() - self.begun) / self.done * (self.total - self.done)


async def have_talks(
    client: AsyncClient,
    talks: Sequence[Talk],
    *,
    results: Results,
    at_once: int,
    on_pace: Callable[[Pace], None] = lambda _: None,
) -> list[TalkRecord]:
    """Have the talks that `results` does not hold; each is appended when it is over.

    Args:
        client: Connected.
        talks: What to say.
        results: Takes the records.
        at_once: Talks side by side.
        on_pace: Told each time a turn or a talk is over.

    Returns:
        The records of all talks, in their order.

    Raises:
        ConnectionLost: The server is gone; what was finished is in `results`.
        RequestTimeout: It answers no more; likewise.
        ReportNotWritten: The disk is full; likewise.
    """
    kept = results.kept(talks)
    missing = [talk for talk in talks if (talk.id, talk.repeat) not in kept]
    # The longest first: a long talk that begins last would run alone.
    missing.sort(key=lambda talk: -talk.player.max_turns)
    pace = Pace(total=sum(talk.player.max_turns for talk in missing))
    gate = asyncio.Semaphore(at_once)

    async def one(talk: Talk) -> None:
        def on_turn() -> None:
            pace.done += 1
            on_pace(pace)

        async with gate:
            record = await _have(client, talk, on_turn)
        results.add(record)
        kept[record.key] = record
        pace.done += talk.player.max_turns - len(record.turns)
        on_pace(pace)

    try:
        async with asyncio.TaskGroup() as group:
            for talk in missing:
                group.create_task(one(talk))
    except* NpcEngineError as errors:
        raise _first(errors) from errors
    return [kept[talk.id, talk.repeat] for talk in talks]


def _first(errors: BaseExceptionGroup[Any]) -> NpcEngineError:
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


async def _have(client: AsyncClient, talk: Talk, on_turn: Callable[[], None]) -> TalkRecord:
    turns: list[TurnRecord] = []
    try:
        if talk.others:
            await _have_scene(client, talk, turns, on_turn)
        else:
            await _have_talk(client, talk, turns, on_turn)
    except (ConnectionLost, RequestTimeout):
        raise
    except RequestError as error:
        return talk.record(turns, error=f"{error.code}: {error.message}")
    return talk.record(turns)


async def _have_talk(client: AsyncClient, talk: Talk, turns: list[TurnRecord], on_turn: Callable[[], None]) -> None:
    game = _Game()
    conversation = await client.open(
        talk.character,
        player_id=_player_id(talk),
        player_name=PLAYER_NAME,
        state=talk.state.model_dump(mode="json", exclude_defaults=True),
        on_action=game.run,
    )
    async with conversation, _speaking(client, talk, greeting=conversation.greeting) as player:
        while (step := await player.next_step(turns)) is not None:
            game.step = step
            turns.append(await _turn(conversation, step, seed=turn_seed(talk.seed, len(turns))))
            on_turn()


async def _have_scene(client: AsyncClient, talk: Talk, turns: list[TurnRecord], on_turn: Callable[[], None]) -> None:
    """Each line has one answer: nobody goes on by himself, so that every reply is one that was asked for."""
    game = _Game()
    scene = Scene(
        client,
        player_id=_player_id(talk),
        player_name=PLAYER_NAME,
        state=talk.state.model_dump(mode="json", exclude_defaults=True),
        on_action=lambda _, call: game.run(call),
        max_chain=0,
    )
    async with scene, _speaking(client, talk, greeting="") as player:
        await scene.begin(talk.cast)
        while (step := await player.next_step(turns)) is not None:
            game.step = step
            async for _ in scene.say(step.say, seed=turn_seed(talk.seed, len(turns))):
                pass
            reply = scene.rounds[-1].replies[-1]
            if reply.error is not None:
                raise reply.error
            probe = step.probe if isinstance(step, SceneStep) else None
            update = {"speaker": reply.member, "probe": probe}
            turns.append(turn_record(reply.heard, step).model_copy(update=update))
            on_turn()


@asynccontextmanager
async def _speaking(client: AsyncClient, talk: Talk, *, greeting: str) -> AsyncIterator[Player]:
    if isinstance(talk.player, VoicedPlayer):
        async with talk.player.voiced(client, talk, greeting=greeting) as player:
            yield player
    else:
        yield talk.player


def _player_id(talk: Talk) -> str:
    """A player of its own, so that nothing remembered of another talk gets in."""
    return f"playtest {talk.digest} {talk.repeat}"


async def _turn(conversation: AsyncConversation, step: Step, *, seed: int) -> TurnRecord:
    changes: Mapping[str, Any] = step.state.model_dump(mode="json", exclude_unset=True) if step.state else {}
    if changes:
        await conversation.set_state(changes)
    if step.event:
        await conversation.world_event(step.event)
    heard = HeardTurn(line=step.say)
    begun = time.perf_counter()
    async for event in conversation.say(step.say, seed=seed):
        heard.count(event, time.perf_counter() - begun)
    return turn_record(heard, step, changes=changes)


def turn_record(heard: HeardTurn, step: Step, *, changes: Mapping[str, Any] | None = None) -> TurnRecord:
    """A turn that was heard to its end, as results keep it."""
    assert heard.end is not None  # a turn that does not end raises
    return TurnRecord(
        line=step.say,
        expected=step.expected,
        reply=heard.end.text,
        sentences=tuple(heard.sentences),
        source=heard.end.source,
        finish_reason=heard.end.finish_reason,
        first_sentence_s=round(heard.time_to_first_sentence_s, 4),
        total_s=round(heard.total_s, 4),
        actions=tuple(ActionRecord(name=one.name, arguments=dict(one.arguments)) for one in heard.actions),
        state=dict(changes or {}),
        event=step.event,
        trace={name: value for name, value in heard.trace.items() if name not in _LEFT_OUT},
    )


class _Game:
    """Answers actions as the step says."""

    def __init__(self) -> None:
        self.step: Step | None = None

    async def run(self, call: ActionCall) -> Mapping[str, Any]:
        if self.step is not None and self.step.refused is not None:
            raise ActionFailed(self.step.refused)
        result = self.step.result if self.step is not None else None
        return DONE if result is None else result
