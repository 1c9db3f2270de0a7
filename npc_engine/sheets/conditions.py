"""When something in a sheet holds: a small expression language over the game's state.

    trust >= 40 and (quest('siege') >= 2 or flag('rain')) and not place == 'market'

A condition is parsed once, when its sheet loads, into a small tree that only this module walks; no text is ever
evaluated. What the game has not told (`place`, `hour`) is unknown, and an unknown comparison never makes a condition
hold, negated or not: a secret stays hidden rather than slipping out through a `not`.

    or    := and ("or" and)*
    and   := not ("and" not)*
    not   := "not" not | "(" or ")" | atom
    atom  := ("trust" | "hour" | "quest" "(" TEXT ")") OPERATOR NUMBER
           | "place" ("==" | "!=") TEXT
           | ("faction" | "flag") "(" TEXT ")"
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from npc_engine.errors import InvalidState, SheetCondition

MAX_CONDITION_CHARS = 300
MAX_CONDITION_DEPTH = 8
MAX_STATE_NAMES = 1024
MAX_STATE_NAME_CHARS = 64
MAX_QUEST_STAGE = 1_000_000

_NUMBERS = {"trust": 100, "hour": 23, "quest": MAX_QUEST_STAGE}
_NAMES = ("trust", "hour", "quest", "place", "faction", "flag", "and", "or", "not")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_OTHER_SPELLINGS = {"=": "==", "&&": "and", "||": "or", "!": "not", "&": "and", "|": "or", "=>": ">=", "=<": "<="}
_OTHER_NAMES = {"time": "hour", "location": "place", "stage": "quest", "xor": "or"}

StateName = Annotated[str, Field(strict=True, min_length=1, max_length=MAX_STATE_NAME_CHARS)]


# --- the state -------------------------------------------------------------------------------------------------


class GameState(BaseModel):
    """What the game has told about the player and the scene; the only thing a condition can see."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trust: Annotated[int, Field(strict=True, ge=0, le=100)] = Field(
        0, description="how far this character trusts this player, 0 to 100"
    )
    quests: dict[StateName, Annotated[int, Field(strict=True, ge=0, le=MAX_QUEST_STAGE)]] = Field(
        default_factory=dict, max_length=MAX_STATE_NAMES, description="stage of each quest; one not listed is at 0"
    )
    place: StateName | None = Field(None, description="where the talk happens; null is unknown")
    factions: frozenset[StateName] = Field(
        frozenset(), max_length=MAX_STATE_NAMES, description="factions the player belongs to"
    )
    hour: Annotated[int, Field(strict=True, ge=0, le=23)] | None = Field(
        None, description="hour of the game's day, 0 to 23; null is unknown"
    )
    flags: frozenset[StateName] = Field(
        frozenset(), max_length=MAX_STATE_NAMES, description="anything else that is true now, by name"
    )

    @classmethod
    def parse(cls, mapping: Mapping[str, Any]) -> Self:
        """Read a state as the game sends it.

        Raises:
            InvalidState: A key is unknown, or a value has a wrong type or range; the message names each.
        """
        try:
            return cls.model_validate(dict(mapping))
        except ValidationError as error:
            problems = [_state_problem(item["loc"], item["type"], item["msg"]) for item in error.errors()]
            raise InvalidState(
                "; ".join(dict.fromkeys(problems)), hint=f"state has the keys {', '.join(cls.model_fields)}"
            ) from error

    def updated(self, mapping: Mapping[str, Any]) -> Self:
        """This state with the given keys replaced, each as a whole; the others stay.

        Raises:
            InvalidState: As `parse`; this state is unchanged.
        """
        return self.parse({name: getattr(self, name) for name in type(self).model_fields} | dict(mapping))


def _state_problem(loc: tuple[int | str, ...], kind: str, message: str) -> str:
    key = ".".join(str(part) for part in loc)
    if kind == "extra_forbidden":
        near = get_close_matches(key, GameState.model_fields, n=1)
        return f"unknown key {key[:MAX_STATE_NAME_CHARS]!r}" + (f", did you mean {near[0]!r}?" if near else "")
    return f"{key}: {message}"


# --- the tree --------------------------------------------------------------------------------------------------

Truth = bool | None
"""True, False, or None where the state does not say (Kleene's three-valued logic)."""


