"""The ZeroMQ door: one ROUTER socket, one session a client, startup, serve, shutdown.

One event loop runs everything. Nothing here waits for a client: a reply that does not fit a client's
queue costs that client its session, and nobody else anything.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import zmq
import zmq.asyncio
import zmq.auth.asyncio

from npc_engine.config import EngineConfig
from npc_engine.errors import AddressInUse, ConfigError, InternalError, MalformedMessage, NpcEngineError, Overloaded
from npc_engine.protocol import codec, messages
from npc_engine.protocol.failure import error_message
from npc_engine.protocol.turn_state import ConnectionState
from npc_engine.server.auth import BindAddress, ServerKeys, check_listening
from npc_engine.server.client_session import ClientSession, coded
from npc_engine.server.dialogue_port import DialoguePort

logger = logging.getLogger(__name__)

# ZeroMQ drops the connection of a frame beyond this many times max_frame_bytes; in between, the client is
# told (FrameTooLarge). A 10 MB frame against the default limit of 1 MiB is told.
HARD_FRAME_FACTOR = 16
# Replies that may wait for one client before it counts as gone; about ten whole turns.
MAX_QUEUED_REPLIES = 1000
# Requests that may wait from one client before ZeroMQ stops reading from it.
MAX_QUEUED_REQUESTS = 32
# How long the last replies may take to leave when the server closes.
LINGER_MS = 1000
# Also wakes the loop, without which Ctrl+C would wait for traffic on Windows.
TICK_S = 0.5
# How long cancelled turns get to send their turn_end at shutdown.
CANCEL_GRACE_S = 2.0

_ZAP_DOMAIN = "npc-engine"


@dataclass(frozen=True, kw_only=True)
class ShutdownReport:
    """What shutdown did to the turns that still ran.

    Attributes:
        num_finished: Turns that ended by themselves within `shutdown_grace_s`.
        num_cancelled: Turns that had to be cancelled.
    """

    num_finished: int
    num_cancelled: int


@dataclass(kw_only=True)
class _Client:
    session: ClientSession
    last_heard_s: float


class ZmqServer:
    """Serves one dialogue over ZeroMQ.

    Args:
        dialogue: What answers; the server starts and closes it.
        config: Address, keys, limits and times.

    Needs an event loop that can watch sockets; on Windows that is `asyncio.SelectorEventLoop`.
    """

    def __init__(self, dialogue: DialoguePort, *, config: EngineConfig) -> None:
        self._dialogue = dialogue
        self._config = config
        self._limits = codec.Limits(max_frame_bytes=config.max_frame_bytes, max_depth=config.max_message_depth)
        self._clients: dict[bytes, _Client] = {}
        self._turns: set[asyncio.Task[None]] = set()
        self._resources = AsyncExitStack()
        self._stop_asked = asyncio.Event()
        self._is_stopping = False
        self._loops: list[asyncio.Task[None]] = []
        self._socket: zmq.asyncio.Socket
        self._address = ""

    @property
    def address(self) -> str:
        """Where the server listens, with the real port; empty before startup."""
        return self._address

    async def startup(self) -> None:
        """Bind, start the dialogue, and accept clients.

        Raises:
            AddressInUse: Another program listens there.
            UnsafeBind: The address can be reached from other machines and there are no keys.
            ConfigError: The address or a key file is wrong.
            NpcEngineError: What the dialogue raises. In every case nothing stays bound or running.
        """
        address, keys = check_listening(self._config)
        async with AsyncExitStack() as resources:
            self._socket = _bound_socket(address, keys, resources, max_frame_bytes=self._config.max_frame_bytes)
            resources.push_async_callback(self._dialogue.aclose)
            await self._dialogue.start()
            self._resources = resources.pop_all()
        self._address = self._socket.get_string(zmq.LAST_ENDPOINT)
        self._loops = [asyncio.create_task(self._receive()), asyncio.create_task(self._tick())]
        logger.info("listening on %s", self._address)

    async def serve(self) -> None:
        """Serve until `stop` is called."""
        stop = asyncio.create_task(self._stop_asked.wait())
        try:
            done, _ = await asyncio.wait([stop, *self._loops], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
        for task in done:
            task.result()

    def stop(self) -> None:
        """Ask `serve` to return. Call it in the server's event loop."""
        self._stop_asked.set()

    async def shutdown(self) -> ShutdownReport:
        """Accept nothing new, let running turns finish, cancel the rest, close.

        Running turns get `shutdown_grace_s`; clients can still answer actions and cancel meanwhile. Then they are
        cancelled and their clients hear `turn_end`. Everything is closed afterwards, whatever is raised.
        """
        self._is_stopping = True
        try:
            running = set(self._turns)
            late = await _wait(running, self._config.shutdown_grace_s)
            for client in self._clients.values():
                client.session.cancel_turns()
            stuck = await _wait(late, CANCEL_GRACE_S)
            for task in stuck:
                task.cancel()
            report = ShutdownReport(num_finished=len(running) - len(late), num_cancelled=len(late))
            logger.info("stopped: %d turns finished, %d cancelled", report.num_finished, report.num_cancelled)
            return report
        finally:
            for client in list(self._clients.values()):
                client.session.leave()
            self._clients.clear()
            remaining = [*self._loops, *self._turns]
            for task in remaining:
                task.cancel()
            await asyncio.gather(*remaining, return_exceptions=True)
            await self._resources.aclose()

    async def _receive(self) -> None:
        while True:
            identity, *frames = await self._socket.recv_multipart()
            self._take(identity, frames)
            # A busy socket's receive never suspends; turns must get their share.
            await asyncio.sleep(0)

    async def _tick(self) -> None:
        timeout_s = self._config.client_timeout_s
        while True:
            await asyncio.sleep(min(TICK_S, timeout_s / 2))
            now = time.monotonic()
            for identity, client in list(self._clients.items()):
                if now - client.last_heard_s > timeout_s and not client.session.is_replying:
                    self._drop(identity, f"silent for {timeout_s:g} s")

    def _take(self, identity: bytes, frames: list[bytes]) -> None:
        client = self._clients.get(identity)
        session = client.session if client else self._new_session(identity)
        if client:
            client.last_heard_s = time.monotonic()
        request_id = None
        try:
            if len(frames) != 1:
                raise MalformedMessage(f"a message is one frame, not {len(frames)}", hint="use a DEALER socket")
            fields = codec.unpack(frames[0], self._limits)
            request_id = messages.request_id_of(fields)
            request = messages.parse_request(fields)
            self._admit(request)
            session.handle(request)
        except Exception as error:
            session.fail(error, request_id=request_id)
            return
        if client is None and session.state is ConnectionState.READY:
            self._clients[identity] = _Client(session=session, last_heard_s=time.monotonic())
        elif client is not None and session.state is ConnectionState.CLOSED:
            self._clients.pop(identity, None)

    def _new_session(self, identity: bytes) -> ClientSession:
        return ClientSession(
            self._dialogue,
            config=self._config,
            send=partial(self._send, identity),
            start_turn=self._start_turn,
            server_report=self._report,
        )

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

    def _send(self, identity: bytes, reply: messages.Reply) -> None:
        try:
            frame = codec.pack(reply, self._limits)
        except NpcEngineError as error:
            # The engine made something that its own wire refuses; the client hears of it by its request id.
            failed = coded(InternalError(f"{reply.kind}: {error}"), request_id=reply.request_id)
            failure = error_message(failed, request_id=reply.request_id)
            frame = codec.pack(failure, self._limits)
        try:
            # With NOBLOCK the future is done on return.
            cast("asyncio.Future[Any]", self._socket.send_multipart([identity, frame], zmq.NOBLOCK)).result()
        except zmq.Again:
            self._drop(identity, f"{MAX_QUEUED_REPLIES} replies are waiting for it")
        except zmq.ZMQError as error:
            if error.errno != errno.EHOSTUNREACH:
                raise
            self._drop(identity, "disconnected", level=logging.INFO)

    def _drop(self, identity: bytes, reason: str, *, level: int = logging.WARNING) -> None:
        client = self._clients.pop(identity, None)
        if client is not None:
            logger.log(level, "client %s (%s) is dropped: %s", identity.hex(), client.session.name, reason)
            client.session.leave()

    def _start_turn(self, turn: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(turn)
        self._turns.add(task)
        task.add_done_callback(self._turns.discard)
        return task

    def _report(self) -> dict[str, Any]:
        return {
            "num_clients": len(self._clients),
            "num_conversations": sum(client.session.num_conversations for client in self._clients.values()),
            "num_running_turns": len(self._turns),
            "is_stopping": self._is_stopping,
        }


def _bound_socket(
    address: BindAddress, keys: ServerKeys | None, resources: AsyncExitStack, *, max_frame_bytes: int
) -> zmq.asyncio.Socket:
    context = zmq.asyncio.Context()
    resources.callback(context.term)
    if keys is not None:
        authenticator = zmq.auth.asyncio.AsyncioAuthenticator(context)
        authenticator.start()
        resources.callback(authenticator.stop)
        authenticator.configure_curve(domain=_ZAP_DOMAIN, location=keys.allowed_clients)
    socket = context.socket(zmq.ROUTER)
    resources.callback(socket.close)
    socket.linger = LINGER_MS
    socket.ipv6 = address.is_ipv6
    socket.maxmsgsize = max_frame_bytes * HARD_FRAME_FACTOR
    socket.sndhwm = MAX_QUEUED_REPLIES
    socket.rcvhwm = MAX_QUEUED_REQUESTS
    # A client that is gone or does not read must be an error here, not a silent loss.
    socket.router_mandatory = 1
    # A peer whose machine vanished is found by the kernel; ZeroMQ's own heartbeat would also drop clients
    # that are merely stopped in a debugger.
    socket.tcp_keepalive = 1
    socket.tcp_keepalive_idle = 60
    if keys is not None:
        socket.curve_server = 1
        socket.curve_publickey = keys.public_key
        socket.curve_secretkey = keys.secret_key
        socket.zap_domain = _ZAP_DOMAIN.encode("utf-8")
    try:
        socket.bind(address.endpoint)
    except zmq.ZMQError as error:
        if error.errno == errno.EADDRINUSE:
            raise AddressInUse(
                f"{address.endpoint} is in use",
                hint="stop the other program, or choose another port with --address",
            ) from error
        raise ConfigError(f"cannot listen on {address.endpoint}: {error}", hint="check the address") from error
    return socket


async def _wait(tasks: set[asyncio.Task[None]], timeout_s: float) -> set[asyncio.Task[None]]:
    if not tasks:
        return set()
    _, pending = await asyncio.wait(tasks, timeout=timeout_s)
    return pending
