"""Which actions must come before which, learned from gold dialogues, and calls that break that order.

An action is a function that changes something: in gold its answer carries no data. `B` needs `A` where, in the gold
dialogues of one set of functions, every dialogue that calls `B` has called `A` before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tools.tasks.calls import Call, plain
from tools.tasks.cpdc import Answered, Episode

Needs = Mapping[str, frozenset[str]]


def functions_key(episode: Episode) -> tuple[str, ...]:
    """What names the set of functions of a dialogue."""
    return tuple(sorted(function["name"] for function in episode.functions))


def learn(episodes: Iterable[Episode]) -> dict[tuple[str, ...], Needs]:
    """For each set of functions, the actions that each action needs before it."""
    before: dict[tuple[str, ...], dict[str, frozenset[str]]] = {}
    for episode in episodes:
        needs = before.setdefault(functions_key(episode), {})
        seen: set[str] = set()
        first: dict[str, frozenset[str]] = {}
        for turn in episode.turns:
            for answered in turn.gold:
                if is_action(answered):
                    first.setdefault(answered.call.name, frozenset(seen))
                    seen.add(answered.call.name)
        for name, earlier in first.items():
            needs[name] = needs[name] & earlier if name in needs else earlier
    return {key: {name: earlier for name, earlier in needs.items() if earlier} for key, needs in before.items()}


def is_action(answered: Answered) -> bool:
    """Whether a gold call changed something rather than looked something up: no data came back."""
    return not _has_data(answered.result)


def violations(calls: Sequence[Call], *, earlier: Sequence[Call], needs: Needs) -> list[Call]:
    """The calls of a turn that come before what they need.

    Args:
        calls: Of the turn, in order; each counts as done for those after it.
        earlier: Calls of the turns before.
        needs: As `learn` gives for the dialogue's functions.

    A step counts as done where it was called with the same value of a parameter that both have (another item's
    confirmation does not serve), or where they have none in common.
    """
    done = list(earlier)
    broken = []
    for call in calls:
        if any(not _is_done(step, call, done) for step in needs.get(call.name, ())):
            broken.append(call)
        done.append(call)
    return broken


def _is_done(step: str, call: Call, done: Sequence[Call]) -> bool:
    wanted = plain(call)
    for one in done:
        if one.name == step:
            values = plain(one)
            shared = wanted.keys() & values.keys()
            if not shared or any(_texts(wanted[key]) & _texts(values[key]) for key in shared):
                return True
    return False


def _texts(value: Any) -> set[str]:
    return {str(one) for one in (value if isinstance(value, list) else [value])}


def _has_data(result: Any) -> bool:
    return isinstance(result, list | dict) and bool(result)
