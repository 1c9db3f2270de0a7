"""The WebSocket door, for clients that cannot link ZeroMQ: one binary message is one msgpack map.

Loopback only, and browsers only from listed origins and from the door's own page where it has one:
docs/decisions/0009. Messages, limits and sessions are those of the ZeroMQ door. Nothing here waits for a client: each
has a queue and a task that empties it.
"""

from __future__ import annotations

import asyncio
import errno
import http
import logging
import socket
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from functools import partial

from websockets.asyncio.server import Server as ListeningServer
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.http11 import Request, Response
from websockets.typing import Origin

from npc_engine.config import EngineConfig
from npc_engine.errors import AddressInUse, ConfigError, MalformedMessage
from npc_engine.protocol.turn_state import ConnectionState
from npc_engine.server.auth import parse_websocket_address
from npc_engine.server.sessions import HARD_FRAME_FACTOR, MAX_QUEUED_REPLIES, Client, ClientGone, Sessions
from npc_engine.server.site import Site

# Requests that may wait from one client before nothing more is read from it.
MAX_QUEUED_REQUESTS = 32
# How long a connection may take for its HTTP request, and then for its `hello`.
OPENING_S = 10.0
# How long the last replies, and then the closing handshake, may take to leave when a connection is closed.
LINGER_S = 1.0
KEEPALIVE_IDLE_S = 60
# Browsers leave it out of names and origins.
_HTTP_PORT = 80


@dataclass(eq=False)
class _Peer:
    """One connection: its socket, its queue (None ends it), and whether and with which code it is to be closed."""

    connection: ServerConnection
    queue: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(MAX_QUEUED_REPLIES))
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    code: CloseCode = CloseCode.POLICY_VIOLATION

    def end(self, code: CloseCode) -> None:
        """Ask for the connection's end, after what is queued; the first code counts."""
        if not self.ending.is_set():
            self.code = code
            self.ending.set()

    def transmit(self, frame: bytes) -> None:
        """Queue one frame.

        Raises:
            ClientGone: The connection ends, or its queue is full.
        """
        if self.ending.is_set():
            raise ClientGone("disconnected", is_ordinary=True)
        try:
            self.queue.put_nowait(frame)
        except asyncio.QueueFull:
            raise ClientGone(f"{MAX_QUEUED_REPLIES} replies are waiting for it", is_ordinary=False) from None


