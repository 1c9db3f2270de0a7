"""One turn as a client hears it, with the figures that players feel."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from npc_engine.client.blocking import Conversation, Turn
from npc_engine.client.turn import Event
from npc_engine.protocol.messages import ActionCall, Sentence, Token, TurnEnd


@dataclass(kw_only=True)
class HeardTurn:
    """What was heard, and when, measured at the client from the moment the line was sent.

    Attributes:
        line: What the player said.
        reply: The whole reply.
        sentences: The same by sentence.
        actions: The actions the game was asked for.
        time_to_first_token_s: To the first piece of speech.
        time_to_first_sentence_s: To the first whole sentence.
        total_s: To the end of the turn.
        end: The turn's end with its trace; None until it has come.
    """

    line: str
    reply: str = ""
    sentences: list[str] = field(default_factory=list)
    actions: list[ActionCall] = field(default_factory=list)
    time_to_first_token_s: float = 0.0
    time_to_first_sentence_s: float = 0.0
    total_s: float = 0.0
    end: TurnEnd | None = None

    @property
    def trace(self) -> dict[str, Any]:
        """The turn's trace; empty until it has ended."""
        return dict(self.end.trace) if self.end is not None else {}

    @property
    def tokens_per_s(self) -> float | None:
        """Decoding speed after the first token; None for an authored line or a reply of one token."""
        seconds = self.trace.get("latency", {}).get("time_per_output_token_s", 0.0)
        return 1.0 / seconds if seconds else None

    def count(self, event: Event, elapsed_s: float) -> None:
        """Take in one event.

        Args:
            event: In the order they come.
            elapsed_s: Since the line was sent.
        """
        match event:
            case Token():
                self.reply += event.text
                self.time_to_first_token_s = self.time_to_first_token_s or elapsed_s
            case Sentence():
                self.sentences.append(event.text)
                self.time_to_first_sentence_s = self.time_to_first_sentence_s or elapsed_s
            case ActionCall():
                self.actions.append(event)
            case TurnEnd():
                self.reply, self.end, self.total_s = event.text, event, elapsed_s


def hear(talk: Conversation, heard: HeardTurn) -> Iterator[Event]:
    """Say `heard.line`, pass every event on, and fill `heard` in.

    Raises:
        NpcEngineError: The server refused the line, or is gone.
    """
    begun = time.perf_counter()
    return follow(talk.say(heard.line), heard, begun=begun)


def follow(turn: Turn, heard: HeardTurn, *, begun: float) -> Iterator[Event]:
    """Pass every event of a turn on, and fill `heard` in.

    Args:
        turn: As `Conversation.say` began it.
        heard: What is filled in.
        begun: When the line was sent (`time.perf_counter`).

    Raises:
        NpcEngineError: The server refused the line, or is gone.
    """
    for event in turn:
        heard.count(event, time.perf_counter() - begun)
        yield event


def figures(heard: HeardTurn) -> str:
    """One line: what the reply used and what it took."""
    premises = [premise["id"] for premise in heard.trace.get("premises", ())]
    speed = f", {heard.tokens_per_s:.1f} tokens/s" if heard.tokens_per_s else ""
    who = "" if heard.end is None or heard.end.source == "model" else f", {heard.end.source}"
    return (
        f"first word {heard.time_to_first_token_s:.2f} s, whole {heard.total_s:.2f} s{speed}{who}; "
        f"facts: {', '.join(premises) or 'none'}"
    )
