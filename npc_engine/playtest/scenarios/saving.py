"""Write scenarios: a talk that went wrong becomes one that fails until it is put right."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from npc_engine.errors import SheetNotWritten
from npc_engine.playtest.scenarios.schema import SCENARIOS_SCHEMA, Scenario, ScenarioFile, Step
from npc_engine.sheets.conditions import GameState
from npc_engine.sheets.fields import MAX_NAME_CHARS
from npc_engine.sheets.format import round_trip
from npc_engine.sheets.loader import read_document
from npc_engine.sheets.writing import create, read_source, rewrite

BAD_GROUP = "bad talk"
# Keys of a scenario that come first in a file, in this order.
_FIRST = ("name", "group", "state", "lines")


def save_scenario(path: Path, scenario: Scenario, *, character: str) -> str:
    """Add a scenario at the end of a scenario file, which is made where it is missing, with its folder.

    Comments and layout of what is there stay.

    Args:
        path: The file: `scenarios.loading.scenario_path` of the sheet.
        scenario: What to add.
        character: The sheet's id.

    Returns:
        The name it has there: a number is added to one that is taken.

    Raises:
        SheetError: The file there is no scenario file, or is another character's.
        SheetNotWritten: It cannot be written; it is as it was.
    """
    if path.exists():
        _, file = read_document(path, ScenarioFile, SCENARIOS_SCHEMA)
        if file.character != character:
            raise SheetNotWritten(f"these are scenarios of {file.character!r}", path=path, hint="name another file")
        name = _free(scenario.name, {one.name for one in file.scenarios})
        yaml = round_trip()
        data = yaml.load(read_source(path).text)
        data["scenarios"].append(_plain(scenario, name))
        out = io.StringIO()
        yaml.dump(data, out)
        rewrite({path: out.getvalue()}, _check)
        return name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SheetNotWritten(error.strerror or str(error), path=path.parent) from error
    yaml = round_trip()
    out = io.StringIO()
    head = {"schema": SCENARIOS_SCHEMA, "character": character, "scenarios": [_plain(scenario, scenario.name)]}
    yaml.dump(head, out)
    create(path, out.getvalue(), _check)
    return scenario.name


def bad_talk(lines: Sequence[str | Step], *, reply: str, name: str = "", state: GameState | None = None) -> Scenario:
    """A scenario of a talk whose last reply was bad: it fails while that is said again.

    Args:
        lines: What the player said, the line that led to the reply last.
        reply: The bad reply.
        name: What is wrong with it; without one, the last line is the name.
        state: The game's state when the talk began.
    """
    last = lines[-1]
    said = last if isinstance(last, str) else last.say
    return Scenario(
        name=_clipped(name or said),
        group=BAD_GROUP,
        state=state or GameState(),
        lines=tuple(line if isinstance(line, Step) else Step(say=line) for line in lines),
        never_says=(_longest_part(reply),),
    )


def _longest_part(reply: str) -> str:
    """The longest sentence of a reply, as far as a claim may be long, at a word's end."""
    parts = re.findall(r"[^.!?…]+", reply) or [reply]
    return _clipped(max((part.strip() for part in parts), key=len))


def _clipped(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MAX_NAME_CHARS else text[: MAX_NAME_CHARS + 1].rsplit(" ", 1)[0][:MAX_NAME_CHARS]


def _free(name: str, taken: set[str]) -> str:
    number, free = 2, name
    while free in taken:
        tail = f" ({number})"
        free, number = name[: MAX_NAME_CHARS - len(tail)] + tail, number + 1
    return free


def _plain(scenario: Scenario, name: str) -> dict[str, Any]:
    """As a writer would put it: what is not set is left out, and a line with nothing expected is a bare line."""
    data = scenario.model_dump(mode="json", exclude_unset=True, exclude_defaults=True) | {"name": name}
    data["lines"] = [line["say"] if set(line) == {"say"} else line for line in data["lines"]]
    order = [*_FIRST, *(key for key in Scenario.model_fields if key not in _FIRST)]
    return {key: data[key] for key in sorted(data, key=order.index)}


def _check(path: Path) -> None:
    read_document(path, ScenarioFile, SCENARIOS_SCHEMA)
