"""Who hears what: each thing said aloud reaches everybody who is there, as a line or as a world event."""

from __future__ import annotations

from collections.abc import Sequence

from npc_engine.client.asynchronous import AsyncClient
from npc_engine.errors import NpcEngineError
from npc_engine.playtest.scene.members import Channel, Member, Utterance


class Hearing:
    """What was said in a place, and telling it.

    Args:
        client: Connected; its server's limits say how long a sentence may be.

    Attributes:
        said: Everything that was said aloud, in order.
        not_told: Ids of members that could not be told of something, and why. A member that cannot be told goes on
            without; a server that is gone is found by the next line.
    """

    def __init__(self, client: AsyncClient) -> None:
        self.said: list[Utterance] = []
        self.not_told: list[tuple[str, NpcEngineError]] = []
        self._client = client

    @property
    def max_chars(self) -> int:
        """How long a line or a world event may be."""
        return self._client.welcome.limits.max_text_chars

    async def spread(self, utterance: Utterance, hearers: Sequence[Member]) -> None:
        """These hear something now; their talks with the player are told of it, unless it was said in them."""
        utterance.heard_by = tuple(one.id for one in hearers)
        self.said.append(utterance)
        for member in hearers:
            member.heard.append(utterance)
            if member.own is not None:
                await self.catch_up(member, member.own)

    async def catch_up(self, member: Member, channel: Channel) -> None:
        """Tell a conversation what its member has heard elsewhere since."""
        new, channel.num_told = member.heard[channel.num_told :], len(member.heard)
        for utterance in new:
            if channel.conversation.id not in utterance.said_in:
                await self.tell(member, channel, utterance)

    async def tell(self, member: Member, channel: Channel | None, utterance: Utterance) -> None:
        """Tell a conversation of one thing that its member has heard; does nothing without a conversation."""
        if channel is None:
            return
        try:
            await channel.conversation.world_event(utterance.told(max_chars=self.max_chars))
        except NpcEngineError as error:
            self.not_told.append((member.id, error))
