"""Read the dialogues of the Commonsense Persona-grounded Dialogue Challenge 2025 into one form.

Two forms come in: `dev/*.json` with turns and gold calls beside the text, and `worlds_*.json` with the calls written
into chat messages. The folder is given by the caller; none of it is part of this repository.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from npc_engine.errors import ConfigError
from tools.tasks.calls import Call

PARTS = {
    "dev-task1": "dev/task1.json",
    "dev-task2": "dev/task2.json",
    "tune": "worlds_tune.json",
    "unseen": "worlds_unseen.json",
}
_CALL = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL)
_RESPONSE = re.compile(r"<tool_response>\s*(.*?)\s*</tool_response>", re.DOTALL)
# Numpy-style docstrings: "name : type", then its text, indented.
_PARAMETER = re.compile(r"^(\w+)\s*:\s*([\w\[\]]+)\s*$")
_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A gold call with what the game answered."""

    call: Call
    result: Any


@dataclass(frozen=True, kw_only=True)
class TaskTurn:
    """One line of the player and what follows it.

    Attributes:
        line: What the player says; where the data marks what he points at and does not name, it stands in brackets.
        gold: Calls wanted, with the game's answers.
        reply: The gold reply.
    """

    line: str
    gold: tuple[Answered, ...]
    reply: str

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls wanted."""
        return tuple(one.call for one in self.gold)


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One dialogue and its world.

    Attributes:
        id: Unique in its part.
        role: What the character is to do.
        persona: By heading, in the character's own words.
        functions: JSON Schema declarations: name, description, parameters.
        state: Time, weather, place.
        items: Knowledge items: name, type, description; "" where the data lacks one.
        general: General information, a line each.
        turns: In order.
    """

    id: str
    worldview: str
    role: str
    persona: Mapping[str, str]
    functions: tuple[Mapping[str, Any], ...]
    state: Mapping[str, str]
    items: tuple[Mapping[str, str], ...]
    general: tuple[str, ...]
    turns: tuple[TaskTurn, ...] = field(default=())


def load_part(folder: Path, part: str) -> list[Episode]:
    """The dialogues of a part, in the file's order.

    Raises:
        ConfigError: The folder does not hold the part.
    """
    path = folder / PARTS[part]
    if not path.is_file():
        raise ConfigError(f"{path} is not there", hint="--data is the folder with dev/ and worlds_*.json in it")
    records = json.loads(path.read_text(encoding="utf-8"))
    if part.startswith("dev"):
        lists = json.loads((folder / "function_lists.json").read_text(encoding="utf-8"))
        return [_from_turns(record, lists) for record in records]
    return [_from_messages(record, number) for number, record in enumerate(records)]


def function_lists(folder: Path) -> dict[str, tuple[Mapping[str, Any], ...]]:
    """The six function lists of the dev parts by id, as JSON Schema declarations."""
    lists = json.loads((folder / "function_lists.json").read_text(encoding="utf-8"))
    return {name: _declared(one) for name, one in lists.items()}


# --- dev: turns -----------------------------------------------------------------------------------


def _from_turns(record: Mapping[str, Any], lists: Mapping[str, Any]) -> Episode:
    turns = []
    for number in range(record["total_turn"]):
        turn = record[f"turn_{number}"]
        last = turn["dialogue"][-1]
        gold = tuple(
            Answered(call=Call(name=one["name"], arguments=one["parameters"]), result=one["return"])
            for one in turn.get("gold_functions", ())
        )
        turns.append(TaskTurn(line=_pointed(last), gold=gold, reply=turn["gold_response"]))
    return Episode(
        id=record["data_id"],
        worldview=record["worldview"],
        role=record["npc"]["role"],
        persona=record["npc"]["persona"],
        functions=_declared(lists[record["function_list_id"]]) if record.get("function_list_id") else (),
        state=record["state"],
        items=_items(record["knowledge"].get("knowledge_info")),
        general=_general(record["knowledge"].get("general_info")),
        turns=tuple(turns),
    )


