"""What is kept of a talk: a transcript, and talks that went wrong as scenarios to fix."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from npc_engine.errors import ReportNotWritten, RequestError
from npc_engine.playtest.heard import HeardTurn
from npc_engine.playtest.scenarios.saving import bad_talk, save_scenario
from npc_engine.playtest.scenarios.schema import Step
from npc_engine.sheets.conditions import GameState
from npc_engine.sheets.fields import MAX_LINE_CHARS


@dataclass
class Said:
    """One line with what the game told right before it.

    Attributes:
        heard: The turn.
        changes: Names of the state that changed, with their values.
        events: What the character learnt.
        results: What the game answered to its actions: a result, or a reason as text.
    """

    heard: HeardTurn
    changes: dict[str, Any] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    results: list[dict[str, Any] | str] = field(default_factory=list)

    @property
    def step(self) -> Step:
        """It as a line of a scenario."""
        fields: dict[str, Any] = {"say": self.heard.line}
        if self.changes:
            fields["state"] = GameState.parse(self.changes)
        if self.events:
            fields["event"] = " ".join(self.events)
        if self.results:
            answer = self.results[0]
            fields["refused" if isinstance(answer, str) else "result"] = answer
        return Step.model_validate(fields)


def save_bad_talk(path: Path, said: Sequence[Said], *, character: str, wrong: str, state: GameState) -> str:
    """Keep the talk up to its last reply as a scenario that fails while that is said again.

    Args:
        path: The scenario file; made where it is missing.
        said: What was said, the bad turn last.
        character: The sheet's id.
        wrong: What is wrong with it, in the writer's words; may be empty.
        state: The game's state when the talk began.

    Returns:
        The scenario's name.

    Raises:
        RequestError: Nothing has been said, or a line is too long for a scenario.
        SheetError: The file there is no scenario file of this character.
        SheetNotWritten: It cannot be written.
    """
    if not said or not said[-1].heard.reply:
        raise RequestError("/bad: there is no reply to keep", hint="say something first")
    try:
        scenario = bad_talk([one.step for one in said], reply=said[-1].heard.reply, name=wrong, state=state)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RequestError(
            f"/bad: this talk is no scenario: {place}: {first['msg']}",
            hint=f"a scenario has lines and events of at most {MAX_LINE_CHARS} characters and plain results; "
            "take turns back with /undo, or keep the talk with /save",
        ) from error
    return save_scenario(path, scenario, character=character)


def save_talk(path: Path, said: Sequence[Said], *, name: str, player: str, greeting: str) -> None:
    """Write the talk: with every trace as JSON where the file is called .json, else as a transcript.

    Raises:
        ReportNotWritten: The file exists, or cannot be written.
    """
    if path.suffix.lower() == ".json":
        text = json.dumps(_as_data(said, name=name, player=player, greeting=greeting), indent=1, ensure_ascii=False)
    else:
        lines = [f"{name}: {greeting}", ""] if greeting else []
        for one in said:
            lines += [f"[game] state {one.changes}"] if one.changes else []
            lines += [f"[game] event {event}" for event in one.events]
            lines += [f"{player}: {one.heard.line}", f"{name}: {one.heard.reply}", ""]
        text = "\n".join(lines)
    write_new(path, text)


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet.

    Raises:
        ReportNotWritten: It exists, or cannot be written.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text if text.endswith("\n") else f"{text}\n")
    except OSError as error:
        raise ReportNotWritten(
            f"cannot write {path}: {error.strerror or error}", hint="name another file: /save talk-2.txt"
        ) from error


def _as_data(said: Sequence[Said], *, name: str, player: str, greeting: str) -> dict[str, Any]:
    return {
        "character": name,
        "player": player,
        "greeting": greeting,
        "turns": [
            {"state": one.changes, "events": one.events, "results": one.results, **turn_data(one.heard)} for one in said
        ],
    }


def turn_data(heard: HeardTurn) -> dict[str, Any]:
    """A turn as plain data."""
    return {
        "line": heard.line,
        "reply": heard.reply,
        "actions": [{"name": call.name, "arguments": call.arguments} for call in heard.actions],
        "first_word_s": round(heard.time_to_first_token_s, 3),
        "total_s": round(heard.total_s, 3),
        "trace": heard.trace,
    }
