"""What the server needs of the dialogue room, as types; the dialogue room's own classes fit them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Protocol

from npc_engine.dialogue.events import TurnEvent
from npc_engine.dialogue.overrides import ControlsInForce


class CharacterSummary(Protocol):
    """What a list of characters shows."""

    @property
    def id(self) -> str:
        """The sheet's id."""

    @property
    def name(self) -> str:
        """The character's name."""

    @property
    def role(self) -> str:
        """What the character is in the world."""


class ConversationPort(Protocol):
    """One player and one character."""

    @property
    def id(self) -> str:
        """Unique among the process's conversations."""

    @property
    def greeting(self) -> str:
        """The character's authored first line; may be empty."""

    def say(
        self, text: str, *, controls: Mapping[str, Any] | None = None, seed: int | None = None
    ) -> AsyncGenerator[TurnEvent, None]:
        """Run one turn; ends with a TurnEnd unless it raises a RequestError before its first event.

        Closing the generator abandons the turn. `controls` hold for this turn; `seed` is an unsigned 32-bit integer.
        """

    def cancel(self) -> bool:
        """Stop the running turn, which still ends with a TurnEnd; False where none runs."""

    def action_result(self, call_id: str, result: Mapping[str, Any] | None, error: str | None) -> None:
        """Answer an ActionCall; raises UnknownActionCall."""

    def world_event(self, text: str, game_time: float | None) -> None:
        """Tell the character what the game knows now."""

    def set_state(self, changes: Mapping[str, Any]) -> None:
        """Change the game's state; raises InvalidState and then changes nothing."""

    def set_controls(self, changes: Mapping[str, Any]) -> ControlsInForce:
        """Change controls from the next turn on, None giving one back; raises InvalidControls and changes nothing."""

    def undo(self, turns: int) -> int:
        """Take back the last turns; returns how many are left. Raises NothingToUndo and then changes nothing."""

    def close(self) -> None:
        """Free what the conversation holds."""


class DialoguePort(Protocol):
    """The dialogue room as the server sees it. Called from one event loop only."""

    def characters(self) -> Sequence[CharacterSummary]:
        """Every loaded character."""

    def open_conversation(
        self,
        character_id: str,
        *,
        player_id: str,
        player_name: str | None,
        state: Mapping[str, Any],
        actions: Sequence[str],
        declare_actions: Sequence[Mapping[str, Any]] = (),
    ) -> ConversationPort:
        """Open a conversation; raises UnknownCharacter, UnknownAction, InvalidAction or InvalidState."""

    def health(self) -> dict[str, Any]:
        """What the engine runs on, as plain data."""

    def metrics_text(self) -> str:
        """The metrics in the Prometheus text format."""

    async def start(self) -> None:
        """Begin to serve conversations."""

    async def aclose(self) -> None:
        """End every conversation and free the models."""
