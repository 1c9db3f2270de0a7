"""The same dialogues with other function lists: renamed, reordered, with functions removed."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tools.tasks.calls import Call
from tools.tasks.cpdc import Answered, Episode, TaskTurn

# So many of a dialogue's functions are taken away by `remove`.
REMOVED_SHARE = 1 / 3
WAYS = ("rename", "reorder", "remove")


@dataclass(frozen=True, kw_only=True)
class Perturbed:
    """A dialogue with another function list.

    Attributes:
        episode: What the engine gets; gold calls to functions that are gone are gone from it.
        original: By new function name, the old: to score calls under their own names.
    """

    episode: Episode
    original: Mapping[str, str]

    def restored(self) -> Episode:
        """The dialogue as it is scored: functions under the names that gold knows."""
        functions = tuple(
            {**one, "name": self.original.get(one["name"], one["name"])} for one in self.episode.functions
        )
        return replace(self.episode, functions=functions, turns=_with_calls(self.episode.turns, self.own))

    def own(self, call: Call) -> Call:
        """A call under the name that gold knows."""
        return replace(call, name=self.original.get(call.name, call.name))


def perturb(episode: Episode, way: str | None, *, seed: int) -> Perturbed:
    """Change a dialogue's function list; nothing changes where `way` is None.

    Args:
        episode: The dialogue.
        way: One of `WAYS`. `rename` gives names that say nothing (`function_1`), so that descriptions must; `reorder`
            shuffles; `remove` takes a third away, and what gold called of them is then wanted no more.
        seed: Of shuffling and choosing; the same dialogue and seed give the same list.
    """
    rng = random.Random(f"{seed} {episode.id}")
    names = [function["name"] for function in episode.functions]
    if way == "rename":
        renamed = {name: f"function_{place}" for place, name in enumerate(names, start=1)}
        functions = tuple(one | {"name": renamed[one["name"]]} for one in map(dict, episode.functions))
        turns = _with_calls(episode.turns, lambda call: replace(call, name=renamed[call.name]))
        changed = replace(episode, functions=functions, turns=turns)
        return Perturbed(episode=changed, original={new: old for old, new in renamed.items()})
    if way == "reorder":
        functions = tuple(rng.sample(episode.functions, len(episode.functions)))
        return Perturbed(episode=replace(episode, functions=functions), original={})
    if way == "remove":
        gone = set(rng.sample(names, round(len(names) * REMOVED_SHARE)))
        functions = tuple(one for one in episode.functions if one["name"] not in gone)
        turns = _with_calls(episode.turns, lambda call: None if call.name in gone else call)
        return Perturbed(episode=replace(episode, functions=functions, turns=turns), original={})
    return Perturbed(episode=episode, original={})


def _with_calls(turns: Sequence[TaskTurn], change: Callable[[Call], Call | None]) -> tuple[TaskTurn, ...]:
    return tuple(
        replace(
            turn,
            gold=tuple(
                Answered(call=call, result=one.result) for one in turn.gold if (call := change(one.call)) is not None
            ),
        )
        for turn in turns
    )


def renamed_back(calls: Sequence[Mapping[str, Any]], perturbed: Perturbed) -> list[Call]:
    """Recorded calls (`name`, `arguments`) under gold's names."""
    return [perturbed.own(Call(name=one["name"], arguments=one["arguments"])) for one in calls]
