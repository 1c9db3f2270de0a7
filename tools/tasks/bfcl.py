"""Questions of the Berkeley function-calling leaderboard: read, declare, score.

Source of the scoring rules: the leaderboard's own checker (gorilla, BFCL v3, `ast_checker.py`): the right function, no
argument that is not declared, every required one, and each value among the allowed ones; texts are compared without
case, spaces and punctuation, numbers by value; "" among the allowed values means that the argument may be left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from npc_engine.errors import ConfigError
from tools.tasks.calls import Call

PARTS = {"simple": "simple_python", "multiple": "multiple", "irrelevance": "irrelevance"}
_TYPES = {
    "dict": "object",
    "float": "number",
    "tuple": "array",
    "list": "array",
    "any": "string",
    "String": "string",
}
_KEPT = ("type", "description", "enum", "minimum", "maximum", "items")
_PUNCTUATION = re.compile(r"[ ,./\-_*^]")


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question.

    Attributes:
        id: As the leaderboard names it.
        line: What is asked.
        functions: Declarations, as a game makes them, with names that may be declared.
        answer: By parameter, the allowed values of the right call; None where nothing is to be called.
        name: Of the function to call; None likewise.
    """

    id: str
    line: str
    functions: tuple[Mapping[str, Any], ...]
    name: str | None = None
    answer: Mapping[str, Sequence[Any]] | None = None


def load_questions(folder: Path, part: str) -> list[Question]:
    """The questions of a part, in the file's order.

    Raises:
        ConfigError: The folder does not hold the part.
    """
    path = folder / f"BFCL_v4_{PARTS[part]}.json"
    if not path.is_file():
        raise ConfigError(f"{path} is not there", hint="--data is the folder with BFCL_v4_*.json in it")
    answers: dict[str, Mapping[str, Any]] = {}
    if part != "irrelevance":
        for one in _lines(folder / "possible_answer" / path.name):
            answers[one["id"]] = one["ground_truth"][0]
    questions = []
    for one in _lines(path):
        name, answer = next(iter(answers[one["id"]].items())) if answers else (None, None)
        questions.append(
            Question(
                id=one["id"],
                line=one["question"][0][-1]["content"],
                functions=tuple(_declaration(function) for function in one["function"]),
                name=None if name is None else _plain_name(name),
                answer=answer,
            )
        )
    return questions


def is_right(question: Question, calls: Sequence[Call]) -> bool:
    """Whether exactly the wanted call was made, or none where none is wanted."""
    if question.answer is None:
        return not calls
    if len(calls) != 1 or calls[0].name != question.name:
        return False
    arguments = calls[0].arguments
    if arguments.keys() - question.answer.keys():
        return False
    for key, allowed in question.answer.items():
        if key not in arguments:
            if "" not in allowed:
                return False
        elif not any(_equal(arguments[key], value) for value in allowed):
            return False
    return True


def _equal(value: Any, allowed: Any) -> bool:
    if isinstance(value, str) and isinstance(allowed, str):
        return _PUNCTUATION.sub("", value).casefold() == _PUNCTUATION.sub("", allowed).casefold()
    if isinstance(value, bool) or isinstance(allowed, bool):
        return value is allowed
    if isinstance(value, int | float) and isinstance(allowed, int | float):
        return float(value) == float(allowed)
    if isinstance(value, list) and isinstance(allowed, list | tuple):
        return len(value) == len(allowed) and all(map(_equal, value, allowed))
    return bool(value == allowed)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _declaration(function: Mapping[str, Any]) -> dict[str, Any]:
    schema = function["parameters"]
    return {
        "name": _plain_name(function["name"]),
        "description": function["description"],
        "parameters": {
            "type": "object",
            "properties": {key: _value(value) for key, value in schema["properties"].items()},
            "required": list(schema.get("required", ())),
        },
    }


def _value(schema: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: schema[key] for key in _KEPT if key in schema}
    found["type"] = _TYPES.get(found.get("type", "string"), found.get("type", "string"))
    if isinstance(found.get("items"), Mapping):
        found["items"] = _value(found["items"])
    if found["type"] == "object" and "properties" in schema:
        # Kept, so that what cannot be declared is refused rather than flattened.
        found["properties"] = schema["properties"]
    return found


def _plain_name(name: str) -> str:
    """A name of letters, digits and underscores."""
    return re.sub(r"\W", "_", name)
