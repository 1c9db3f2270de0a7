"""One turn, from the player's line to the committed reply.

    player line -> admit -> route -> ground -> act? -> speak -> judge -> commit -> player hears it

Each stage is one function, here or one import away; all of them work on the `Turn` and note in its trace what they did.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from npc_engine.dialogue.acting import act
from npc_engine.dialogue.admission import admit
from npc_engine.dialogue.controls import INACTIVE_CONTROLS
from npc_engine.dialogue.events import TurnEnd, TurnEvent
from npc_engine.dialogue.extending import extension
from npc_engine.dialogue.memory import Exchange
from npc_engine.dialogue.route import talk_route
from npc_engine.dialogue.speaking import speak, speak_authored
from npc_engine.dialogue.stop import TurnStopped
from npc_engine.errors import NpcEngineError, Overloaded
from npc_engine.sheets.controls import Route
from npc_engine.sheets.schema import FallbackReason

if TYPE_CHECKING:
    from npc_engine.dialogue.session import Turn


async def run_turn(turn: Turn) -> AsyncGenerator[TurnEvent, None]:
    """Run the stages; yield what the player hears and what the game is asked; end with one TurnEnd.

    Raises:
        RequestError: The line is not admitted. Nothing was said and nothing is remembered.
    """
    admit(turn)
    try:
        await route(turn)
        await ground(turn)
        # Closed here, whatever happens: an abandoned turn must not hold a KV slot until it is collected.
        async with aclosing(act(turn)) as events:
            async for event in events:
                yield event
        async with aclosing(speak(turn)) as events:  # judges each sentence before it leaves
            async for event in events:
                yield event
    except TurnStopped as stop:
        turn.stopped(stop.reason)
        if stop.reason == "deadline" and not turn.reply.text:
            for event in speak_authored(turn, FallbackReason.ERROR):
                yield event
    except NpcEngineError as error:
        turn.failed(error)
        if not turn.reply.text:
            is_busy = isinstance(error, Overloaded)
            for event in speak_authored(turn, FallbackReason.BUSY if is_busy else FallbackReason.ERROR):
                yield event
    commit(turn)
    yield TurnEnd(
        text=turn.reply.text, finish_reason=turn.reply.finish_reason, source=turn.reply.source, trace=turn.trace.data
    )


async def route(turn: Turn) -> None:
    """Decide what the line wants as far as its actions tell; grounding tells the rest."""
    with turn.trace.timed("route_s"):
        turn.embedding = (await turn.stop.race(turn.character.encoder.aembed([turn.line])))[0]
        routed = turn.character.router.actions(turn.embedding, eligible=turn.eligible_actions())
        turn.candidate_actions = routed.actions
        turn.trace.data["task_score"] = round(routed.score, 3)


async def ground(turn: Turn) -> None:
    """Find the premises, and settle the route and the controls of this turn."""
    with turn.trace.timed("ground_s"):
        last = turn.conversation.history.last()
        turn.grounding = await turn.stop.race(
            turn.character.grounder.ground(
                turn.line,
                turn.embedding,
                said_before=tuple(text for text in (last.player, last.reply) if text) if last else (),
                state=turn.conversation.state,
                events=tuple(turn.conversation.events),
                statements=turn.conversation.statements.all,
            )
        )
    is_task = bool(turn.candidate_actions) or turn.conversation.pending is not None
    turn.route = Route.TASK if is_task else talk_route(turn.grounding.premises)
    turn.controls = turn.character.sheet.controls.at(turn.route)
    trace = turn.trace
    trace.grounding(turn.grounding)
    trace.data["controls"] = turn.controls.model_dump() | {"inactive": list(INACTIVE_CONTROLS)}
    trace.stage("route", f"{turn.route.value}; outside and attack are not told apart yet")
    trace.stage("ground", f"{len(turn.grounding.premises)} premises of {turn.grounding.num_candidates} candidates")


def commit(turn: Turn) -> None:
    """Remember what the player heard, what it adds to the character, and what was offered if that was heard."""
    turn.conversation.pending = turn.offer
    turn.conversation.history.add(Exchange(player=turn.line, reply=turn.reply.text))
    new = extension(turn.line, turn.reply.sentences, turn.grounding) if turn.reply.source == "model" else None
    if new is not None:
        turn.trace.data["extended"] = turn.conversation.statements.add(question=turn.line, text=new).id
    turn.trace.stage("commit", "kept in memory; durable memory is not built yet")
    turn.trace.mark("total_s")
