"""Score the calls of a turn against the wanted ones: names, arguments, whole turns, and what went wrong.

Calls are matched one to one without regard to order. Before they are compared, empty arguments are dropped,
`item_names` is `item_name`, texts lose their case, and price, reward and attack arguments lose commas, spaces and the
sign of gold.

Source of the rules: the visible part of the organisers' matching of the Commonsense Persona-grounded Dialogue Challenge
2025 (`check_*` exact, `search_*` by money and word overlap), and, stricter, whole arguments.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SEARCH = "search_"
# Word overlap from which the free text of a search counts as the same, in the organisers' matching.
SOFT_WORD_F1 = 0.4
ALIASES = {"item_names": "item_name"}
_MONEY = re.compile(r"price|reward|attack")
_GOLD = re.compile(r"gold|g|[,\s]", re.IGNORECASE)
_WORD = re.compile(r"[\w']+")

CAUSES = (
    "wrong name",
    "missing argument",
    "extra argument",
    "wrong value",
    "called for nothing",
    "one call too many",
    "not called",
    "one call too few",
)


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call of one function.

    Attributes:
        name: Of the function.
        arguments: By parameter.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Matches:
    """How many calls of a turn were matched, of how many.

    Attributes:
        num_wanted: Calls wanted.
        num_called: Calls made.
        name: Matched by name.
        exact: By name and every argument.
        soft: Exact, but searches by money and word overlap.
    """

    num_wanted: int
    num_called: int
    name: int
    exact: int
    soft: int

    @property
    def is_whole(self) -> bool:
        """Whether exactly what was wanted was called; so it is where nothing was wanted and nothing called."""
        return self.exact == self.num_wanted == self.num_called


def compare(wanted: Sequence[Call], called: Sequence[Call]) -> Matches:
    """Match the calls of one turn."""
    return Matches(
        num_wanted=len(wanted),
        num_called=len(called),
        name=_num_matched(wanted, called, lambda one, other: one.name == other.name),
        exact=_num_matched(wanted, called, same),
        soft=_num_matched(wanted, called, softly_same),
    )


def same(wanted: Call, called: Call) -> bool:
    """Whether two calls have one name and the same arguments."""
    return wanted.name == called.name and plain(wanted) == plain(called)


def softly_same(wanted: Call, called: Call) -> bool:
    """As `same`; a search is the same where its money arguments are, and its other words overlap enough."""
    if wanted.name != called.name or not wanted.name.startswith(SEARCH):
        return same(wanted, called)
    one, other = plain(wanted), plain(called)
    if _money(one) != _money(other):
        return False
    texts = [_free_text(arguments) for arguments in (one, other)]
    return texts[0] == texts[1] or word_f1(*texts) > SOFT_WORD_F1


def plain(call: Call) -> dict[str, Any]:
    """A call's arguments as they are compared."""
    found = {}
    for key, value in call.arguments.items():
        value = _plain(value)
        if value in (None, "", [], {}):
            continue
        key = ALIASES.get(key, key)
        if _is_money(key):
            value = [_GOLD.sub("", str(one)) for one in value] if isinstance(value, list) else _GOLD.sub("", str(value))
        found[key] = value
    return found


def word_f1(one: str, other: str) -> float:
    """Word overlap of two texts as bags of words, without case; 0 where either has none."""
    first, second = (Counter(_WORD.findall(text.casefold())) for text in (one, other))
    common = sum((first & second).values())
    return 2 * common / (sum(first.values()) + sum(second.values())) if common else 0.0


def causes(wanted: Sequence[Call], called: Sequence[Call]) -> Counter[str]:
    """Why calls are not exactly right, in a turn.

    What matches exactly is set aside. Calls left of one name are paired and each kind of difference in their arguments
    counted once; calls left of other names are paired as "wrong name"; what is left then was called for nothing or not
    called (where the turn wanted none, or nothing was called), else one too many or too few.
    """
    open_wanted, open_called = _left(wanted, called, same)
    found: Counter[str] = Counter()
    for one in list(open_wanted):
        other = next((call for call in open_called if call.name == one.name), None)
        if other is None:
            continue
        open_wanted.remove(one)
        open_called.remove(other)
        first, second = plain(one), plain(other)
        found["missing argument"] += bool(first.keys() - second.keys())
        found["extra argument"] += bool(second.keys() - first.keys())
        found["wrong value"] += any(first[key] != second[key] for key in first.keys() & second.keys())
    paired = min(len(open_wanted), len(open_called))
    found["wrong name"] += paired
    found["one call too few" if called else "not called"] += len(open_wanted) - paired
    found["one call too many" if wanted else "called for nothing"] += len(open_called) - paired
    return +found


# --- valid by the declaration --------------------------------------------------------------------

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list, tuple),
    "object": (dict,),
}


def is_valid(call: Call, functions: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a call fits one of the declared functions: name, known arguments, types, enumerations, nothing missing.

    Args:
        call: What was called.
        functions: Each with `name` and `parameters`, a JSON Schema of an object.
    """
    function = next((one for one in functions if one["name"] == call.name), None)
    if function is None:
        return False
    schema = function.get("parameters") or {}
    properties = {ALIASES.get(key, key): value for key, value in (schema.get("properties") or {}).items()}
    required = {ALIASES.get(key, key) for key in schema.get("required") or ()}
    arguments = {ALIASES.get(key, key): value for key, value in call.arguments.items()}
    if arguments.keys() - properties.keys() or required - arguments.keys():
        return False
    return all(_fits(value, properties[key]) for key, value in arguments.items())


def _fits(value: Any, schema: Mapping[str, Any]) -> bool:
    allowed = _TYPES.get(schema.get("type", ""), (object,))
    if isinstance(value, bool) and bool not in allowed and object not in allowed:
        return False
    if not isinstance(value, allowed) or ("enum" in schema and value not in schema["enum"]):
        return False
    if isinstance(value, int | float) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        return False
    return not isinstance(value, list | tuple) or all(_fits(one, schema.get("items") or {}) for one in value)


# --- pieces --------------------------------------------------------------------------------------


def _left(
    wanted: Sequence[Call], called: Sequence[Call], matches: Callable[[Call, Call], bool]
) -> tuple[list[Call], list[Call]]:
    """What is left of both after matching one to one, each wanted call with the first that matches."""
    open_wanted, open_called = [], list(called)
    for one in wanted:
        other = next((call for call in open_called if matches(one, call)), None)
        if other is None:
            open_wanted.append(one)
        else:
            open_called.remove(other)
    return open_wanted, open_called


def _num_matched(wanted: Sequence[Call], called: Sequence[Call], matches: Callable[[Call, Call], bool]) -> int:
    return len(wanted) - len(_left(wanted, called, matches)[0])


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.strip().casefold()
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return value


def _is_money(key: str) -> bool:
    return bool(_MONEY.search(key)) and "operator" not in key


def _money(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in arguments.items() if _is_money(key)}


def _free_text(arguments: Mapping[str, Any]) -> str:
    return " ".join(f"{key} {value}" for key, value in sorted(arguments.items()) if not _is_money(key))
