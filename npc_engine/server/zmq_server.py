"""The ZeroMQ door: one ROUTER socket; the peer's routing id is the client.

Nothing here waits for a client: a reply that does not fit a client's queue costs that client its session, and nobody
else anything.
"""

from __future__ import annotations

import asyncio
import errno
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, cast

import zmq
import zmq.asyncio
import zmq.auth.asyncio

from npc_engine.config import EngineConfig
from npc_engine.errors import AddressInUse, ConfigError, MalformedMessage
from npc_engine.server.auth import BindAddress, ServerKeys, check_listening
from npc_engine.server.sessions import HARD_FRAME_FACTOR, MAX_QUEUED_REPLIES, Client, ClientGone, Sessions

# Requests that may wait from one client before ZeroMQ stops reading from it.
MAX_QUEUED_REQUESTS = 32
# How long the last replies may take to leave when the server closes.
LINGER_MS = 1000

_ZAP_DOMAIN = "npc-engine"


class ZmqServer:
    """Brings ZeroMQ clients to their sessions.

    Args:
        sessions: Where clients are let in.
        config: Address, keys and limits.

    Needs an event loop that can watch sockets; on Windows that is `asyncio.SelectorEventLoop`.
    """

    def __init__(self, sessions: Sessions, *, config: EngineConfig) -> None:
        self._sessions = sessions
        self._config = config
        self._clients: dict[bytes, Client] = {}
        self._socket: zmq.asyncio.Socket

    def open(self, resources: AsyncExitStack) -> str:
        """Bind; `resources` frees everything when it closes.

        Returns:
            The address, with the real port.

        Raises:
            AddressInUse: Another program listens there.
            UnsafeBind: The address can be reached from other machines and there are no keys.
            ConfigError: The address or a key file is wrong.
        """
        address, keys = check_listening(self._config)
        self._socket = _bound_socket(address, keys, resources, max_frame_bytes=self._config.max_frame_bytes)
        return self._socket.get_string(zmq.LAST_ENDPOINT)

    async def run(self) -> None:
        """Read requests until cancelled."""
        while True:
            identity, *frames = await self._socket.recv_multipart()
            self._take(identity, frames)
            # A busy socket's receive never suspends; turns must get their share.
            await asyncio.sleep(0)

    def _take(self, identity: bytes, frames: list[bytes]) -> None:
        client = self._clients.get(identity) or self._sessions.new_client(
            label=identity.hex(),
            transmit=partial(self._transmit, identity),
            on_gone=partial(self._forget, identity),
        )
        if len(frames) == 1:
            self._sessions.take(client, frames[0])
        else:
            reason = f"a message is one frame, not {len(frames)}"
            self._sessions.refuse(client, MalformedMessage(reason, hint="use a DEALER socket"))
        # Who has not said hello is not remembered: a peer may connect, send rubbish and leave as often as it likes.
        if self._sessions.is_connected(client):
            self._clients[identity] = client
        else:
            self._forget(identity)

    def _forget(self, identity: bytes) -> None:
        self._clients.pop(identity, None)

    def _transmit(self, identity: bytes, frame: bytes) -> None:
        try:
            # With NOBLOCK the future is done on return.
            cast("asyncio.Future[Any]", self._socket.send_multipart([identity, frame], zmq.NOBLOCK)).result()
        except zmq.Again:
            raise ClientGone(f"{MAX_QUEUED_REPLIES} replies are waiting for it", is_ordinary=False) from None
        except zmq.ZMQError as error:
            if error.errno != errno.EHOSTUNREACH:
                raise
            raise ClientGone("disconnected", is_ordinary=True) from None


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
