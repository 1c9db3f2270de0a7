"""A TCP relay in front of a door: it stalls, cuts connections, closes its port for a while, or dribbles bytes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass

# Between two bytes that dribble: long enough that the other side reads each alone.
DRIBBLE_S = 0.001
# What is moved at once otherwise; little, so that a stalled relay also holds its clients' bytes back.
CHUNK_BYTES = 1 << 14


@dataclass(frozen=True)
class _Target:
    host: str
    port: int


class Relay:
    """Brings TCP connections to a port of this machine to another.

    Args:
        host: Where to listen and where the target is.
        port: The target's port.
        is_dribbling: Whether each byte travels alone.
    """

    def __init__(self, host: str, port: int, *, is_dribbling: bool = False) -> None:
        self.port = 0
        self._target = _Target(host, port)
        self._is_dribbling = is_dribbling
        self._is_flowing = asyncio.Event()
        self._is_flowing.set()
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen: on any free port at first, later on the same again."""
        self._server = await asyncio.start_server(self._meet, self._target.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stall(self, seconds: float) -> None:
        """Move no byte for so long; returns at once."""
        self._is_flowing.clear()
        asyncio.get_running_loop().call_later(seconds, self._is_flowing.set)

    async def cut(self, closed_s: float) -> None:
        """Cut every connection; accept none for so long, if that is more than 0."""
        if closed_s > 0:
            self._stop_listening()
        for link in list(self._links):
            link.cancel()
        if closed_s > 0:
            await asyncio.sleep(closed_s)
            await self.start()

    async def close(self) -> None:
        """Stop listening and cut what is left."""
        self._stop_listening()
        links = list(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.current_task()
        assert link is not None
        self._links.add(link)
        try:
            # What is cut is no error of anybody's here.
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await self._link(reader, writer)
        finally:
            self._links.discard(link)
            writer.transport.abort()

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._target.host, self._target.port)
        try:
            for each in (writer, far_writer):
                each.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pumps = [
                asyncio.create_task(self._pump(reader, far_writer)),
                asyncio.create_task(self._pump(far_reader, writer)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            far_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK_BYTES):
            await self._is_flowing.wait()
            if not self._is_dribbling:
                writer.write(data)
                await writer.drain()
                continue
            for index in range(len(data)):
                writer.write(data[index : index + 1])
                await writer.drain()
                await asyncio.sleep(DRIBBLE_S)
