"""What spans a sheet's sections: unique ids, references that lead somewhere, secrets that can be kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from npc_engine.sheets.problems import near_miss
from npc_engine.sheets.schema import (
    ACTION_KEY,
    CONFIRM,
    NO_ACTION,
    PLACEHOLDER,
    ActionSpec,
    CharacterSheet,
    Procedure,
)
from npc_engine.sheets.yaml_reader import KeyPath


@dataclass(frozen=True)
class Finding:
    """Something wrong at a key path of the sheet's own file."""

    path: KeyPath
    problem: str
    hint: str = ""


def check_references(sheet: CharacterSheet, fact_path: Callable[[int], KeyPath]) -> Iterator[Finding]:
    """Everything wrong between the sections of a sheet whose lore is merged.

    Args:
        sheet: The sheet; each section alone is already valid.
        fact_path: Where `sheet.facts[i]` comes from in the sheet's file: its own entry, or the lore reference.
    """
    fact_ids = [fact.id for fact in sheet.facts]
    yield from _unique(((fact_path(index), fact_id) for index, fact_id in enumerate(fact_ids)), "fact id")
    yield from _unique(((("unknown_topics", i), topic.topic) for i, topic in enumerate(sheet.unknown_topics)), "topic")
    yield from _unique(((("relationships", i), one.name) for i, one in enumerate(sheet.relationships)), "relationship")
    yield from _unique(((("actions", i), action.name) for i, action in enumerate(sheet.actions)), "action")
    yield from _unique(((("tests", i), test.name) for i, test in enumerate(sheet.tests)), "test")
    for index, action in enumerate(sheet.actions):
        names = [(("actions", index, "parameters", i), one.name) for i, one in enumerate(action.parameters)]
        yield from _unique(names, "parameter")
        yield from _reserved(index, action)
        yield from _offer(index, action, sheet)
        yield from _names(index, action, sheet)
    yield from _unique(((("procedures", i), one.name) for i, one in enumerate(sheet.procedures)), "procedure")
    for index, procedure in enumerate(sheet.procedures):
        yield from _procedure(index, procedure, sheet)
    for index, fact in enumerate(sheet.facts):
        if fact.secret and fact.when is None:
            yield Finding(
                fact_path(index), f"the secret {fact.id!r} has no `when`", "say when it may be told: when: trust >= 60"
            )
    yield from _tests(sheet)


def _unique(named: Iterable[tuple[KeyPath, str]], kind: str) -> Iterator[Finding]:
    seen: set[str] = set()
    for path, name in named:
        if name in seen:
            yield Finding(path, f"{kind} {name!r} is used twice", "rename one of the two")
        seen.add(name)


def _reserved(index: int, action: ActionSpec) -> Iterator[Finding]:
    """Names that the choice among actions uses itself, and that procedures give another meaning."""
    if action.name in (NO_ACTION, CONFIRM):
        yield Finding(("actions", index, "name"), f"an action cannot be called {action.name!r}", "choose another name")
    for position, parameter in enumerate(action.parameters):
        if parameter.name == ACTION_KEY:
            path = ("actions", index, "parameters", position, "name")
            yield Finding(path, f"a parameter cannot be called {ACTION_KEY!r}", "choose another name")


def _offer(index: int, action: ActionSpec, sheet: CharacterSheet) -> Iterator[Finding]:
    path = ("actions", index, "offer")
    if action.offer is None:
        return
    is_offered = any(
        one.offer == action.name or (one.before == action.name and one.require == CONFIRM) for one in sheet.procedures
    )
    if not action.confirm and not is_offered:
        yield Finding(path, f"{action.name!r} asks for no yes, so nobody says its offer", "add `confirm: true`")
    required = [parameter.name for parameter in action.parameters if parameter.required]
    for name in PLACEHOLDER.findall(action.offer):
        if name not in required:
            yield Finding(path, f"{{{name}}} is no required parameter of {action.name!r}", near_miss(name, required))


def _names(index: int, action: ActionSpec, sheet: CharacterSheet) -> Iterator[Finding]:
    for position, parameter in enumerate(action.parameters):
        if parameter.names is not None and parameter.names not in sheet.names:
            path = ("actions", index, "parameters", position, "names")
            hint = near_miss(parameter.names, sheet.names) or "list its entries under `names`"
            yield Finding(path, f"no category of `names` is called {parameter.names!r}", hint)


def _procedure(index: int, procedure: Procedure, sheet: CharacterSheet) -> Iterator[Finding]:
    known = [action.name for action in sheet.actions]
    for key in ("before", "require", "after", "offer"):
        name = getattr(procedure, key)
        if name is not None and name not in known and not (key == "require" and name == CONFIRM):
            yield Finding(("procedures", index, key), f"no action is called {name!r}", near_miss(name, known))
    offered = sheet.action(procedure.offer or "")
    if offered is not None and offered.offer is None:
        yield Finding(
            ("procedures", index, "offer"),
            f"{offered.name!r} has no words to be offered in",
            f"write its `offer`: the line that is said after {procedure.after}",
        )
    if _requires_itself(procedure, sheet.procedures[: index + 1]):
        yield Finding(
            ("procedures", index, "require"), f"{procedure.before!r} requires itself in the end", "take out one rule"
        )


def _requires_itself(procedure: Procedure, procedures: Sequence[Procedure]) -> bool:
    """Whether a procedure closes a circle with those before it."""
    seen: set[str] = set()
    waiting = [procedure.require] if procedure.before is not None else []
    while waiting:
        name = waiting.pop()
        if name == procedure.before:
            return True
        if name is not None and name not in seen:
            seen.add(name)
            waiting += [one.require for one in procedures if one.before == name]
    return False


def _tests(sheet: CharacterSheet) -> Iterator[Finding]:
    facts = {fact.id: fact for fact in reversed(sheet.facts)}  # the first of two with one id
    actions = [action.name for action in sheet.actions]
    for index, test in enumerate(sheet.tests):
        for position, fact_id in enumerate(test.facts):
            path = ("tests", index, "facts", position)
            fact = facts.get(fact_id)
            if fact is None:
                yield Finding(path, f"no fact has the id {fact_id!r}", near_miss(fact_id, facts))
            elif fact.when is not None and not fact.when.holds(test.state):
                yield Finding(
                    path, f"the fact {fact_id!r} is hidden in this test's state", f"it needs {fact.when.text}"
                )
        if test.action is not None and test.action not in actions:
            yield Finding(
                ("tests", index, "action"), f"no action is called {test.action!r}", near_miss(test.action, actions)
            )
