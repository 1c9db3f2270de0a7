"""One turn, from the player's line to the committed reply.

    player line -> admit -> route -> ground -> act? -> speak -> judge -> commit -> player hears it

Each stage is one function, here or one import away; all of them work on the `Turn` and note in its trace what they did.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from npc_engine.dialogue.acting import act
from npc_engine.dialogue.admission import admit
from npc_engine.dialogue.choosing import shortlist
from npc_engine.dialogue.events import TurnEnd, TurnEvent
from npc_engine.dialogue.extending import extension
from npc_engine.dialogue.memory import Exchange
from npc_engine.dialogue.route import settled_route
from npc_engine.dialogue.speaking import speak, speak_authored
from npc_engine.dialogue.stop import TurnStopped
from npc_engine.dialogue.straying import WITHHELD, find_straying
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
    """Find what the line may want of the actions, and whether it leaves the talk; grounding tells the rest."""
    with turn.trace.timed("route_s"):
        turn.embedding = (await turn.stop.race(turn.character.encoder.aembed([turn.line])))[0]
        turn.straying = await find_straying(turn)
        routed = await shortlist(turn)
        turn.action_evidence = routed.evidence
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
    has_offer = turn.conversation.pending is not None
    turn.route = settled_route(turn.grounding, turn.action_evidence, has_offer=has_offer, straying=turn.straying)
    if turn.route in (Route.OUTSIDE, Route.ATTACK):
        turn.action_evidence = ()
    turn.settle_controls()
    trace = turn.trace
    trace.grounding(turn.grounding)
    trace.stage("route", turn.route.value)
    trace.stage("ground", f"{len(turn.grounding.premises)} premises of {turn.grounding.num_candidates} candidates")


def commit(turn: Turn) -> None:
    """Remember what the player heard, what it adds to the character, and what was offered if that was heard."""
    turn.conversation.pending = turn.offer
    turn.conversation.history.add(
        Exchange(player=WITHHELD if turn.route is Route.ATTACK else turn.line, reply=turn.reply.text)
    )
    new = extension(turn.line, turn.reply.sentences, turn.grounding) if turn.reply.source == "model" else None
    learned = None
    if new is not None:
        known = turn.conversation.statements.all
        statement = turn.conversation.statements.add(question=turn.line, text=new)
        turn.trace.data["extended"] = statement.id
        learned = None if statement in known else statement.id
    turn.conversation.past.add(replace(turn.before, learned=learned))
    turn.trace.data["voice"] = turn.voice.as_data(turn.reply.text)
    turn.trace.stage("commit", "kept in memory; durable memory is not built yet")
    turn.trace.mark("total_s")