@dataclass(frozen=True)
class Compare:
    """`subject operator value`; `quest` is the quest's name where the subject is `quest`."""

    subject: Literal["trust", "hour", "quest", "place"]
    sign: str
    value: int | str
    quest: str = ""

    def truth(self, state: GameState) -> Truth:
        """Compare; None where the state does not know the subject."""
        actual: int | str | None
        actual = state.quests.get(self.quest, 0) if self.subject == "quest" else getattr(state, self.subject)
        return None if actual is None else _COMPARE[self.sign](actual, self.value)

    def __str__(self) -> str:
        subject = f"quest({_quoted(self.quest)})" if self.subject == "quest" else self.subject
        return f"{subject} {self.sign} {_quoted(self.value) if isinstance(self.value, str) else self.value}"


@dataclass(frozen=True)
class Has:
    """The player is of a faction, or a flag is set."""

    kind: Literal["faction", "flag"]
    name: str

    def truth(self, state: GameState) -> Truth:
        """Membership; always known."""
        return self.name in (state.factions if self.kind == "faction" else state.flags)

    def __str__(self) -> str:
        return f"{self.kind}({_quoted(self.name)})"


@dataclass(frozen=True)
class Not:
    """True where its part is False; unknown stays unknown."""

    part: Node

    def truth(self, state: GameState) -> Truth:
        """Kleene negation."""
        inner = self.part.truth(state)
        return None if inner is None else not inner

    def __str__(self) -> str:
        return f"not {_grouped(self.part, (AllOf, AnyOf))}"


@dataclass(frozen=True)
class AllOf:
    """Every part holds; at least two parts."""

    parts: tuple[Node, ...]

    def truth(self, state: GameState) -> Truth:
        """Kleene conjunction: one False decides, else one unknown."""
        truths = [part.truth(state) for part in self.parts]
        return False if False in truths else None if None in truths else True

    def __str__(self) -> str:
        return " and ".join(_grouped(part, (AllOf, AnyOf)) for part in self.parts)


@dataclass(frozen=True)
class AnyOf:
    """At least one part holds; at least two parts."""

    parts: tuple[Node, ...]

    def truth(self, state: GameState) -> Truth:
        """Kleene disjunction: one True decides, else one unknown."""
        truths = [part.truth(state) for part in self.parts]
        return True if True in truths else None if None in truths else False

    def __str__(self) -> str:
        return " or ".join(_grouped(part, (AnyOf,)) for part in self.parts)


Node = Compare | Has | Not | AllOf | AnyOf


@dataclass(frozen=True)
class Condition:
    """A parsed condition."""

    root: Node

    @property
    def text(self) -> str:
        """The condition written out in one canonical way; parses back to an equal condition."""
        return str(self.root)

    def holds(self, state: GameState) -> bool:
        """Whether the condition is certainly true in this state."""
        return self.root.truth(state) is True

    def both(self, other: Condition | None) -> Condition:
        """The condition that holds where this one and the other do."""
        return self if other is None else Condition(AllOf((self.root, other.root)))


def _quoted(text: str) -> str:
    return f'"{text}"' if "'" in text else f"'{text}'"


def _grouped(part: Node, kinds: tuple[type, ...]) -> str:
    return f"({part})" if isinstance(part, kinds) else str(part)


# --- the parser ------------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<name>[A-Za-z_][A-Za-z_0-9]*)
    | (?P<number>[0-9]+)
    | (?P<text>'[^'\r\n]*'|"[^"\r\n]*")
    | (?P<sign>==|!=|>=|<=|=>|=<|&&|\|\||[<>=!&|()])
    | (?P<bad>\S)
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    column: int


def parse_condition(text: str) -> Condition:
    """Parse a condition.

    Raises:
        SheetCondition: It does not parse; `column` is the 1-based place in the text, the hint says what to write.
    """
    if len(text) > MAX_CONDITION_CHARS:
        raise SheetCondition(
            f"condition of {len(text)} characters, at most {MAX_CONDITION_CHARS} are allowed",
            column=1,
            hint="set one flag in the game for what it stands for",
        )
    return Condition(_Parser(text).parse())


