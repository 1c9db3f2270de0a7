"""Which actions a conversation may use: those of the sheet that the game runs, and those that the game declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from npc_engine.actions.declare import declared_actions
from npc_engine.errors import InvalidAction, UnknownAction
from npc_engine.sheets.schema import ActionSpec, CharacterSheet

# Offers every action of the sheet at `open_conversation`.
ALL_ACTIONS = "*"


class Offer:
    """What one game runs for one character.

    Args:
        names: The sheet's actions that it runs; `*` for all.
        declare_actions: Its own, as `npc_engine.actions.declare` reads them.

    Attributes:
        declared: Its own actions.

    Raises:
        InvalidAction: A declared action cannot be used.
    """

    def __init__(self, names: Sequence[str], declare_actions: Sequence[Mapping[str, Any]]) -> None:
        self._names = frozenset(names)
        self.declared = declared_actions(declare_actions)

    def opened(self, sheet: CharacterSheet) -> tuple[ActionSpec, ...]:
        """The actions of a new conversation.

        Raises:
            UnknownAction: The sheet has none of that name.
            InvalidAction: A declared action has the name of one of the sheet's that is offered.
        """
        known = {action.name for action in sheet.actions} | {ALL_ACTIONS}
        if unknown := sorted(self._names - known):
            raise UnknownAction(
                f"{sheet.id} has no action {', '.join(map(repr, unknown))}",
                hint=f"the sheet has: {', '.join(sorted(known - {ALL_ACTIONS})) or 'none'}; {ALL_ACTIONS!r} means all",
            )
        of_sheet = self._of_sheet(sheet)
        if taken := sorted({action.name for action in of_sheet} & {action.name for action in self.declared}):
            raise InvalidAction(
                f"{sheet.id} has an action {', '.join(map(repr, taken))} already, and it is offered",
                hint="give the declared action another name, or leave the sheet's out of `actions`",
            )
        return of_sheet + self.declared

    def renewed(self, sheet: CharacterSheet) -> tuple[ActionSpec, ...]:
        """The actions that are left with a changed sheet; of two with one name, the one that the game declares."""
        declared = {action.name for action in self.declared}
        return tuple(action for action in self._of_sheet(sheet) if action.name not in declared) + self.declared

    def _of_sheet(self, sheet: CharacterSheet) -> tuple[ActionSpec, ...]:
        is_all = ALL_ACTIONS in self._names
        return tuple(action for action in sheet.resolved_actions() if is_all or action.name in self._names)
