"""What spans a sheet's sections: unique ids, references that lead somewhere, secrets that can be kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from npc_engine.sheets.problems import near_miss
from npc_engine.sheets.schema import ACTION_KEY, NO_ACTION, PLACEHOLDER, ActionSpec, CharacterSheet
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
        yield from _offer(index, action)
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
    """Names that the choice among actions uses itself."""
    if action.name == NO_ACTION:
        yield Finding(("actions", index, "name"), f"an action cannot be called {NO_ACTION!r}", "choose another name")
    for position, parameter in enumerate(action.parameters):
        if parameter.name == ACTION_KEY:
            path = ("actions", index, "parameters", position, "name")
            yield Finding(path, f"a parameter cannot be called {ACTION_KEY!r}", "choose another name")


def _offer(index: int, action: ActionSpec) -> Iterator[Finding]:
    path = ("actions", index, "offer")
    if action.offer is None:
        return
    if not action.confirm:
        yield Finding(path, f"{action.name!r} asks for no yes, so nobody says its offer", "add `confirm: true`")
    required = [parameter.name for parameter in action.parameters if parameter.required]
    for name in PLACEHOLDER.findall(action.offer):
        if name not in required:
            yield Finding(path, f"{{{name}}} is no required parameter of {action.name!r}", near_miss(name, required))


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