class _Parser:
    """Recursive descent over the grammar above; the depth limit bounds the recursion."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokenize(text))
        self._next = 0

    def parse(self) -> Node:
        node = self._any(0)
        rest = self._peek()
        if rest.kind != "end":
            raise self._unexpected(rest, "`and`, `or` or the end")
        return node

    def _any(self, depth: int) -> Node:
        parts = [self._all(depth)]
        while self._take("or"):
            parts.append(self._all(depth))
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _all(self, depth: int) -> Node:
        parts = [self._not(depth)]
        while self._take("and"):
            parts.append(self._not(depth))
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _not(self, depth: int) -> Node:
        token = self._peek()
        if depth > MAX_CONDITION_DEPTH:
            raise _error(token, f"nested deeper than {MAX_CONDITION_DEPTH}", "write a simpler condition")
        if self._take("not"):
            return Not(self._not(depth + 1))
        if self._take("("):
            node = self._any(depth + 1)
            self._expect(")")
            return node
        return self._atom()

    def _atom(self) -> Node:
        token = self._peek()
        if token.kind != "name" or token.text in ("and", "or"):
            raise self._unexpected(token, "a name such as `trust`")
        self._next += 1
        match token.text:
            case "trust" | "hour":
                return Compare(token.text, self._sign(token.text), self._number(token.text))
            case "quest":
                quest = self._argument("quest")
                return Compare("quest", self._sign(f"quest('{quest}')"), self._number("quest"), quest)
            case "place":
                sign = self._peek()
                if sign.text not in ("==", "!="):
                    raise _error(sign, f"expected == or != after place, found {_shown(sign)}", "place == 'forge'")
                self._next += 1
                return Compare("place", sign.text, self._text("place == 'forge'"))
            case "faction" | "flag":
                return Has(token.text, self._argument(token.text))
        near = _OTHER_NAMES.get(token.text.lower()) or next(
            iter(get_close_matches(token.text.lower(), _NAMES, n=1)), ""
        )
        hint = f"did you mean `{near}`?" if near else "the names are trust, hour, quest, place, faction and flag"
        raise _error(token, f"unknown name {token.text!r}", hint)

    def _argument(self, name: str) -> str:
        example = f"{name}('siege')"
        if not self._take("("):
            raise _error(self._peek(), f"expected ( after {name}, found {_shown(self._peek())}", f"write {example}")
        value = self._text(example)
        self._expect(")")
        return value

    def _sign(self, subject: str) -> str:
        token = self._peek()
        if token.text not in _COMPARE:
            hint = f"write a comparison such as {subject} >= 1"
            if token.text in _OTHER_SPELLINGS:
                hint = f"did you mean `{_OTHER_SPELLINGS[token.text]}`?"
            raise _error(token, f"expected a comparison after {subject}, found {_shown(token)}", hint)
        self._next += 1
        return token.text

    def _number(self, subject: str) -> int:
        token = self._peek()
        if token.kind != "number":
            raise self._unexpected(token, "a whole number")
        # A longer run of digits is out of every range, and int() refuses thousands of them.
        value = int(token.text[:12])
        if value > _NUMBERS[subject]:
            raise _error(token, f"{subject} goes from 0 to {_NUMBERS[subject]}", "choose a value the game can reach")
        self._next += 1
        return value

    def _text(self, example: str) -> str:
        token = self._peek()
        if token.kind != "text":
            raise _error(token, f"expected a name in quotes, found {_shown(token)}", f"write {example}")
        value = token.text[1:-1]
        if not 1 <= len(value) <= MAX_STATE_NAME_CHARS:
            raise _error(token, f"a name has 1 to {MAX_STATE_NAME_CHARS} characters", f"write {example}")
        self._next += 1
        return value

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, text: str) -> bool:
        token = self._peek()
        found = token.kind in ("name", "sign") and token.text == text
        self._next += found
        return found

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise self._unexpected(self._peek(), f"`{text}`")

    def _unexpected(self, token: _Token, wanted: str) -> SheetCondition:
        other = _OTHER_SPELLINGS.get(token.text)
        hint = f"did you mean `{other}`?" if other else "for example: trust >= 40 and quest('siege') >= 2"
        return _error(token, f"expected {wanted}, found {_shown(token)}", hint)


def _tokenize(text: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        token = _Token(kind, match[kind], match.start(kind) + 1)
        if kind == "bad":
            quote = token.text in "'\""
            raise _error(
                token,
                "a quote is not closed" if quote else f"unexpected character {token.text!r}",
                "for example: trust >= 40 and quest('siege') >= 2",
            )
        yield token
    yield _Token("end", "", len(text) + 1)


def _shown(token: _Token) -> str:
    return "the end" if token.kind == "end" else f"`{token.text[:40]}`"


def _error(token: _Token, message: str, hint: str) -> SheetCondition:
    return SheetCondition(message, column=token.column, hint=hint)
