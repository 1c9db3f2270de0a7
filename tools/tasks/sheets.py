"""A character sheet and the game's declared actions from a recorded dialogue, as a designer would write them.

Only what stands before the first line is read: role, persona, knowledge, state, functions. Nothing of the turns.

| record | sheet |
|---|---|
| persona's name, occupation, role | identity |
| worldview and state | identity's context |
| persona's other headings, items, general information | facts |
| functions | actions; an argument that names an item takes the items' names, a search adds its criteria up |
| words of a function's name | example lines (examples.toml) |
| "before ... confirm", "after ... confirm" of the role | procedures between the functions that act, in their order |
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from npc_engine.actions.declare import declared_actions
from npc_engine.sheets.fields import MAX_FACT_CHARS, MAX_LINE_CHARS, MAX_NAME_CHARS, MAX_NOTE_CHARS, MAX_PROSE_CHARS
from npc_engine.sheets.schema import CharacterSheet
from tools.tasks.cpdc import Episode

GREETING = "Good day."
# Written once for all records, since they have none: what is said where the model has no words.
FALLBACKS = {
    "unknown": ["I can't say, I'm afraid."],
    "error": ["Sorry, could you say that again?"],
    "refusal": ["I'd rather not."],
    "out_of_world": ["I don't know what you mean."],
    "busy": ["One moment, please."],
}
_SEARCH = re.compile(r"^(?:search|find|locate|discover|query|look)", re.IGNORECASE)
# First words of names and descriptions of functions that look something up and change nothing.
_LOOK_UP = re.compile(
    r"^(?:search|find|locate|discover|query|scan|check|get|retrieve|review|read|describe|estimate|calculate|compute|list|"
    r"view|show|look|examine|provide|return|fetch|detail|diagnos|classify|categori|measure|obtain|display|access)",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[^.!?]+(?:[.!?]+|$)")
_ROLE = re.compile(
    r"^(?:play|assume|act|embody|serve|take|you are|step)\b.*?\b(?:role of|as|persona of|character of|are)\s+", re.I
)


def sheet_of(
    episode: Episode, *, sheet_id: str, has_procedures: bool = True, has_examples: bool = True, has_facts: bool = True
) -> CharacterSheet:
    """The sheet.

    Args:
        episode: The recorded dialogue.
        sheet_id: What the sheet is called.
        has_procedures: Whether the role's "before" and "after" become procedures.
        has_examples: Whether actions have example lines.
        has_facts: Whether it knows anything; the choice among actions looks at no fact, and encoding them takes time.

    Raises:
        InvalidAction: A function cannot be declared.
        ValidationError: A text does not fit a sheet.
    """
    persona = dict(episode.persona)
    name = cut(persona.pop("name", "") or "The keeper", MAX_NAME_CHARS)
    occupation = persona.pop("occupation", "")
    duty, *demands = sentences(episode.role)
    role = _ROLE.sub("", duty, count=1).strip() or occupation
    state = "; ".join(f"{key}: {value}" for key, value in episode.state.items())
    traits = " ".join(persona.pop(key, "") for key in ("personality traits", "appearance"))
    actions = declared_actions(declarations(episode, has_examples=has_examples))
    data: dict[str, Any] = {
        "schema": "npc-engine/character@1",
        "id": sheet_id,
        "identity": {
            "name": name,
            "role": cut(role.rstrip("."), MAX_NOTE_CHARS),
            "social": cut(occupation or duty, MAX_PROSE_CHARS),
            "personal": cut(traits.strip() or duty, MAX_PROSE_CHARS),
            "context": cut(f"Now: {state}. {episode.worldview}", MAX_PROSE_CHARS),
        },
        "voice": {"register": "short, plain, friendly sentences"},
        "goals": [cut(demand, MAX_NOTE_CHARS) for demand in demands[:8]],
        "facts": [
            {"id": f"fact-{number}", "text": text}
            for number, text in enumerate(_facts(episode, persona) if has_facts else (), start=1)
        ],
        "actions": [action.model_dump(mode="json", by_alias=True, exclude_none=True) for action in actions],
        "procedures": procedures(episode) if has_procedures else [],
        "fallbacks": FALLBACKS,
        "greeting": GREETING,
    }
    return CharacterSheet.model_validate(data)


def declarations(episode: Episode, *, has_examples: bool = True) -> list[dict[str, Any]]:
    """The functions as a game declares them: JSON Schema, with the items' names where an argument is one of them."""
    names = [item["name"] for item in episode.items if 0 < len(item["name"]) <= MAX_NAME_CHARS]
    named = _item_parameters(episode, names)
    offered = {rule["offer"] for rule in procedures(episode) if "offer" in rule}
    found = []
    for function in episode.functions:
        is_search = _is_search(function)
        schema = function.get("parameters") or {}
        properties = {
            key: _property(key, value, names if key in named and not is_search else ())
            for key, value in (schema.get("properties") or {}).items()
        }
        required = [key for key in schema.get("required") or () if key in properties]
        # An argument that is the only one is needed, whether or not the record says so.
        if not is_search and len(properties) == 1:
            required = list(properties)
        action: dict[str, Any] = {
            "name": function["name"],
            "description": cut(function["description"], MAX_PROSE_CHARS),
            "parameters": {"type": "object", "properties": properties, "required": required},
        }
        if has_examples and (lines := example_lines(function["name"])):
            action["examples"] = lines
        if is_search:
            action["accumulate"] = True
        if function["name"] in offered:
            action["offer"] = f"Shall I {function['name'].replace('_', ' ')} now?"
        found.append(action)
    return found


