"""One connected client: its conversations, what each of its requests does, and the server's edge.

Knows nothing of sockets: replies go to the `send` it was given, so that every door of the server
shares it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import npc_engine
from npc_engine.config import EngineConfig
from npc_engine.dialogue import events
from npc_engine.errors import (
    ConversationClosed,
    InternalError,
    NpcEngineError,
    TextTooLong,
    TooManyConversations,
    UnknownConversation,
)
from npc_engine.protocol import messages
from npc_engine.protocol.failure import error_message
from npc_engine.protocol.turn_state import ConnectionMoves, ConnectionState, ConversationMoves, ConversationState
from npc_engine.server.dialogue_port import ConversationPort, DialoguePort

logger = logging.getLogger(__name__)

# How many closed conversations a client may still name and hear NPC303 for, instead of NPC302.
MAX_REMEMBERED_CLOSED = 1024


@dataclass(kw_only=True)
class _OpenConversation:
    port: ConversationPort
    moves: ConversationMoves = field(default_factory=ConversationMoves)
    has_turn: bool = False
    close_request_id: int | None = None


class ClientSession:
    """One client, from its first message to its last.

    Args:
        dialogue: Where conversations are opened.
        config: Limits and times.
        send: Takes each reply to this client. Must not raise and must not wait.
        start_turn: Runs a turn in the background.
        server_report: The `server` part of `health_report`.
    """

    def __init__(
        self,
        dialogue: DialoguePort,
        *,
        config: EngineConfig,
        send: Callable[[messages.Reply], None],
        start_turn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        server_report: Callable[[], dict[str, Any]],
    ) -> None:
        self.name = ""
        self._dialogue = dialogue
        self._config = config
        self._send_to_client = send
        self._start_turn = start_turn
        self._server_report = server_report
        self._moves = ConnectionMoves()
        self._conversations: dict[str, _OpenConversation] = {}
        self._closed_ids: OrderedDict[str, None] = OrderedDict()

    @property
    def state(self) -> ConnectionState:
        """Where the connection stands."""
        return self._moves.state

    @property
    def num_conversations(self) -> int:
        """Open conversations."""
        return len(self._conversations)

    @property
    def is_replying(self) -> bool:
        """Whether a turn of this client runs."""
        return any(conversation.has_turn for conversation in self._conversations.values())

    def handle(self, request: messages.Request) -> None:
        """Carry out one request and send its replies; a `say` goes on in the background.

        Raises:
            NpcEngineError: The request failed; nothing has changed and no reply was sent.
        """
        self._moves.check(request.kind)
        match request:
            case messages.Hello():
                self._welcome(request)
            case messages.ListCharacters():
                self._send(self._characters(request))
            case messages.OpenConversation():
                self._open(request)
            case messages.CloseConversation():
                self._close(request)
            case messages.Say():
                self._say(request)
            case messages.Cancel():
                conversation = self._conversation(request.conversation_id, request.kind)
                self._send(messages.Ok(request_id=request.request_id, cancelled=conversation.port.cancel()))
            case messages.ActionResult():
                conversation = self._conversation(request.conversation_id, request.kind)
                conversation.port.action_result(request.call_id, request.result, request.error)
                conversation.moves.on(request.kind)
                self._send(messages.Ok(request_id=request.request_id))
            case messages.WorldEvent():
                self._world_event(request)
            case messages.SetState():
                self._conversation(request.conversation_id, request.kind).port.set_state(request.changes)
                self._send(messages.Ok(request_id=request.request_id))
            case messages.SetControls():
                self._set_controls(request)
            case messages.Undo():
                conversation = self._conversation(request.conversation_id, request.kind)
                self._send(messages.Undone(**_names(request), remaining=conversation.port.undo(request.turns)))
            case messages.Health():
                engine, server = self._dialogue.health(), self._server_report()
                self._send(messages.HealthReport(request_id=request.request_id, engine=engine, server=server))
            case messages.Metrics():
                text = self._dialogue.metrics_text()
                self._send(messages.MetricsReport(request_id=request.request_id, text=text))
            case messages.Bye():
                self._send(messages.Ok(request_id=request.request_id))
                self.leave()
            case _:
                raise InternalError(f"no handler for {request.kind!r}")
        if self._moves.state is not ConnectionState.CLOSED:
            self._moves.on(request.kind)

    def fail(self, error: Exception, *, request_id: int | None) -> None:
        """Answer a failed request; what is not a deliberate error is logged and answered without its traceback."""
        self._send(error_message(coded(error, request_id=request_id), request_id=request_id))

    def leave(self) -> None:
        """The client is gone or says bye: send nothing more, cancel its turns, close its conversations."""
        self._moves.state = ConnectionState.CLOSED
        for conversation in list(self._conversations.values()):
            if conversation.has_turn:
                conversation.port.cancel()
            else:
                self._forget(conversation)

    def cancel_turns(self) -> None:
        """Cancel every running turn; each still sends its `turn_end`."""
        for conversation in self._conversations.values():
            if conversation.has_turn:
                conversation.port.cancel()

    def _send(self, reply: messages.Reply) -> None:
        if self._moves.state is not ConnectionState.CLOSED:
            self._send_to_client(reply)

    def _welcome(self, request: messages.Hello) -> None:
        config = self._config
        self.name = request.client
        self._send(
            messages.Welcome(
                request_id=request.request_id,
                protocol_version=messages.PROTOCOL_VERSION,
                engine_version=npc_engine.__version__,
                limits=messages.ConnectionLimits(
                    max_frame_bytes=config.max_frame_bytes,
                    max_message_depth=config.max_message_depth,
                    max_text_chars=config.max_text_chars,
                    max_conversations=config.max_conversations_per_client,
                    client_timeout_s=config.client_timeout_s,
                    turn_deadline_s=config.turn_deadline_s,
                    action_timeout_s=config.action_timeout_s,
                ),
            )
        )

    def _characters(self, request: messages.ListCharacters) -> messages.Characters:
        entries = [
            messages.CharacterEntry(id=character.id, name=character.name, role=character.role)
            for character in sorted(self._dialogue.characters(), key=lambda each: each.id)
        ]
        return messages.Characters(request_id=request.request_id, characters=entries)

    def _open(self, request: messages.OpenConversation) -> None:
        if len(self._conversations) >= self._config.max_conversations_per_client:
            raise TooManyConversations(
                f"this client already holds {len(self._conversations)} open conversations",
                hint="close some; the limit is max_conversations_per_client",
            )
        port = self._dialogue.open_conversation(
            request.character_id,
            player_id=request.player_id,
            player_name=request.player_name,
            state=request.state,
            actions=request.actions,
            declare_actions=request.declare_actions,
        )
        self._conversations[port.id] = _OpenConversation(port=port)
        self._send(
            messages.ConversationOpened(request_id=request.request_id, conversation_id=port.id, greeting=port.greeting)
        )

    def _close(self, request: messages.CloseConversation) -> None:
        conversation = self._conversation(request.conversation_id, request.kind)
        conversation.moves.on(request.kind)
        conversation.close_request_id = request.request_id
        if conversation.has_turn:
            # The turn's end closes it, so that turn_end is heard before conversation_closed.
            conversation.port.cancel()
        else:
            self._forget(conversation)

    def _say(self, request: messages.Say) -> None:
        conversation = self._conversation(request.conversation_id, request.kind)
        self._check_text(request.text)
        conversation.moves.on(request.kind)
        conversation.has_turn = True
        self._start_turn(self._run_turn(conversation, request))

    async def _run_turn(self, conversation: _OpenConversation, request: messages.Say) -> None:
        is_ended = False
        try:
            # Closed here and now, whatever happens, so that the conversation is free for its next turn.
            events_of_turn = conversation.port.say(request.text, controls=request.controls, seed=request.seed)
            async with aclosing(events_of_turn) as turn:
                async for event in turn:
                    reply = _turn_message(event, request)
                    conversation.moves.on(reply.kind)
                    is_ended = reply.kind == "turn_end"
                    self._send(reply)
            if not is_ended:
                raise InternalError("the turn stopped without its end")
        except Exception as error:
            if is_ended:
                logger.error("request %s failed after its end", request.request_id, exc_info=error)
            else:
                conversation.moves.on("error")
                self.fail(error, request_id=request.request_id)
        finally:
            conversation.has_turn = False
            if conversation.moves.state is ConversationState.CLOSING or self.state is ConnectionState.CLOSED:
                self._forget(conversation)

    def _set_controls(self, request: messages.SetControls) -> None:
        conversation = self._conversation(request.conversation_id, request.kind)
        now = conversation.port.set_controls(request.controls)
        self._send(messages.ControlsSet(**_names(request), controls=now.own, in_force=dict(now.by_route)))

    def _world_event(self, request: messages.WorldEvent) -> None:
        self._check_text(request.text)
        if request.conversation_id is not None:
            hearers = [self._conversation(request.conversation_id, request.kind)]
        else:
            hearers = [
                each for each in self._conversations.values() if each.moves.state is not ConversationState.CLOSING
            ]
        for conversation in hearers:
            conversation.port.world_event(request.text, request.game_time)
        self._send(messages.Ok(request_id=request.request_id))

    def _conversation(self, conversation_id: str, kind: str) -> _OpenConversation:
        conversation = self._conversations.get(conversation_id)
        if conversation is None:
            if conversation_id in self._closed_ids:
                raise ConversationClosed(f"conversation {conversation_id!r} is closed", hint="open a new conversation")
            raise UnknownConversation(
                f"this client has no conversation {conversation_id!r}", hint="use the id of `conversation_opened`"
            )
        conversation.moves.check(kind)
        return conversation

    def _forget(self, conversation: _OpenConversation) -> None:
        conversation_id = conversation.port.id
        del self._conversations[conversation_id]
        self._closed_ids[conversation_id] = None
        if len(self._closed_ids) > MAX_REMEMBERED_CLOSED:
            self._closed_ids.popitem(last=False)
        conversation.port.close()
        if conversation.close_request_id is not None:
            conversation.moves.on("conversation_closed")
            self._send(
                messages.ConversationClosed(request_id=conversation.close_request_id, conversation_id=conversation_id)
            )

    def _check_text(self, text: str) -> None:
        if len(text) > self._config.max_text_chars:
            raise TextTooLong(
                f"a text of {len(text)} characters; at most {self._config.max_text_chars} are accepted",
                hint="shorten it; the limit is max_text_chars",
            )


def coded(error: Exception, *, request_id: int | None) -> NpcEngineError:
    """The error as a client may see it; what is not deliberate is logged with its traceback."""
    if isinstance(error, NpcEngineError) and not isinstance(error, InternalError):
        return error
    logger.error("request %s failed on an internal error", request_id, exc_info=error)
    return InternalError(
        f"internal error while handling request {request_id}",
        hint="the server's log has the traceback under this request id; please report it",
    )


def _names(request: messages.Say | messages.SetControls | messages.Undo) -> dict[str, Any]:
    return {"request_id": request.request_id, "conversation_id": request.conversation_id}


def _turn_message(event: events.TurnEvent, request: messages.Say) -> messages.TurnMessage:
    names = _names(request)
    match event:
        case events.Token():
            return messages.Token(text=event.text, **names)
        case events.Sentence():
            return messages.Sentence(index=event.index, text=event.text, **names)
        case events.ActionCall():
            return messages.ActionCall(
                call_id=event.call_id,
                name=event.name,
                arguments=event.arguments,
                idempotency_key=event.idempotency_key,
                cost=event.cost,
                **names,
            )
        case events.TurnEnd():
            return messages.TurnEnd(
                text=event.text, finish_reason=event.finish_reason, source=event.source, trace=event.trace, **names
            )
