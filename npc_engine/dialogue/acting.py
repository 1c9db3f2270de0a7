"""Act: choose actions where the line is a task, have the game run them, and make its answers premises.

What may be called, and in which order, is settled by the conversation's record and the sheet's procedures, never by
what the model or the player says about it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from npc_engine.actions.arguments import problem_of
from npc_engine.actions.choose import Choice
from npc_engine.actions.confirm import is_yes
from npc_engine.actions.references import named
from npc_engine.actions.shortlist import clauses
from npc_engine.dialogue.admission import flat
from npc_engine.dialogue.choosing import NOTHING, Decision, choose, fill
from npc_engine.dialogue.events import TurnEvent
from npc_engine.dialogue.grounding import Premise
from npc_engine.dialogue.route import TASK_COSINE, talk_route
from npc_engine.sheets.controls import Route
from npc_engine.sheets.schema import ActionSpec

if TYPE_CHECKING:
    from npc_engine.dialogue.session import Turn

# Calls of one turn: enough to look a thing up, do it, and do one thing more.
MAX_CALLS = 3
MAX_RESULT_CHARS = 400
_NOTHING_DONE = "Nothing was sold, given, started or done just now: do not say that it was."
_TIMEOUT = "the game did not answer in time"


async def act(turn: Turn) -> AsyncGenerator[TurnEvent, None]:
    """Call up to `MAX_CALLS` actions of the game.

    The character may only claim what the results say: success and failure become premises; where nothing was called
    on a task, the reply is told so.
    """
    with turn.trace.timed("act_s"):
        acting = _Acting(turn)
        async with aclosing(acting.run()) as events:
            async for event in events:
                yield event


class _Acting:
    """One turn's actions."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._conversation = turn.conversation
        self._procedures = turn.character.procedures
        self._calls: list[dict[str, Any]] = turn.trace.data.setdefault("actions", [])
        self._was_pending = turn.conversation.pending is not None
        self._num_calls = 0
        self._done: list[str] = []
        self._outcomes: list[str] = []
        self._used: dict[str, list[Any]] = {}
        self._lines: list[str] = []

    async def run(self) -> AsyncGenerator[TurnEvent, None]:
        turn = self._turn
        decision = await self._first()
        while decision.action is not None:
            before = len(self._done)
            async with aclosing(self._carry_out(decision.action, decision.arguments)) as events:
                async for event in events:
                    yield event
            is_open = len(self._done) > before and turn.offer is None and self._num_calls < MAX_CALLS
            decision = await self._next() if is_open else NOTHING
        if decision.obstacle is not None:
            turn.directives.append(decision.obstacle)
            self._outcomes.append("an argument is missing or does not fit")
        is_far = turn.trace.data["task_score"] < TASK_COSINE and not self._was_pending
        if turn.route is Route.TASK and not self._outcomes and is_far:
            # Close enough to be looked at, and found to be talk.
            turn.route = talk_route(turn.grounding.premises)
            turn.settle_controls()
            turn.trace.stage("route", f"{turn.route.value}, since no action was wanted")
        if not turn.results and turn.offer is None and turn.route is Route.TASK:
            turn.directives.append(_NOTHING_DONE)
        if decision.obstacle is None:
            turn.done_line = self._done_line()
        turn.trace.stage("act", "; ".join(self._outcomes) or "no action")

    # --- which action -----------------------------------------------------------------------------

    async def _first(self) -> Decision:
        turn, conversation = self._turn, self._conversation
        pending, conversation.pending = conversation.pending, None
        if pending is not None and pending.action in turn.eligible_actions() and is_yes(turn.line):
            turn.confirmed = pending
            return Decision(action=pending.action, arguments=pending.arguments)
        return await choose(turn, turn.action_evidence, used=self._used)

    async def _next(self) -> Decision:
        """What else the line asks for: in another part of it, or the same of another thing."""
        is_compound = any(clauses(self._turn.line))
        weights = self._turn.character.chooser.weights
        names = {action.name for action in self._turn.eligible_actions()}
        further = [
            one
            for one in self._turn.action_evidence
            if one.example >= weights.follow_up_floor
            and one.action.name in names
            and self._is_further(one.action, is_compound=is_compound)
        ]
        return await choose(self._turn, further, done=self._done, used=self._used)

    def _is_further(self, action: ActionSpec, *, is_compound: bool) -> bool:
        """Whether a compound line may ask for an action not called yet, or the line names another value for it."""
        if all(call["name"] != action.name for call in self._calls):
            return is_compound
        line = self._turn.line
        used = self._used.get(action.name, [])
        return any(
            value not in used
            for one in action.parameters
            if one.type == "string" and one.choices and not one.many
            for value in named(line, [str(choice) for choice in one.choices])
        )

    # --- one action, and what has to come first -----------------------------------------------------

    async def _carry_out(self, action: ActionSpec, arguments: dict[str, Any]) -> AsyncGenerator[TurnEvent, None]:
        """Call an action after all that its procedures require; stop where something stands against it."""
        while self._num_calls < MAX_CALLS:
            step = await self._due(action, arguments)
            if step is None:
                return
            due, its_arguments, is_offer = step
            if is_offer:
                self._offer(due, its_arguments)
                return
            before = len(self._done)
            async with aclosing(self._call(due, its_arguments)) as events:
                async for event in events:
                    yield event
            if len(self._done) == before:
                if due is not action:
                    self._refuse(action, arguments, f"{_spaced(due.name)} did not succeed")
                return
            if due is action:
                await self._offer_next(action, its_arguments)
                return
        self._refuse(action, arguments, "it takes more calls than one turn allows")

    async def _due(
        self, action: ActionSpec, arguments: dict[str, Any]
    ) -> tuple[ActionSpec, dict[str, Any], bool] | None:
        """What is next on the way to an action: an action, its arguments, and whether it is only offered."""
        target, its_arguments = action, arguments
        while True:
            is_agreed = self._turn.confirmed is not None and self._turn.confirmed == Choice(
                action=target, arguments=its_arguments
            )
            step = self._procedures.before(target, its_arguments, self._conversation.record, is_agreed=is_agreed)
            if step.action == target.name:
                return target, its_arguments, step.kind == "offer"
            required = next((one for one in self._turn.eligible_actions() if one.name == step.action), None)
            if required is None:
                self._refuse(action, arguments, f"{_spaced(step.action)} comes first and cannot be done now")
                return None
            decision = await fill(self._turn, required, known=_shared(required, step.arguments))
            if decision.action is None:
                self._turn.directives.append(decision.obstacle or _NOTHING_DONE)
                self._outcomes.append(f"{required.name}: an argument is missing")
                return None
            target, its_arguments = required, decision.arguments

    def _offer(self, action: ActionSpec, arguments: dict[str, Any]) -> None:
        """Offer an action; the reply is the offer, and only a yes to it makes the call."""
        self._turn.offer = Choice(action=action, arguments=arguments)
        self._turn.directives.append(f"Offer this and ask for a yes: {_wording(action, arguments)}. {_NOTHING_DONE}")
        self._note(action, arguments, "offered")
        self._outcomes.append(f"{action.name}: waiting for the player's yes")

    async def _offer_next(self, action: ActionSpec, arguments: dict[str, Any]) -> None:
        """After a success, offer what a procedure says: in the sheet's words, after the reply."""
        name = self._procedures.after(action.name)
        offered = next((one for one in self._turn.eligible_actions() if one.name == name), None)
        if offered is None:
            return
        decision = await fill(self._turn, offered, known=_shared(offered, arguments))
        line = offered.offer_line(decision.arguments) if decision.action is not None else None
        if line is None:
            return
        self._turn.offer = Choice(action=offered, arguments=decision.arguments)
        self._turn.closing = line
        self._note(offered, decision.arguments, "offered", is_main=False)
        self._outcomes.append(f"{offered.name}: offered after {action.name}")

    def _refuse(self, action: ActionSpec, arguments: dict[str, Any], why: str) -> None:
        """Call nothing, and have the reply say so."""
        self._note(action, arguments, "refused")["outcome"] = why
        wording = _wording(action, arguments)
        self._turn.directives.append(f"This was not done: {wording}, because {why}. Do not say that it was done.")
        self._outcomes.append(f"{action.name}: refused, {why}")

    async def _call(self, action: ActionSpec, arguments: dict[str, Any]) -> AsyncGenerator[TurnEvent, None]:
        """Have the game run one action; a success is added to `_done`."""
        turn, conversation, record = self._turn, self._conversation, self._conversation.record
        # The game's state may have changed while the action was chosen.
        if all(one.name != action.name for one in turn.eligible_actions()):
            self._refuse(action, arguments, "it is not possible any more")
            return
        if (problem := problem_of(action, arguments)) is not None:
            self._refuse(action, arguments, problem)
            return
        self._num_calls += 1
        scope = f"{conversation.id}:{conversation.num_turns}"
        key = record.key(scope, action.name, arguments)
        call, answer = conversation.open_call(action, arguments, idempotency_key=key)
        # Until the game answers, nobody knows whether it has run the action.
        record.unanswered(action.name, arguments, key)
        entry = self._note(action, arguments, "timeout") | {"call_id": call.call_id, "outcome": f"failed: {_TIMEOUT}"}
        self._replace(entry)
        try:
            yield call
            async with asyncio.timeout(turn.action_timeout_s):
                result = await turn.stop.race(answer)
            error = result.error
            record.answered(action.name, arguments)
        except TimeoutError:
            result, error = None, _TIMEOUT
        finally:
            conversation.close_call(call.call_id)
        wording = _wording(action, arguments)
        if error is None:
            outcome = _as_text(result.result if result else None) or "done"
            text = f"I have just done this: {wording}. Result: {outcome}."
            directive = action.on_success or "Say what was done."
            self._succeeded(action, arguments)
            self._done.append(f"{wording}. Result: {outcome}.")
            self._lines.append(self._written(action, arguments, result.result if result else None))
        else:
            outcome = f"failed: {_short(error)}"
            text = f"I have just tried this: {wording}. It {outcome}."
            directive = action.on_failure or "Say that it did not work, and why."
        status = "done" if error is None else ("timeout" if result is None else "failed")
        self._replace(entry | {"status": status, "outcome": outcome})
        self._outcomes.append(f"{action.name}: {'done' if error is None else 'failed'}")
        turn.results.append(
            Premise(id=f"action:{call.call_id}", text=text, source="game", kind="action_result", score=1.0)
        )
        turn.directives.append(directive)

    def _done_line(self) -> str | None:
        """The sheet's own words, where they say all of what the line asked for and it was all done."""
        is_all_done = all(call["status"] in ("done", "offered") for call in self._calls)
        is_all_asked = len(self._lines) > 1 or not any(clauses(self._turn.line))
        return " ".join(self._lines) if self._lines and all(self._lines) and is_all_done and is_all_asked else None

    def _written(self, action: ActionSpec, arguments: Mapping[str, Any], result: Mapping[str, Any] | None) -> str:
        """The sheet's own line for a success; empty where it has none that fits."""
        values = {key: flat(value) if isinstance(value, str) else value for key, value in (result or {}).items()}
        return self._turn.pick(action.done_lines({**values, **arguments}))

    def _succeeded(self, action: ActionSpec, arguments: dict[str, Any]) -> None:
        turn, record = self._turn, self._conversation.record
        turn.done_actions.append(action.name)
        self._procedures.use(action.name, arguments, record)
        record.succeeded(action.name, arguments, turn=self._conversation.num_turns)
        if action.accumulate:
            record.add_criteria(action.name, arguments, turn=self._conversation.num_turns)
        else:
            record.drop_criteria()
        texts = [value for value in arguments.values() if isinstance(value, str)]
        self._used.setdefault(action.name, []).extend(texts)

    # --- the trace ------------------------------------------------------------------------------------

    def _note(
        self, action: ActionSpec, arguments: dict[str, Any], status: str, *, is_main: bool = True
    ) -> dict[str, Any]:
        """Add a call to the trace; the turn's last one is also its `action`."""
        entry: dict[str, Any] = {"name": action.name, "arguments": arguments, "status": status}
        self._calls.append(entry)
        if is_main:
            self._turn.trace.data["action"] = {"name": action.name, "arguments": arguments}
        return entry

    def _replace(self, entry: dict[str, Any]) -> None:
        """Put what is known now in the place of the last call's entry."""
        self._calls[-1] = entry
        self._turn.trace.data["action"] = {key: value for key, value in entry.items() if key != "status"}


def _shared(action: ActionSpec, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that another action has as well."""
    names = {one.name for one in action.parameters}
    return {name: value for name, value in arguments.items() if name in names}


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def _wording(action: ActionSpec, arguments: Mapping[str, Any]) -> str:
    return f"{_spaced(action.name)} ({_as_text(arguments)})" if arguments else _spaced(action.name)


def _as_text(result: Mapping[str, Any] | None) -> str:
    """A result in one short line, however large it is."""
    parts: list[str] = []
    size = 0
    for key, value in _flattened(result or {}):
        parts.append(f"{_spaced(key)}: {value}"[:MAX_RESULT_CHARS])
        size += len(parts[-1])
        if size > MAX_RESULT_CHARS:
            break
    return _short("; ".join(parts))


def _flattened(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in result.items():
        if isinstance(value, Mapping):
            yield from _flattened(value)
        elif isinstance(value, (list, tuple)):
            yield str(key), ", ".join(_as_text(one) if isinstance(one, Mapping) else str(one) for one in value[:20])
        else:
            yield str(key), str(value)


def _short(text: str) -> str:
    return flat(text[: 4 * MAX_RESULT_CHARS])[:MAX_RESULT_CHARS]