def example_lines(name: str) -> list[str]:
    """Lines of a player that want a function of that name; none where no word of it is known."""
    parts = set(name.casefold().split("_"))
    return next((list(kind["lines"]) for kind in _kinds().values() if parts & set(kind["words"])), [])


@lru_cache(maxsize=1)
def _kinds() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads(Path(__file__).with_name("examples.toml").read_text(encoding="utf-8"))


def procedures(episode: Episode) -> list[dict[str, str]]:
    """Rules between the functions that act, in the order in which the record lists them.

    Only where the role says "before" or "after": a function with "confirm" in its name is required before the next
    one, and leads to the offer of it; a function that acts leads to the offer of the next.
    """
    role = episode.role.casefold()
    acting = [function["name"] for function in episode.functions if not is_look_up(function)]
    rules = []
    for first, second in pairwise(acting):
        is_confirmation = "confirm" in first
        if is_confirmation and ("before" in role or "confirm" in role):
            rules.append({"name": cut(f"{first} first", MAX_NAME_CHARS), "before": second, "require": first})
        if is_confirmation or "after" in role or "once" in role:
            rules.append({"name": cut(f"then {second}", MAX_NAME_CHARS), "after": first, "offer": second})
    return rules


def is_look_up(function: Mapping[str, Any]) -> bool:
    """Whether a function looks something up, by the first word of its name or of its description."""
    return bool(_LOOK_UP.match(function["name"]) or _LOOK_UP.match(function["description"]))


def _is_search(function: Mapping[str, Any]) -> bool:
    return bool(_SEARCH.match(function["name"]) or function["description"].casefold().startswith("search"))


def _item_parameters(episode: Episode, names: Sequence[str]) -> set[str]:
    """Names of parameters whose description gives one of the items as an example."""
    known = [name.casefold() for name in names]
    found = set()
    for function in episode.functions:
        for key, value in ((function.get("parameters") or {}).get("properties") or {}).items():
            text = str(value.get("description", "")).casefold()
            if "operator" not in key and any(name in text for name in known):
                found.add(key)
    return found


def _property(key: str, schema: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """One parameter in the subset of JSON Schema that a game may declare."""
    kind = schema.get("type", "string")
    fields: dict[str, Any] = {
        "type": kind if kind in ("string", "integer", "number", "boolean") else "string",
        "description": cut(schema.get("description") or key.replace("_", " "), MAX_LINE_CHARS),
    }
    if names:
        fields |= {"type": "string", "enum": list(dict.fromkeys(names))}
    elif isinstance(schema.get("enum"), list):
        fields["enum"] = schema["enum"]
    if kind == "array":
        inner = {key: value for key, value in fields.items() if key != "description"}
        return {"type": "array", "items": inner, "description": fields["description"]}
    return fields


# --- facts ----------------------------------------------------------------------------------------


def _facts(episode: Episode, persona: Mapping[str, str]) -> Iterator[str]:
    for item in episode.items:
        head = f"{item['name']} ({item['type']})" if item["type"] else item["name"]
        yield from _pieces(item["description"], head=f"{head}: " if head else "")
    for line in episode.general:
        yield from _pieces(line)
    for heading, text in persona.items():
        yield from _pieces(text, head="" if text.startswith("I ") else f"My {heading}: ")


def _pieces(text: str, *, head: str = "") -> Iterator[str]:
    """A text in pieces that fit a fact, each with its head; whole sentences as far as they fit."""
    piece = ""
    for sentence in sentences(text):
        if piece and len(head) + len(piece) + 1 + len(sentence) > MAX_FACT_CHARS:
            yield cut(head + piece, MAX_FACT_CHARS)
            piece = ""
        piece = f"{piece} {sentence}".strip()
    if piece:
        yield cut(head + piece, MAX_FACT_CHARS)


def sentences(text: str) -> list[str]:
    """The sentences of a text, without breaks of lines; the text itself where it has no end."""
    flat = " ".join(text.replace("\\n", " ").split())
    return [one.strip() for one in _SENTENCE.findall(flat) if one.strip()] or [flat or "-"]


def cut(text: str, max_chars: int) -> str:
    """The text, or its beginning up to a word, at most so long."""
    flat = " ".join(text.split()) or "-"
    return flat if len(flat) <= max_chars else flat[: max_chars - 1].rsplit(" ", 1)[0] + "…"
