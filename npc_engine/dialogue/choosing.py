"""Choose an action for a line: a shortlist by the encoder, names weighed with the model, arguments from the talk.

The order of the evidence is in `actions/ranking.py`; this module gathers it from the turn.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from npc_engine.actions.choose import MAX_CALL_TOKENS
from npc_engine.actions.narrowing import UNSAID, has_argument, is_free, missing, narrowed
from npc_engine.actions.ranking import rank
from npc_engine.actions.references import Talk, is_said, spelled_out
from npc_engine.actions.shortlist import Evidence, clauses, names_of, without_names
from npc_engine.dialogue.route import RoutedActions
from npc_engine.sheets.schema import ActionSpec

if TYPE_CHECKING:
    from npc_engine.dialogue.prompt import Prompt
    from npc_engine.dialogue.session import Turn

# Exchanges that "it" and "the second one" may reach back to.
MAX_EXCHANGES_BACK = 4
# Actions that the stable part does not list are described in the turn, some 30 tokens each, while the player waits.
MAX_READ_IN_TURN = 5
_LEAVES_SUBJECT = re.compile(
    r"\b(?:something (?:else|different)|never ?mind|forget (?:it|that|about)|start (?:over|again)|leave (?:it|that))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a line asks for.

    Attributes:
        action: None: nothing, or nothing that can be called.
        arguments: Valid for the action.
        obstacle: Why the action that was meant cannot be called yet, as a directive for the reply; None where none was.
    """

    action: ActionSpec | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    obstacle: str | None = None


NOTHING = Decision()


def talk_of(turn: Turn) -> Talk:
    """What the line may refer to, the greeting included."""
    exchanges = turn.conversation.history.exchanges[-MAX_EXCHANGES_BACK:]
    spoken = [text for exchange in exchanges for text in (exchange.player, exchange.reply) if text]
    return Talk(line=turn.line, before=(turn.conversation.greeting, *spoken))


async def shortlist(turn: Turn) -> RoutedActions:
    """The actions that the line may want; empty where it is no task.

    An action that is in play is on it however far the line is: it waits for an argument that was asked for, or its
    criteria add up and the line has another one.
    """
    conversation, weights = turn.conversation, turn.character.chooser.weights
    conversation.record.begin_turn(conversation.num_turns, is_reset=bool(_LEAVES_SUBJECT.search(turn.line)))
    eligible = turn.eligible_actions()
    if not eligible:
        return RoutedActions(evidence=(), score=0.0)
    names = names_of(eligible)
    said = [turn.line, *(clauses(turn.line) if weights.use_clauses else ())]
    if weights.use_context and (meant := spelled_out(talk_of(turn), names)):
        said.append(meant)
    queries = await turn.stop.race(turn.character.encoder.aembed([without_names(text, names) for text in said]))
    index = await turn.stop.race(conversation.action_index())
    routed = turn.character.router.actions(queries, eligible=eligible, index=index, weights=weights)
    wanted = [action for action in eligible if action.name == conversation.record.in_play]
    if wanted and (conversation.record.is_asked or has_argument(wanted[0], turn.line)):
        turn.in_play = wanted[0].name
        added = index.shortlist(queries, eligible=wanted, floor=-1.0, size=1)
        if any(one.action is wanted[0] for one in routed.evidence):
            return routed
        routed = RoutedActions(evidence=(*routed.evidence[: weights.shortlist_size - 1], *added), score=routed.score)
    return routed


