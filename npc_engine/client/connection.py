"""One DEALER socket in a thread of its own: requests out, replies to whoever asked, matched by request id.

Both clients stand on it, so that neither blocks a game's loop nor needs a certain kind of event loop,
and a client that is silent (a player away from the keyboard) stays connected.
"""

from __future__ import annotations

import itertools
import logging
import socket as sockets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from npc_engine.client.curve import CurveKeys
from npc_engine.errors import ConnectionLost, NpcEngineError
from npc_engine.protocol import codec, messages
from npc_engine.protocol.failure import exception

logger = logging.getLogger(__name__)

# Takes each reply to one request, and the error that ends it; called in the connection's thread.
Sink = Callable[[messages.Reply | NpcEngineError], None]

# Kinds after which more replies to the same request follow.
_UNFINISHED = ("token", "sentence", "action_call")
# How long `bye` may take to leave when the connection is closed.
_LINGER_MS = 500
# Requests for `health` per client_timeout_s while the client is silent.
_SIGNS_OF_LIFE = 3

_HANDSHAKE_FAILURES = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL,
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
    zmq.EVENT_HANDSHAKE_FAILED_AUTH,
)


class Connection:
    """A connection to one server, from its construction to `close` or the server's end.

    Args:
        address: The server's address.
        keys: For a server with CURVE keys.

    Its methods may be called from any thread.
    """

    def __init__(self, address: str, *, keys: CurveKeys | None = None) -> None:
        self._address = address
        self._request_ids = itertools.count(1)
        self._limits = codec.Limits()
        self._keep_alive_s: float | None = None
        self._last_sent_s = time.monotonic()
        # Guards _sinks, _outbox and _lost.
        self._lock = threading.Lock()
        self._sinks: dict[int, Sink] = {}
        self._outbox: deque[bytes] = deque()
        self._lost: ConnectionLost | None = None
        self._is_up = False
        self._is_closing = False
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._wake_in, self._wake_out = sockets.socketpair()
        try:
            self._monitor = self._connect(keys)
        except zmq.ZMQError as error:
            self._lost = ConnectionLost(
                f"cannot connect to {address!r}: {error}", hint="for example tcp://127.0.0.1:5570"
            )
            self._release()
            raise self._lost from error
        # A daemon, so that a game that forgets to close can still exit.
        self._thread = threading.Thread(target=self._run, name=f"npc-engine client {address}", daemon=True)
        self._thread.start()

    def configure(self, limits: messages.ConnectionLimits) -> None:
        """Take over the server's limits, and stay connected while silent."""
        self._limits = codec.Limits(max_frame_bytes=limits.max_frame_bytes, max_depth=limits.max_message_depth)
        self._keep_alive_s = limits.client_timeout_s / _SIGNS_OF_LIFE
        self._wake()

    def submit(self, kind: str, fields: Mapping[str, Any], sink: Sink | None = None) -> int:
        """Send a request; its replies, and the error that ends it, go to `sink` (None: to nobody).

        Args:
            kind: The request's kind.
            fields: Its other fields, without `request_id`.
            sink: Called in the connection's thread.

        Returns:
            The request's id.

        Raises:
            ProtocolError: The fields are not those of a legal message, or it exceeds the server's limits.
            ConnectionLost: The server is gone, or the connection was closed. In every case nothing was sent.
        """
        request_id = next(self._request_ids)
        request = messages.parse_request({"kind": kind, "request_id": request_id, **fields})
        # Without what the caller left out: an older server refuses fields that it does not know.
        frame = codec.pack(request, self._limits, only_given=True)
        with self._lock:
            if self._lost is not None:
                raise ConnectionLost(self._lost.message, hint=self._lost.hint)
            if sink is not None:
                self._sinks[request_id] = sink
            self._outbox.append(frame)
        self._wake()
        return request_id

    def forget(self, request_id: int) -> None:
        """Let later replies to this request go to nobody."""
        with self._lock:
            self._sinks.pop(request_id, None)

    def close(self) -> None:
        """Send what is queued, end the thread and free the sockets; open requests fail with ConnectionLost."""
        self._is_closing = True
        self._wake()
        self._thread.join()

    def _connect(self, keys: CurveKeys | None) -> zmq.Socket[bytes]:
        if keys is not None:
            self._socket.curve_serverkey = keys.server_public_key
            self._socket.curve_publickey = keys.public_key
            self._socket.curve_secretkey = keys.secret_key
        events = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
        for failure in _HANDSHAKE_FAILURES:
            events |= failure
        monitor: zmq.Socket[bytes] = self._socket.get_monitor_socket(events)
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._socket.connect(self._address)
        return monitor

    def _wake(self) -> None:
        try:
            self._wake_out.send(b"\0")
        except BlockingIOError:
            pass  # so many wake-ups wait that one more changes nothing
        except OSError:
            pass  # closed meanwhile; there is nothing to wake

    def _run(self) -> None:
        poller = zmq.Poller()
        for source in (self._socket, self._monitor, self._wake_in):
            poller.register(source, zmq.POLLIN)
        lost: ConnectionLost | None = None
        while lost is None:
            ready = dict(poller.poll(self._poll_ms()))
            if self._wake_in.fileno() in ready:
                self._wake_in.recv(4096)
            lost = self._send_queued()
            # The monitor before the replies: what came before the loss is still delivered.
            if lost is None and self._monitor in ready:
                lost = self._read_monitor()
            self._deliver_replies()
            if self._is_closing:
                lost = ConnectionLost("the connection was closed", hint="connect again")
        self._fail_all(lost)
        self._release()

    def _poll_ms(self) -> int | None:
        if self._keep_alive_s is None:
            return None
        # Rounded up, or the last millisecond would be polled away.
        return max(0, int((self._last_sent_s + self._keep_alive_s - time.monotonic()) * 1000)) + 1

    def _send_queued(self) -> ConnectionLost | None:
        with self._lock:
            frames = list(self._outbox)
            self._outbox.clear()
        if self._keep_alive_s is not None and time.monotonic() - self._last_sent_s >= self._keep_alive_s:
            frames.append(codec.pack(messages.Health(request_id=next(self._request_ids)), self._limits))
        for frame in frames:
            self._last_sent_s = time.monotonic()
            try:
                self._socket.send(frame, zmq.NOBLOCK)
            except zmq.Again:
                return ConnectionLost(
                    f"the server at {self._address} reads nothing; {self._socket.sndhwm} requests are waiting",
                    hint="see whether it is overloaded or stopped in a debugger",
                )
        return None

    def _read_monitor(self) -> ConnectionLost | None:
        lost: ConnectionLost | None = None
        while self._monitor.poll(0):
            event = recv_monitor_message(self._monitor)["event"]
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._is_up = True
            elif event == zmq.EVENT_DISCONNECTED and self._is_up:
                lost = ConnectionLost(
                    f"the server at {self._address} closed the connection",
                    hint="see whether it still runs (its log says why it stopped), then connect again",
                )
            elif event in _HANDSHAKE_FAILURES:
                lost = ConnectionLost(
                    f"the server at {self._address} refused the connection",
                    hint="its CURVE keys and this client's do not match, or no ZeroMQ server listens there",
                )
        return lost

    def _deliver_replies(self) -> None:
        while self._socket.poll(0):
            self._deliver(self._socket.recv())

    def _deliver(self, frame: bytes) -> None:
        request_id = None
        reply: messages.Reply | NpcEngineError
        try:
            fields = codec.unpack(frame, self._limits)
            request_id = messages.request_id_of(fields)
            reply = messages.parse_reply(fields)
        except NpcEngineError as error:
            reply = error
        is_last = isinstance(reply, NpcEngineError) or reply.kind not in _UNFINISHED
        if isinstance(reply, messages.Error):
            reply = exception(reply)
        with self._lock:
            sink = self._sinks.get(-1 if request_id is None else request_id)
            if is_last and request_id is not None:
                self._sinks.pop(request_id, None)
        if sink is not None:
            sink(reply)
        elif isinstance(reply, NpcEngineError):
            logger.warning("an error that no open request claims: %s", reply)

    def _fail_all(self, error: ConnectionLost) -> None:
        with self._lock:
            self._lost = error
            sinks = list(self._sinks.values())
            self._sinks.clear()
            self._outbox.clear()
        for sink in sinks:
            sink(error)

    def _release(self) -> None:
        # Destroying the context waits for every socket in it, the monitor's too.
        self._context.destroy(linger=_LINGER_MS if self._is_up else 0)
        self._wake_in.close()
        self._wake_out.close()
