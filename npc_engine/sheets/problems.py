"""Say what is wrong with a document's data in a writer's words, at the line where it is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError

from npc_engine.errors import SheetCondition, SheetError, SheetInvalid
from npc_engine.sheets.yaml_reader import Document, KeyPath, Mark

MAX_LISTED = 40

_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", list: "a list", dict: "keys"}
_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "model_attributes_type": "keys and values",
}
_PATTERNS = "lower-case letters, digits, and between them - _ . (actions and parameters: also capitals, only _)"


def dotted(path: KeyPath) -> str:
    """`facts[3].when` for `("facts", 3, "when")`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def near_miss(name: str, known: Iterable[str]) -> str:
    """A hint that names the closest known name, or nothing where none is close."""
    near = get_close_matches(name, list(known), n=1)
    return f"did you mean `{near[0]}`?" if near else ""


def problem_at(document: Document, path: KeyPath, problem: str, *, hint: str = "") -> SheetInvalid:
    """A located problem for data that pydantic cannot judge alone."""
    mark = document.values[path]
    return SheetInvalid(problem, path=document.path, line=mark.line, column=mark.column, key=dotted(path), hint=hint)


def gathered(problems: Iterable[SheetError]) -> SheetInvalid:
    """One error that lists many, those of one file in the order of their lines."""
    ordered = sorted(problems, key=lambda problem: (str(problem.path or ""), problem.line or 0, problem.column or 0))
    listed = [f"\n  {problem}".replace("\n  hint: ", "\n    hint: ") for problem in ordered[:MAX_LISTED]]
    if len(ordered) > MAX_LISTED:
        listed.append(f"\n  and {len(ordered) - MAX_LISTED} more")
    count = "1 problem" if len(ordered) == 1 else f"{len(ordered)} problems"
    return SheetInvalid(count + "".join(listed), problems=tuple(ordered))


def empty_values(document: Document) -> Iterator[SheetInvalid]:
    """A problem for every key without a value: an empty `when:` would show what it was meant to hide.

    `extensions` is left alone.
    """

    def empty_paths(data: Any, path: KeyPath) -> Iterator[KeyPath]:
        if data is None:
            yield path
        elif isinstance(data, dict):
            for key, value in data.items():
                if (*path, key) != ("extensions",):
                    yield from empty_paths(value, (*path, key))
        elif isinstance(data, list):
            for index, value in enumerate(data):
                yield from empty_paths(value, (*path, index))

    for path in empty_paths(document.data, ()):
        yield problem_at(
            document,
            path,
            "nothing is written here",
            hint="write a value, or remove it; in { } or [ ] put text with a comma in quotes",
        )


def explain(document: Document, model: type[BaseModel], error: ValidationError) -> list[SheetError]:
    """Every problem pydantic found, located in the document."""
    problems: dict[tuple[KeyPath, str], SheetError] = {}
    for item in error.errors(include_url=False):
        if item["type"] == "too_short" and len(item["input"]) >= item["ctx"]["min_length"]:
            continue  # pydantic counts only the entries that are right; the wrong ones have their own problems
        path = _path_in(document, item["loc"])
        if item["type"] == "condition":
            problems[path, "condition"] = _condition_problem(document, path, item["ctx"])
            continue
        mark = document.values[path]
        problem, hint = _words(item, _json_schema(model), path)
        if item["type"] == "extra_forbidden" and path in document.keys:
            mark = document.keys[path]
        key = (path, problem if item["type"] == "missing" else "")
        if key in problems:  # the other alternatives of a union
            wanted, _, found = problems[key].problem.partition(", found")
            problem = f"{wanted} or {problem.removeprefix('expected ').partition(', found')[0]}, found{found}"
        problems[key] = SheetInvalid(
            problem, path=document.path, line=mark.line, column=mark.column, key=dotted(path), hint=hint
        )
    return list(problems.values())


def _path_in(document: Document, loc: tuple[int | str, ...]) -> KeyPath:
    """The part of pydantic's location that the document has: it also names union members and missing keys."""
    path: KeyPath = ()
    for part in loc:
        if (*path, part) in document.values:
            path = (*path, part)
    return path


def _condition_problem(document: Document, path: KeyPath, context: dict[str, Any]) -> SheetCondition:
    mark = document.values[path]
    at: Mark = Mark(mark.line, mark.column + mark.text_offset + (context["column"] or 1) - 1)
    return SheetCondition(
        context["message"], path=document.path, line=at.line, column=at.column, key=dotted(path), hint=context["hint"]
    )


def _words(item: Any, schema: dict[str, Any], path: KeyPath) -> tuple[str, str]:
    """The problem and the next step, in words."""
    kind, value, context = item["type"], item["input"], item.get("ctx", {})
    if kind == "missing":
        name = str(item["loc"][-1])
        properties = _keys_at(schema, path)
        return f"missing key `{name}`", properties.get(name, {}).get("description", "")
    if kind == "extra_forbidden":
        known = _keys_at(schema, path[:-1])
        name = str(item["loc"][-1])
        return f"unknown key `{name[:60]}`", near_miss(name, known) or f"the keys here are {', '.join(known)}"
    if kind in _EXPECTED:
        found = _KINDS.get(type(value), type(value).__name__)
        shown = f" ({value})" if isinstance(value, (bool, int, float)) else ""
        hint = ""
        if kind == "string_type" and shown:
            hint = "put it in quotes"
        elif kind in ("tuple_type", "frozen_set_type"):
            hint = "start each entry with `- `, or write [one, two]"
        return f"expected {_EXPECTED[kind]}, found {found}{shown}", hint
    if kind == "string_too_long":
        return f"{len(str(value))} characters, at most {context['max_length']} are allowed", "shorten it, or split it"
    if kind == "string_too_short":
        return "empty text", "write something, or remove the key"
    if kind == "string_pattern_mismatch":
        return f"{str(value)[:60]!r} does not have the form it must have", _PATTERNS
    if kind == "too_long":
        return f"{context['actual_length']} entries, at most {context['max_length']} are allowed", ""
    if kind == "too_short":
        return f"{context['actual_length']} entries, at least {context['min_length']} needed", ""
    if kind in ("literal_error", "enum"):
        expected = context["expected"]
        names = [name.strip("' ") for name in expected.replace(" or ", ", ").split(",")]
        return f"{str(value)[:60]!r} is not one of {expected}", near_miss(str(value), names)
    message: str = item["msg"].replace("Input should", "must")
    return message, ""


@cache
def _json_schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema(by_alias=True)


def _keys_at(schema: dict[str, Any], path: KeyPath) -> dict[str, Any]:
    """The properties that the schema has at a place in the document; empty where it has none."""
    node = schema
    for part in path:
        node = _resolve(schema, node)
        if isinstance(part, int):
            node = node.get("items", {})
        else:
            node = node.get("properties", {}).get(part) or node.get("additionalProperties") or {}
    properties: dict[str, Any] = _resolve(schema, node).get("properties", {})
    return properties


def _resolve(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference, and the first alternative that is an object or a list."""
    for alternative in node.get("anyOf", ()):
        inner = _resolve(schema, alternative)
        if "properties" in inner or "items" in inner:
            return inner
    reference = node.get("$ref")
    return schema["$defs"][reference.rsplit("/", 1)[1]] if reference else node
