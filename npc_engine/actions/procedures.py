"""Rules between actions as a table over what has happened, looked up before every call and after every success.

    | what is chosen           | what has happened               | what is next |
    | an action with `require` | that one has not succeeded yet  | call that one first |
    | an action to be agreed   | no yes to an offer that was heard | offer it |
    | any                      | all of that                     | call it |
    | succeeded, with `offer`  |                                 | offer that one |

The model has no say in it, and what the player claims ("I already said yes") is no row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from npc_engine.actions.record import Record, Success
from npc_engine.sheets.action_spec import CONFIRM, ActionSpec, Procedure


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is next.

    Attributes:
        kind: Call the action, or offer it and wait for a yes.
        action: Its name.
        arguments: What is known of its arguments.
        rule: The procedure that put it before the chosen action; None for the chosen action itself.
    """

    kind: Literal["call", "offer"]
    action: str
    arguments: dict[str, Any]
    rule: str | None = None


class Procedures:
    """The rules of one sheet, free of circles.

    Args:
        rules: The sheet's procedures.
    """

    def __init__(self, rules: Sequence[Procedure]) -> None:
        self._rules = tuple(rules)

    def before(self, action: ActionSpec, arguments: Mapping[str, Any], record: Record, *, is_agreed: bool) -> Step:
        """What must happen now so that the action can be called in the end.

        Args:
            action: What was chosen.
            arguments: With what.
            record: What has happened.
            is_agreed: Whether the player has said yes to an offer of exactly this that was heard.
        """
        for rule in self._requiring(action.name):
            if rule.require is not None and rule.require != CONFIRM and _met(rule.require, arguments, record) is None:
                return Step(kind="call", action=rule.require, arguments=dict(arguments), rule=rule.name)
        if not is_agreed and self.asks_first(action):
            return Step(kind="offer", action=action.name, arguments=dict(arguments))
        return Step(kind="call", action=action.name, arguments=dict(arguments))

    def after(self, action: str) -> str | None:
        """The action to offer after a success; the first rule counts, as one question at a time can be answered."""
        return next((rule.offer for rule in self._rules if rule.after == action), None)

    def asks_first(self, action: ActionSpec) -> bool:
        """Whether the action needs the player's yes."""
        return action.confirm or any(rule.require == CONFIRM for rule in self._requiring(action.name))

    def use(self, action: str, arguments: Mapping[str, Any], record: Record) -> None:
        """Mark what a successful action required as used: the next time it is required anew."""
        for rule in self._requiring(action):
            success = _met(rule.require, arguments, record) if rule.require != CONFIRM and rule.require else None
            if success is not None:
                success.is_used = True

    def _requiring(self, action: str) -> list[Procedure]:
        return [rule for rule in self._rules if rule.before == action]


def _met(required: str, arguments: Mapping[str, Any], record: Record) -> Success | None:
    """The latest unused success of an action whose arguments are equal where both actions have them."""
    for success in reversed(record.successes):
        shared = success.arguments.keys() & arguments.keys()
        is_same = all(success.arguments[name] == arguments[name] for name in shared)
        if success.name == required and not success.is_used and is_same:
            return success
    return None
