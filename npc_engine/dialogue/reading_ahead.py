"""Read what was just said into the cache while the player thinks: the next prompt then computes its tail alone.

A turn's notes are dropped from the talk once it is answered, so the exchange as it is remembered has to be read before
the next tail. Done between turns it costs the player nothing; an engine that has others to answer leaves it.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from npc_engine.errors import NpcEngineError

if TYPE_CHECKING:
    from npc_engine.dialogue.session import Conversation

_log = logging.getLogger(__name__)


class ReadingAhead:
    """One conversation's reading between turns, at most one at a time."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    def begin(self, conversation: Conversation) -> None:
        """Begin in the background. What goes wrong only costs the next turn time."""
        self.cancel()
        self._task = asyncio.create_task(_read(conversation))

    async def stop(self) -> None:
        """Stop within milliseconds; what was read by then stays in the cache."""
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def cancel(self) -> None:
        """As `stop`, without waiting for it."""
        if self._task is not None:
            self._task.cancel()
            self._task = None


async def _read(conversation: Conversation) -> None:
    character = conversation.character
    ids = character.prompts.talk(conversation.history.exchanges, offered=conversation.actions)
    try:
        await character.engine.read(ids, conversation_id=conversation.id, adapter=character.adapter)
    except NpcEngineError as error:
        _log.debug("%s: nothing was read ahead: %s", conversation.id, error)
