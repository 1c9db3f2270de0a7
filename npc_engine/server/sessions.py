"""Every connected client of every door: who is let in, what a frame does, who is dropped, how all of it ends.

Knows nothing of sockets: a door gives each client a `transmit`, and hands over the frames it reads. One event loop runs
everything, and nothing here waits for a client.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from npc_engine.config import EngineConfig
from npc_engine.errors import InternalError, NpcEngineError, Overloaded
from npc_engine.protocol import codec, messages
from npc_engine.protocol.failure import error_message
from npc_engine.protocol.turn_state import ConnectionState
from npc_engine.server.client_session import ClientSession, coded
from npc_engine.server.dialogue_port import DialoguePort

logger = logging.getLogger(__name__)

# Every door drops the connection of a frame beyond this many times max_frame_bytes; in between, the client is
# told (FrameTooLarge). A 10 MB frame against the default limit of 1 MiB is told.
HARD_FRAME_FACTOR = 16
# Replies that may wait for one client before it counts as gone; about ten whole turns.
MAX_QUEUED_REPLIES = 1000
# Also wakes the loop, without which Ctrl+C would wait for traffic on Windows.
TICK_S = 0.5
# How long cancelled turns get to send their turn_end at shutdown.
CANCEL_GRACE_S = 2.0


class ClientGone(Exception):
    """Raised by a door's `transmit`: this client is gone or does not read.

    Args:
        reason: For the log.
        is_ordinary: Whether clients simply leave like this.
    """

    def __init__(self, reason: str, *, is_ordinary: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_ordinary = is_ordinary


@dataclass(frozen=True, kw_only=True)
class ShutdownReport:
    """What shutdown did to the turns that still ran.

    Attributes:
        num_finished: Turns that ended by themselves within `shutdown_grace_s`.
        num_cancelled: Turns that had to be cancelled.
    """

    num_finished: int
    num_cancelled: int


class Client:
    """One client as its door knows it. `Sessions.new_client` makes it.

    Attributes:
        label: Names it in the log.
        transmit: Sends one frame without waiting; raises ClientGone.
        on_gone: Tells its door that it was dropped.
        session: Its conversations.
        last_heard_s: When its last frame came (`time.monotonic`).
    """

    def __init__(self, *, label: str, transmit: Callable[[bytes], None], on_gone: Callable[[], None]) -> None:
        self.label = label
        self.transmit = transmit
        self.on_gone = on_gone
        self.session: ClientSession
        self.last_heard_s = time.monotonic()


class Sessions:
    """The clients of one server.

    Args:
        dialogue: What answers.
        config: Limits and times.
    """

    def __init__(self, dialogue: DialoguePort, *, config: EngineConfig) -> None:
        self._dialogue = dialogue
        self._config = config
        self._limits = codec.Limits(max_frame_bytes=config.max_frame_bytes, max_depth=config.max_message_depth)
        self._clients: set[Client] = set()
        self._turns: set[asyncio.Task[None]] = set()
        self._is_stopping = False

    def new_client(self, *, label: str, transmit: Callable[[bytes], None], on_gone: Callable[[], None]) -> Client:
        """A client that a door has just met. It counts as connected from its `hello` on."""
        client = Client(label=label, transmit=transmit, on_gone=on_gone)
        client.session = ClientSession(
            self._dialogue,
            config=self._config,
            send=lambda reply: self._send(client, reply),
            start_turn=self._start_turn,
            server_report=self._report,
        )
        return client

    def is_connected(self, client: Client) -> bool:
        """Whether it has said hello and was not dropped."""
        return client in self._clients

    def take(self, client: Client, frame: bytes) -> None:
        """Carry out one frame of a client; whatever it holds, the answer is a message."""
        client.last_heard_s = time.monotonic()
        request_id = None
        try:
            fields = codec.unpack(frame, self._limits)
            request_id = messages.request_id_of(fields)
            request = messages.parse_request(fields)
            self._admit(request)
            self._handle(client, request)
        except Exception as error:
            client.session.fail(error, request_id=request_id)
            return
        if client.session.state is ConnectionState.READY:
            self._clients.add(client)
        elif client.session.state is ConnectionState.CLOSED:
            self._clients.discard(client)

    def refuse(self, client: Client, error: NpcEngineError) -> None:
        """Answer what a door could not read as a frame."""
        client.last_heard_s = time.monotonic()
        client.session.fail(error, request_id=None)

    def drop(self, client: Client, reason: str, *, is_ordinary: bool = False) -> None:
        """Forget a client: its turns are cancelled, its conversations closed, its door is told."""
        if client in self._clients:
            self._clients.discard(client)
            level = logging.INFO if is_ordinary else logging.WARNING
            logger.log(level, "client %s (%s) is dropped: %s", client.label, client.session.name, reason)
        client.session.leave()
        client.on_gone()

    async def drop_the_silent(self) -> None:
        """Drop clients that are silent for `client_timeout_s` with no turn running. Runs until cancelled."""
        timeout_s = self._config.client_timeout_s
        while True:
            await asyncio.sleep(min(TICK_S, timeout_s / 2))
            now = time.monotonic()
            for client in list(self._clients):
                if now - client.last_heard_s > timeout_s and not client.session.is_replying:
                    self.drop(client, f"silent for {timeout_s:g} s")

    async def finish_turns(self) -> ShutdownReport:
        """Let nothing new in, let running turns finish, cancel the rest.

        Running turns get `shutdown_grace_s`; clients can still answer actions and cancel meanwhile. Then they are
        cancelled and their clients hear `turn_end`.
        """
        self._is_stopping = True
        running = set(self._turns)
        late = await _wait(running, self._config.shutdown_grace_s)
        for client in list(self._clients):
            client.session.cancel_turns()
        stuck = await _wait(late, CANCEL_GRACE_S)
        for task in stuck:
            task.cancel()
        report = ShutdownReport(num_finished=len(running) - len(late), num_cancelled=len(late))
        logger.info("stopped: %d turns finished, %d cancelled", report.num_finished, report.num_cancelled)
        return report

    async def close(self) -> None:
        """Every client leaves; what still runs is cancelled."""
        for client in list(self._clients):
            client.session.leave()
        self._clients.clear()
        remaining = list(self._turns)
        for task in remaining:
            task.cancel()
        await asyncio.gather(*remaining, return_exceptions=True)

    def _handle(self, client: Client, request: messages.Request) -> None:
        client.session.handle(request)

    def _admit(self, request: messages.Request) -> None:
        if self._is_stopping and request.kind in ("hello", "open_conversation", "say"):
            raise Overloaded(
                "the server is shutting down",
                retry_after_s=self._config.shutdown_grace_s + CANCEL_GRACE_S,
                hint="connect again when it is back",
            )
        if request.kind == "hello" and len(self._clients) >= self._config.max_clients:
            raise Overloaded(
                f"{len(self._clients)} clients are connected",
                retry_after_s=self._config.client_timeout_s,
                hint="say `bye` with clients that are done; the limit is max_clients",
            )

    def _send(self, client: Client, reply: messages.Reply) -> None:
        try:
            for frame in self._frames(client, reply):
                client.transmit(frame)
        except ClientGone as gone:
            self.drop(client, gone.reason, is_ordinary=gone.is_ordinary)

    def _frames(self, client: Client, reply: messages.Reply) -> list[bytes]:
        try:
            return [codec.pack(reply, self._limits)]
        except NpcEngineError as error:
            # The engine made something that its own wire refuses; the client hears of it by its request id.
            failed = coded(InternalError(f"{reply.kind}: {error}"), request_id=reply.request_id)
            return [codec.pack(error_message(failed, request_id=reply.request_id), self._limits)]

    def _start_turn(self, turn: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(turn)
        self._turns.add(task)
        task.add_done_callback(self._turns.discard)
        return task

    def _report(self) -> dict[str, Any]:
        return {
            "num_clients": len(self._clients),
            "num_conversations": sum(client.session.num_conversations for client in self._clients),
            "num_running_turns": len(self._turns),
            "is_stopping": self._is_stopping,
        }


async def _wait(tasks: set[asyncio.Task[None]], timeout_s: float) -> set[asyncio.Task[None]]:
    if not tasks:
        return set()
    _, pending = await asyncio.wait(tasks, timeout=timeout_s)
    return pending