class WebSocketServer:
    """Brings WebSocket clients to their sessions.

    Args:
        sessions: Where clients are let in.
        config: Address, origins and limits.
        site: Files that it hands out over HTTP; their pages may use it.
    """

    def __init__(self, sessions: Sessions, *, config: EngineConfig, site: Site | None = None) -> None:
        self._sessions = sessions
        self._config = config
        self._site = site
        # Hosts with ports under which a browser of this machine reaches the site.
        self._names: list[str] = []
        # None: programs that are no browsers send no Origin.
        self._origins: list[Origin | None] = [None, *map(Origin, config.websocket_origins)]
        self._meetings: dict[_Peer, asyncio.Task[None]] = {}
        self._server: ListeningServer

    async def open(self, address: str, resources: AsyncExitStack) -> str:
        """Bind without accepting anyone yet; `resources` closes everything when it closes.

        Returns:
            The address, with the real port.

        Raises:
            AddressInUse: Another program listens there.
            UnsafeBind: The address is not loopback.
            ConfigError: The address is not `ws://HOST:PORT`, or cannot be had.
        """
        host, port = parse_websocket_address(address)
        try:
            self._server = await serve(
                self._meet,
                host,
                port,
                origins=self._origins,
                # A compressed message could unfold to more than its limit, and costs latency.
                compression=None,
                max_size=self._config.max_frame_bytes * HARD_FRAME_FACTOR,
                max_queue=MAX_QUEUED_REQUESTS,
                # As at the ZeroMQ door: the kernel finds vanished machines; a client in a debugger is not dropped.
                ping_interval=None,
                open_timeout=OPENING_S,
                close_timeout=LINGER_S,
                process_request=self._answer_request,
                server_header=None,
                logger=_QUIET,
                start_serving=False,
            )
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise AddressInUse(
                    f"{address} is in use", hint="stop the other program, or choose another websocket_address"
                ) from error
            raise ConfigError(f"cannot listen on {address}: {error}", hint="check websocket_address") from error
        resources.push_async_callback(self._close)
        bound_port = self._server.sockets[0].getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        if self._site is not None:
            # Known only now, and nobody is accepted yet.
            port_part = "" if bound_port == _HTTP_PORT else f":{bound_port}"
            self._names = [name + port_part, "localhost" + port_part]
            self._origins += [Origin(f"http://{each}") for each in self._names]
        return f"ws://{name}:{bound_port}/"

    async def start(self) -> None:
        """Accept clients."""
        await self._server.start_serving()

    def _answer_request(self, connection: ServerConnection, request: Request) -> Response | None:
        """What is answered instead of a WebSocket handshake; None lets that happen."""
        if len(self._meetings) >= self._config.max_clients:
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "the limit is max_clients\n")
        if self._site is not None and "Upgrade" not in request.headers:
            return self._site.respond(request, self._names)
        return None

    async def _meet(self, connection: ServerConnection) -> None:
        peer = _Peer(connection)
        _keep_alive(connection.transport.get_extra_info("socket"))
        client = self._sessions.new_client(
            label=str(connection.id), transmit=peer.transmit, on_gone=partial(peer.end, CloseCode.POLICY_VIOLATION)
        )
        meeting = asyncio.current_task()
        assert meeting is not None
        self._meetings[peer] = meeting
        reader = asyncio.create_task(self._read(peer, client))
        writer = asyncio.create_task(self._write(peer))
        ending = asyncio.create_task(peer.ending.wait())
        try:
            await asyncio.wait([reader, writer, ending], return_when=asyncio.FIRST_COMPLETED)
            reads_nothing = peer.queue.full()
            self._sessions.drop(client, "disconnected", is_ordinary=True)
            if reads_nothing:
                # A closing handshake would wait behind everything else.
                connection.transport.abort()
            else:
                peer.queue.put_nowait(None)
                await asyncio.wait([writer], timeout=LINGER_S)
                await connection.close(peer.code)
        finally:
            del self._meetings[peer]
            for task in (reader, writer, ending):
                task.cancel()
            await asyncio.gather(reader, writer, ending, return_exceptions=True)

    async def _read(self, peer: _Peer, client: Client) -> None:
        with suppress(ConnectionClosed, TimeoutError):
            while client.session.state is not ConnectionState.CLOSED:
                async with asyncio.timeout(None if self._sessions.is_connected(client) else OPENING_S):
                    message = await peer.connection.recv()
                if isinstance(message, bytes):
                    self._sessions.take(client, message)
                else:
                    hint = "send one msgpack map as one binary message"
                    self._sessions.refuse(client, MalformedMessage("a message is binary, not text", hint=hint))
                # What has come already is read without a wait; turns must get their share.
                await asyncio.sleep(0)
            peer.end(CloseCode.NORMAL_CLOSURE)

    async def _write(self, peer: _Peer) -> None:
        with suppress(ConnectionClosed):
            while (frame := await peer.queue.get()) is not None:
                await peer.connection.send(frame)

    async def _close(self) -> None:
        """Let what is queued leave, close every connection, and listen no more."""
        meetings = list(self._meetings.values())
        for peer in self._meetings:
            peer.end(CloseCode.GOING_AWAY)
        if meetings:
            await asyncio.wait(meetings)
        self._server.close()
        await self._server.wait_closed()


def _keep_alive(tcp: socket.socket) -> None:
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)


def _quiet_logger() -> logging.Logger:
    # The library logs each port scan and each aborted connection with a traceback.
    quiet = logging.getLogger(f"{__name__}.library")
    quiet.setLevel(logging.CRITICAL)
    return quiet


_QUIET = _quiet_logger()