def _pointed(message: Mapping[str, Any]) -> str:
    """The line; what is pointed at and not named follows, as a game would say it."""
    text: str = message["text"]
    names = [
        item["name"] for item in message.get("target_item") or () if item["name"].casefold() not in text.casefold()
    ]
    return f"{text} (pointing at {', '.join(names)})" if names else text


def _declared(functions: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    return tuple(_schema(one) for one in (*functions["actions"], *functions["tools"]))


def _schema(function: Mapping[str, Any]) -> Mapping[str, Any]:
    """A function described by a docstring, as JSON Schema."""
    summary, _, rest = function["description"].partition("\nParameters:")
    notes = _notes(rest.partition("\nReturns:")[0])
    properties = {}
    for parameter in function["parameters"]:
        name, kind = parameter["name"], parameter["type"]
        is_list = kind.startswith("List[")
        one = _TYPES[kind.removeprefix("List[").removesuffix("]")]
        schema: dict[str, Any] = {"type": "array", "items": {"type": one}} if is_list else {"type": one}
        # One list declares `item_names` and describes `item_name`.
        if note := notes.get(name) or notes.get(name.removesuffix("s")):
            schema["description"] = note
        properties[name] = schema
    return {
        "name": function["name"],
        "description": " ".join(summary.split()),
        "parameters": {"type": "object", "properties": properties},
    }


def _notes(text: str) -> dict[str, str]:
    notes: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if head := _PARAMETER.match(line):
            name = head[1]
        elif name and line.startswith(" "):
            notes[name] = f"{notes.get(name, '')} {line.strip()}".strip()
    return notes


# --- worlds: chat messages -------------------------------------------------------------------------


def _from_messages(record: Mapping[str, Any], number: int) -> Episode:
    return Episode(
        id=record.get("id") or f"world-{number}",
        worldview=record["worldview"],
        role=record["role"],
        persona={key: str(value) for key, value in record["persona"].items()},
        functions=tuple(record["functions"]),
        state={key: str(value) for key, value in record["state"].items()},
        items=_items(record["knowledge"].get("knowledge_info")),
        general=_general(record["knowledge"].get("general_info")),
        turns=tuple(_turns(record["messages"])),
    )


def _turns(messages: Sequence[Mapping[str, str]]) -> Iterator[TaskTurn]:
    line, calls, results = "", [], []
    for message in messages:
        text = message["content"]
        if message["role"] == "user" and text.startswith("<tool_response"):
            results += _results(text)
        elif message["role"] == "user":
            line, calls, results = text, [], []
        elif found := _CALL.findall(text):
            calls += [json.loads(one) for one in found]
        else:
            # A torn answer counts as an empty one.
            answers = results + [None] * (len(calls) - len(results))
            gold = tuple(
                Answered(call=Call(name=call["name"], arguments=call["arguments"]), result=answer)
                for call, answer in zip(calls, answers, strict=False)
            )
            yield TaskTurn(line=line, gold=gold, reply=text)


def _results(text: str) -> Iterator[Any]:
    """The answers of a message, in order; a few messages hold two in one envelope, or text that is no JSON."""
    decoder = json.JSONDecoder()
    for envelope in _RESPONSE.findall(text):
        rest = envelope
        while rest:
            try:
                answer, end = decoder.raw_decode(rest)
            except json.JSONDecodeError:
                yield None
                break
            yield answer.get("return")
            rest = rest[end:].strip()


def _items(info: Sequence[Mapping[str, Any]] | None) -> tuple[Mapping[str, str], ...]:
    """Name, type and description of each item, whatever the world calls the first two."""
    return tuple(
        {
            "name": str(one.get("name") or one.get("title") or one.get("symbol") or ""),
            "type": str(one.get("type") or one.get("genre") or ""),
            "description": str(one.get("description") or one.get("interpretation") or ""),
        }
        for one in info or ()
    )


def _general(info: str | Sequence[str] | None) -> tuple[str, ...]:
    lines = info.splitlines() if isinstance(info, str) else info or ()
    return tuple(text for line in lines if (text := line.strip().lstrip("-").strip()) and not text.startswith("#"))
