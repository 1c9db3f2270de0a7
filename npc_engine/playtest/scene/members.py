"""What a scene is made of: who takes part, what was said aloud, what came of each line of the player."""

from __future__ import annotations

from dataclasses import dataclass, field

from npc_engine.client.asynchronous import AsyncConversation
from npc_engine.client.turn import Event
from npc_engine.errors import NpcEngineError
from npc_engine.playtest.heard import HeardTurn
from npc_engine.playtest.scene.addressing import Addressed


@dataclass(kw_only=True)
class Utterance:
    """Something said aloud in the place.

    Attributes:
        speaker: Who said it, by name.
        to: Whom it was meant for, by name.
        text: The words.
        heard_by: Ids of the members who were there.
        said_in: Ids of the conversations that it was a line or a reply of: these need not be told of it.
    """

    speaker: str
    to: tuple[str, ...]
    text: str
    heard_by: tuple[str, ...] = ()
    said_in: set[str] = field(default_factory=set)

    def told(self, *, max_chars: int) -> str:
        """It as one plain sentence, cut after a word where it is longer than `max_chars` characters."""
        to = " and ".join([part for part in (", ".join(self.to[:-1]), self.to[-1]) if part])
        sentence = " ".join(f"{self.speaker} has just said to {to}: {self.text}".split())
        return cut(sentence, max_chars=max_chars)


@dataclass(kw_only=True)
class Channel:
    """A conversation of a member, and how much of what the member heard it has been told.

    Attributes:
        conversation: With the player, or with another member as its player.
        num_told: How many of the member's `heard` are behind it.
    """

    conversation: AsyncConversation
    num_told: int = 0


@dataclass(kw_only=True)
class Member:
    """A character that takes part.

    Attributes:
        id: The character's id.
        name: Its name.
        is_present: Whether it is there and hears what is said.
        greeting: What it said when it first came.
        heard: What it has heard, and said itself, in order.
        own: Its conversation with the player; None until it first comes.
        among: Its conversations with other members, by their ids.
    """

    id: str
    name: str
    is_present: bool = False
    greeting: str = ""
    heard: list[Utterance] = field(default_factory=list)
    own: Channel | None = None
    among: dict[str, Channel] = field(default_factory=dict)

    @property
    def channels(self) -> list[Channel]:
        """All its conversations."""
        return [*([self.own] if self.own else []), *self.among.values()]


@dataclass(kw_only=True)
class Reply:
    """What a member answered, or why it did not.

    Attributes:
        member: The member's id.
        to: The id of the member that it answers; None for the player.
        heard: The turn.
        error: What ended the turn in its place.
        utterance: What was said aloud; None where nothing was.
    """

    member: str
    to: str | None
    heard: HeardTurn
    error: NpcEngineError | None = None
    utterance: Utterance | None = None

    @property
    def text(self) -> str:
        """The reply, as far as it was heard."""
        return self.heard.reply.strip()


@dataclass(kw_only=True)
class Round:
    """One line of the player and what came of it.

    Attributes:
        line: The line.
        addressed: Whom it was meant for.
        absent: Ids of members whom it calls by name and who are not there.
        replies: In the order in which they were begun; those of the characters among themselves last.
    """

    line: str
    addressed: Addressed
    absent: tuple[str, ...] = ()
    replies: list[Reply] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class SceneEvent:
    """A piece of a turn, with the reply that it belongs to.

    Attributes:
        reply: What has been heard of it so far.
        event: As the conversation's turn gave it, or the error that ended the turn.
    """

    reply: Reply
    event: Event | NpcEngineError

    @property
    def member(self) -> str:
        """The id of the member that speaks."""
        return self.reply.member


def cut(text: str, *, max_chars: int) -> str:
    """The text, or as many of its first words as fit with an ellipsis."""
    if len(text) <= max_chars:
        return text
    head = text[: max_chars - 1]
    return f"{head.rpartition(' ')[0] or head}…"