async def choose(
    turn: Turn, evidence: Sequence[Evidence], *, done: Sequence[str] = (), used: Mapping[str, Sequence[Any]]
) -> Decision:
    """The best action of a shortlist with its arguments, if it is likely enough.

    Args:
        turn: The turn.
        evidence: The shortlist.
        done: What was done in this turn already, one sentence each; a further action then has a threshold of its own.
        used: Values of text arguments in this turn's calls, by action.
    """
    if not evidence:
        return NOTHING
    character, weights = turn.character, turn.character.chooser.weights
    listed = frozenset(character.prompts.listed(turn.conversation.actions))
    evidence = _readable(evidence, listed)
    wanted = {one.action.name for one in evidence}
    # In the order they are declared in, so that the prompt is the same from turn to turn.
    actions = [action for action in turn.conversation.actions if action.name in wanted]
    prompt = _prompt(turn, actions, done)
    model = None
    if weights.model:
        names = character.chooser.name_logprobs(
            prompt.ids, actions, conversation_id=turn.conversation.id, adapter=character.adapter
        )
        model = await turn.stop.race(names)
    ranked = rank(evidence, weights, model=model, in_play=turn.in_play)
    threshold = weights.follow_up_threshold if done else weights.threshold
    best = ranked[0] if ranked[0].probability >= threshold else None
    turn.trace.data["choice"] = {
        "chosen": best.action.name if best else "none",
        "threshold": threshold,
        "ranked": [one.as_trace for one in ranked],
    }
    if best is None:
        return NOTHING
    record = turn.conversation.record
    known = record.criteria if record.in_play == best.action.name else {}
    return await fill(turn, best.action, known=known, prompt=prompt, used=used.get(best.action.name, ()))


async def fill(
    turn: Turn, action: ActionSpec, *, known: Mapping[str, Any], prompt: Prompt | None = None, used: Sequence[Any] = ()
) -> Decision:
    """An action's arguments: from the talk where that settles them, else decoded.

    Args:
        turn: The turn.
        action: The action.
        known: Arguments that hold unless the line says otherwise.
        prompt: The prompt that the choice was made with; None makes one of this action alone.
        used: Values of earlier calls of this action in this turn.
    """
    weights, chooser = turn.character.chooser.weights, turn.character.chooser
    talk = talk_of(turn) if weights.use_references else Talk(line="")
    found = narrowed(action, talk, known=known, used=used, ask_missing=weights.ask_missing)
    if found.misfit is not None:
        return Decision(obstacle=f"This cannot be done: {found.misfit}. Say so.")
    prompt = prompt or _prompt(turn, [action], ())
    decoded = await turn.stop.race(
        chooser.arguments(
            prompt.ids, found.action, conversation_id=turn.conversation.id, adapter=turn.character.adapter
        )
    )
    if decoded is None:
        return NOTHING
    kept = {name: value for name, value in decoded.items() if name not in known or _is_new(action, name, value, talk)}
    merged = {**found.fixed, **kept}
    arguments = {
        one.name: merged[one.name]
        for one in action.parameters
        if one.name in merged and (one.required or merged[one.name] != UNSAID)
    }
    asked = missing(action, arguments, talk_of(turn)) if weights.ask_missing else ()
    if not asked:
        return Decision(action=action, arguments=arguments)
    absent = {one.name for one in asked}
    given = {name: value for name, value in arguments.items() if name not in absent}
    turn.conversation.record.add_criteria(action.name, given, turn=turn.conversation.num_turns, is_asked=True)
    turn.trace.data.setdefault("choice", {})["missing"] = [one.name for one in asked]
    return Decision(obstacle=f"Ask the player for this first: {'; '.join(one.description for one in asked)}.")


def _readable(evidence: Sequence[Evidence], listed: Set[ActionSpec]) -> Sequence[Evidence]:
    """The shortlist without what would have to be read in the turn beyond `MAX_READ_IN_TURN` actions, best first."""
    unread = [one for one in evidence if one.action not in listed][:MAX_READ_IN_TURN]
    return [one for one in evidence if one.action in listed or one in unread]


def _is_new(action: ActionSpec, name: str, value: Any, talk: Talk) -> bool:
    """Whether a decoded free text goes before the one that is known: only if the line says it."""
    return any(is_free(one) and one.name == name for one in action.parameters) and is_said(
        str(value), Talk(line=talk.line)
    )


def _prompt(turn: Turn, actions: Sequence[ActionSpec], done: Sequence[str]) -> Prompt:
    return turn.character.prompts.action(
        turn.line,
        exchanges=turn.conversation.history.exchanges,
        actions=actions,
        offered=turn.conversation.actions,
        done=done,
        max_new_tokens=MAX_CALL_TOKENS,
    )
