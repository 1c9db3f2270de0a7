"""`npc-engine sheet show`: a sheet as the engine reads it: what is where in the prompt, when, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from npc_engine.cli.sheet_models import TokenCounter, print_notes, token_counter
from npc_engine.sheets.conditions import Condition, GameState
from npc_engine.sheets.loader import load_sheet
from npc_engine.sheets.schema import ActionSpec, CharacterSheet, Fact, Procedure

if TYPE_CHECKING:
    from npc_engine.dialogue.prompt import PromptBuilder

Cost = Callable[[str], str]


def show(
    file: Annotated[Path, typer.Argument(help="A sheet file.")],
    model: Annotated[str | None, typer.Option(help="Dialogue model whose tokens count.")] = None,
    state: Annotated[
        str | None, typer.Option(help="A state of the game, as in: trust=60 place=smithy", metavar="KEY=VALUE...")
    ] = None,
    prompt: Annotated[
        bool, typer.Option("--prompt", help="Print the part of the prompt that is in every turn.")
    ] = False,
) -> None:
    """Show what of a sheet is always in the prompt, what is looked up, what is hidden until when, and the tokens."""
    sheet = load_sheet(file)
    given = _state(state)
    notes: list[str] = []
    from npc_engine.config import load_config

    counter = token_counter(load_config(model=model), notes)
    if prompt and counter is not None:
        builder = counter.prompts(sheet)
        typer.echo(counter.tokenizer.raw.decode(list(builder.stable_ids), skip_special_tokens=False))
    else:
        for line in view(sheet, counter, given):
            typer.echo(line)
    print_notes(notes)


def view(sheet: CharacterSheet, counter: TokenCounter | None, state: GameState | None) -> Iterator[str]:
    """The compiled view, line by line.

    Args:
        sheet: The sheet.
        counter: Counts tokens; None leaves the column empty.
        state: Says of each condition whether it holds in it; None says nothing.

    Raises:
        ConfigError: The stable part does not fit the model's context.
    """

    def cost(text: str) -> str:
        return f"{counter.count(text):5d}  " if counter else "  - "

    yield f"{sheet.identity.name} ({sheet.id}), {sheet.identity.role}"
    if counter:
        yield f"tokens are those of {counter.model}, context {counter.max_context_tokens}"
    yield ""
    yield from _always(sheet, counter, cost)
    plain = [fact for fact in sheet.facts if fact.when is None]
    hidden = [fact for fact in sheet.facts if fact.when is not None]
    yield f"\nLooked up when the player's line calls for it ({len(plain)}), at most four a turn"
    yield from (_fact(fact, cost, state) for fact in plain)
    yield f"\nHidden until its condition holds ({len(hidden)})"
    yield from (_fact(fact, cost, state) for fact in hidden)
    yield "\nPeople, shown when the line names them"
    yield from (f"{cost(one.attitude)}{one.name}, {one.kind}: {one.attitude}" for one in sheet.relationships)
    yield "\nKnown to be unknown, answered by an authored line"
    yield from (f"  - {topic.topic}: {', '.join(topic.keywords)}" for topic in sheet.unknown_topics)
    yield "\nActions, offered when the line is close to one of their examples"
    yield from (_action(action, cost, state) for action in sheet.actions)
    yield from (f"       {_procedure(procedure)}" for procedure in sheet.procedures)
    yield "\nNever in the prompt"
    yield f"  - fallbacks: {', '.join(_fallbacks(sheet))}; tests: {len(sheet.tests)}; mbti; tags; extensions"


def _always(sheet: CharacterSheet, counter: TokenCounter | None, cost: Cost) -> Iterator[str]:
    """What is in every turn, by section."""
    identity = sheet.identity
    yield "Always in the prompt"
    yield f"{cost(identity.social)}social: {identity.social}"
    yield f"{cost(identity.personal)}personal: {identity.personal}"
    yield f"{cost(identity.context)}context: {identity.context}"
    yield from (f"{cost(goal)}goal: {goal}" for goal in sheet.goals)
    yield f"{cost(sheet.voice.register_)}voice: {sheet.voice.register_}"
    bare = [example.character for example in sheet.voice.examples if not example.player]
    pairs = len(sheet.voice.examples) - len(bare)
    yield f"{cost(sheet.greeting)}greeting: {sheet.greeting}"
    if counter is None:
        yield f"  - {len(bare[:4])} bare voice lines, {pairs} example turns as room allows"
        return
    builder = counter.prompts(sheet)
    yield f"{cost(' '.join(bare[:4]))}{len(bare[:4])} bare voice lines"
    yield f"{cost(chr(10).join(builder.rules))}rules of the engine"
    yield from _totals(sheet, counter, builder)


def _totals(sheet: CharacterSheet, counter: TokenCounter, builder: PromptBuilder) -> Iterator[str]:
    budget = counter.budget(sheet)
    stable = len(builder.stable_ids)
    examples = stable - budget.frame_tokens
    yield f"{examples:5d}  {builder.num_examples} of {budget.num_authored} example turns: voice, unknown topics, people"
    yield f"{stable:5d}  together, of {budget.limit_tokens} allowed: computed once, then kept"
    longest = sorted((counter.count(fact.text) for fact in sheet.facts), reverse=True)[:4]
    left = counter.max_context_tokens - stable
    yield f"{sum(longest):5d}  at most for the four facts of a turn; {left} left for them, the talk and the reply"


def _fact(fact: Fact, cost: Cost, state: GameState | None) -> str:
    marks = ["secret"] if fact.secret else []
    marks += [fact.when.text + _holds(fact.when, state)] if fact.when else []
    shown = [", ".join(marks)] if marks else []
    shown += [fact.source] if fact.source != "sheet" else []
    return f"{cost(fact.text)}{fact.id}: {fact.text}" + (f"  [{'; '.join(shown)}]" if shown else "")


def _action(action: ActionSpec, cost: Cost, state: GameState | None) -> str:
    needs = f"  [{action.when.text}{_holds(action.when, state)}]" if action.when else ""
    asks = ", asks first" if action.confirm else ""
    arguments = ", ".join(f"{one.name}: {one.type}" for one in action.parameters)
    return f"{cost(action.description)}{action.name}({arguments}){asks}: {action.description}{needs}"


def _procedure(rule: Procedure) -> str:
    if rule.before is not None:
        return f"procedure: {rule.before} only after {rule.require}"
    return f"procedure: after {rule.after}, {rule.offer} is offered"


def _holds(condition: Condition, state: GameState | None) -> str:
    if state is None:
        return ""
    return ": holds" if condition.holds(state) else ": does not hold"


def _fallbacks(sheet: CharacterSheet) -> list[str]:
    return [f"{len(getattr(sheet.fallbacks, reason))} {reason}" for reason in type(sheet.fallbacks).model_fields]


def _state(text: str | None) -> GameState | None:
    from npc_engine.playtest.terminal import parse_state

    return None if text is None else GameState.parse(parse_state(text))
