"""Act: choose an action where the line is a task, have the game run it, and make its answer a premise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any

from npc_engine.actions.choose import MAX_CALL_TOKENS, Choice
from npc_engine.actions.confirm import is_yes
from npc_engine.dialogue.admission import flat
from npc_engine.dialogue.events import TurnEvent
from npc_engine.dialogue.grounding import Premise
from npc_engine.sheets.controls import Route

if TYPE_CHECKING:
    from npc_engine.dialogue.session import Turn

MAX_RESULT_CHARS = 400
_NOTHING_DONE = "Nothing was sold, given, started or done just now: do not say that it was."


async def act(turn: Turn) -> AsyncGenerator[TurnEvent, None]:
    """Call at most one action of the game.

    The character may only claim what the result says: success and failure become premises; where nothing was called
    on a task, the reply is told so.
    """
    with turn.trace.timed("act_s"):
        choice = await _choose(turn)
        action = choice.action
        if action is None:
            turn.trace.stage("act", "no action")
            if turn.route is Route.TASK:
                turn.directives.append(_NOTHING_DONE)
            return
        turn.trace.data["action"] = {"name": action.name, "arguments": choice.arguments}
        if action.confirm and choice is not turn.confirmed:
            turn.offer = choice
            turn.directives.append(f"Offer this and ask for a yes: {_wording(choice)}. {_NOTHING_DONE}")
            turn.trace.stage("act", f"{action.name}: waiting for the player's yes")
            return
        call, answer = turn.conversation.open_call(action.name, choice.arguments)
        try:
            yield call
            async with asyncio.timeout(turn.action_timeout_s):
                result = await turn.stop.race(answer)
            error = result.error
        except TimeoutError:
            result, error = None, "the game did not answer in time"
        finally:
            turn.conversation.close_call(call.call_id)
    if error is None:
        outcome = _as_text(result.result if result else None) or "done"
        text = f"I have just done this: {_wording(choice)}. Result: {outcome}."
        directive = action.on_success or "Say what was done."
    else:
        outcome = f"failed: {_short(error)}"
        text = f"I have just tried this: {_wording(choice)}. It {outcome}."
        directive = action.on_failure or "Say that it did not work, and why."
    turn.is_done = error is None
    turn.trace.data["action"] |= {"call_id": call.call_id, "outcome": outcome}
    turn.trace.stage("act", f"{action.name}: {'done' if error is None else 'failed'}")
    turn.results.append(Premise(id=f"action:{call.call_id}", text=text, source="game", kind="action_result", score=1.0))
    turn.directives.append(directive)


async def _choose(turn: Turn) -> Choice:
    pending, turn.conversation.pending = turn.conversation.pending, None
    if pending is not None and pending.action in turn.eligible_actions() and is_yes(turn.line):
        turn.confirmed = pending
        return pending
    if not turn.candidate_actions:
        return Choice(action=None)
    prompt = turn.character.prompts.action(
        turn.line,
        exchanges=turn.conversation.history.exchanges,
        actions=turn.candidate_actions,
        max_new_tokens=MAX_CALL_TOKENS,
    )
    return await turn.stop.race(
        turn.character.chooser.choose(prompt.ids, turn.candidate_actions, conversation_id=turn.conversation.id)
    )


def _wording(choice: Choice) -> str:
    name = choice.action.name.replace("_", " ") if choice.action else ""
    return f"{name} ({_as_text(choice.arguments)})" if choice.arguments else name


def _as_text(result: Mapping[str, Any] | None) -> str:
    if not result:
        return ""
    return _short("; ".join(f"{str(key).replace('_', ' ')}: {value}" for key, value in result.items()))


def _short(text: str) -> str:
    return flat(text)[:MAX_RESULT_CHARS]
