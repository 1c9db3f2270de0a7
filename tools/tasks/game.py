"""The game's side of a recorded dialogue: gold's answer to a call that gold made, else what the items tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tools.tasks.calls import Call, plain, same
from tools.tasks.cpdc import Episode

# A search that fits more items than this is answered "many", as in the recordings.
MAX_FOUND = 3


def answer(call: Call, episode: Episode, *, number: int) -> Mapping[str, Any]:
    """What the game answers to a call in a turn: always a result, empty where nothing fits.

    Args:
        call: What was called.
        episode: The recorded dialogue.
        number: Of the turn; gold calls of this turn are looked at before those of other turns.
    """
    turns = [episode.turns[number], *episode.turns[:number], *episode.turns[number + 1 :]]
    for turn in turns:
        for answered in turn.gold:
            if same(answered.call, call):
                return as_result(answered.result)
    return _look_up(call, episode.items)


def as_result(result: Any) -> Mapping[str, Any]:
    """A recorded answer as the map that a game sends."""
    match result:
        case dict():
            return result
        case [dict() as one]:
            return one
        case [_, *_]:
            return {"results": result}
        case str() if result:
            return {"result": result}
        case _:
            return {}


def _look_up(call: Call, items: Sequence[Mapping[str, str]]) -> Mapping[str, Any]:
    """The item that is named, or those whose type is; the knowledge has no prices, so no more can be known."""
    wanted = {
        str(one)
        for key, value in plain(call).items()
        if "operator" not in key
        for one in (value if isinstance(value, list) else str(value).split("|"))
    }
    named = [item for item in items if item["name"].casefold() in wanted]
    found = named or [item for item in items if str(item.get("type", "")).casefold() in wanted]
    if not found:
        return {}
    if len(found) > MAX_FOUND:
        return {"information": "many"}
    return as_result([dict(item) for item in found])
