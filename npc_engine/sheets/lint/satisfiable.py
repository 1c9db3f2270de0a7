"""Whether a condition can hold at all, and whether it can fail: a small solver over the parsed tree.

A condition is first written with `not` at its leaves only (Kleene's logic keeps that exact). Then one way to make it
true is searched, branch by branch; each branch keeps an interval with holes for a number, what the place is or is not,
and yes or no for a faction or flag.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from npc_engine.sheets.conditions import MAX_QUEST_STAGE, AllOf, AnyOf, Compare, Condition, Has, Node, Not

# Branches looked at before the answer is "it can hold": a condition of 300 characters rarely has over a hundred.
MAX_BRANCHES = 20_000
_MAXIMUM = {"trust": 100, "hour": 23, "quest": MAX_QUEST_STAGE}
_NEGATED = {"==": "!=", "!=": "==", ">=": "<", "<": ">=", ">": "<=", "<=": ">"}


@dataclass(frozen=True)
class _Numbers:
    """Whole numbers from `low` to `high` but for `holes`."""

    low: int
    high: int
    holes: frozenset[int] = frozenset()

    def narrowed(self, sign: str, value: int) -> _Numbers:
        match sign:
            case "==":
                inside = value not in self.holes
                return replace(self, low=max(self.low, value), high=min(self.high, value) if inside else -1)
            case "!=":
                return replace(self, holes=self.holes | {value})
            case ">=":
                return replace(self, low=max(self.low, value))
            case ">":
                return replace(self, low=max(self.low, value + 1))
            case "<=":
                return replace(self, high=min(self.high, value))
            case _:
                return replace(self, high=min(self.high, value - 1))

    @property
    def is_empty(self) -> bool:
        return self.high - self.low + 1 <= sum(self.low <= hole <= self.high for hole in self.holes)


@dataclass(frozen=True)
class _State:
    """What a branch has demanded so far."""

    numbers: dict[str, _Numbers] = field(default_factory=dict)
    place: str | None = None
    not_places: frozenset[str] = frozenset()
    has: dict[tuple[str, str], bool] = field(default_factory=dict)

    def demanding(self, leaf: Compare | Has, wanted: bool) -> _State | None:
        """This state with one more demand; None where the two cannot be met together."""
        if isinstance(leaf, Has):
            name = (leaf.kind, leaf.name)
            if self.has.get(name, wanted) != wanted:
                return None
            return replace(self, has=self.has | {name: wanted})
        sign = leaf.sign if wanted else _NEGATED[leaf.sign]
        if isinstance(leaf.value, str):
            return self._at_place(sign == "==", leaf.value)
        key = f"quest {leaf.quest}" if leaf.subject == "quest" else leaf.subject
        known = self.numbers.get(key, _Numbers(0, _MAXIMUM[leaf.subject]))
        narrowed = known.narrowed(sign, leaf.value)
        return None if narrowed.is_empty else replace(self, numbers=self.numbers | {key: narrowed})

    def _at_place(self, is_there: bool, place: str) -> _State | None:
        if is_there:
            fits = self.place in (None, place) and place not in self.not_places
            return replace(self, place=place) if fits else None
        return None if self.place == place else replace(self, not_places=self.not_places | {place})


class _Search:
    """Looks for one state that meets a list of demands; gives up, saying yes, after `MAX_BRANCHES`."""

    def __init__(self, *, unknown_fails: bool = False) -> None:
        self._left = MAX_BRANCHES
        # Place and hour unknown is the state in which the fewest conditions hold.
        self._unknown_fails = unknown_fails

    def meets(self, state: _State, demands: tuple[tuple[Node, bool], ...]) -> bool:
        self._left -= 1
        if self._left < 0 or not demands:
            return True
        (node, wanted), rest = demands[0], demands[1:]
        if isinstance(node, Not):
            return self.meets(state, ((node.part, not wanted), *rest))
        if isinstance(node, AllOf | AnyOf):
            parts = tuple((part, wanted) for part in node.parts)
            if isinstance(node, AllOf) == wanted:
                return self.meets(state, (*parts, *rest))
            return any(self.meets(state, (part, *rest)) for part in parts)
        if self._unknown_fails and isinstance(node, Compare) and node.subject in ("place", "hour"):
            return self.meets(state, rest)
        narrowed = state.demanding(node, wanted)
        return narrowed is not None and self.meets(narrowed, rest)


def can_hold(*conditions: Condition | None) -> bool:
    """Whether some state of the game makes all of the conditions hold; None is no condition."""
    demands = tuple((condition.root, True) for condition in conditions if condition is not None)
    return _Search().meets(_State(), demands)


def can_fail(condition: Condition) -> bool:
    """Whether some state of the game makes the condition not hold, unknown places and hours included."""
    return _Search(unknown_fails=True).meets(_State(), ((condition.root, False),))


def implies(condition: Condition | None, other: Condition | None) -> bool:
    """Whether `other` certainly holds wherever `condition` does; in doubt no."""
    if other is None:
        return True
    demands: list[tuple[Node, bool]] = [(other.root, False)]
    if condition is not None:
        demands.append((condition.root, True))
    return not _Search(unknown_fails=condition is None).meets(_State(), tuple(demands))


def dead_parts(condition: Condition) -> tuple[Node, ...]:
    """The alternatives of a condition's outermost `or` that can never hold, where another can."""
    if not isinstance(condition.root, AnyOf):
        return ()
    dead = tuple(part for part in condition.root.parts if not can_hold(Condition(part)))
    return dead if len(dead) < len(condition.root.parts) else ()
