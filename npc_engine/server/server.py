"""A server from startup to shutdown: the dialogue, the sessions, and the doors that clients come in by."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack

from npc_engine.config import EngineConfig
from npc_engine.server.dialogue_port import DialoguePort
from npc_engine.server.sessions import Sessions, ShutdownReport
from npc_engine.server.site import Site
from npc_engine.server.websocket import WebSocketServer
from npc_engine.server.zmq_server import ZmqServer

logger = logging.getLogger(__name__)


class Server:
    """Serves one dialogue.

    Args:
        dialogue: What answers; the server starts and closes it.
        config: Addresses, keys, limits and times.
        make_sessions: Makes what keeps the clients.
        site: Files that the WebSocket door hands out over HTTP.

    Needs an event loop that can watch sockets; on Windows that is `asyncio.SelectorEventLoop`.
    """

    def __init__(
        self,
        dialogue: DialoguePort,
        *,
        config: EngineConfig,
        make_sessions: Callable[..., Sessions] = Sessions,
        site: Site | None = None,
    ) -> None:
        self._dialogue = dialogue
        self._config = config
        self._site = site
        self._sessions = make_sessions(dialogue, config=config)
        self._resources = AsyncExitStack()
        self._stop_asked = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []
        self._address = ""
        self._websocket_address = ""

    @property
    def address(self) -> str:
        """Where ZeroMQ clients connect, with the real port; empty before startup."""
        return self._address

    @property
    def websocket_address(self) -> str:
        """Where WebSocket clients connect, with the real port; empty before startup and where that door is off."""
        return self._websocket_address

    async def startup(self) -> None:
        """Bind, start the dialogue, and accept clients.

        Raises:
            AddressInUse: Another program listens there.
            UnsafeBind: An address can be reached from other machines without keys.
            ConfigError: An address or a key file is wrong.
            NpcEngineError: What the dialogue raises. In every case nothing stays bound or running.
        """
        zmq_server = ZmqServer(self._sessions, config=self._config)
        web_server = WebSocketServer(self._sessions, config=self._config, site=self._site)
        async with AsyncExitStack() as resources:
            self._address = zmq_server.open(resources)
            if self._config.websocket_address is not None:
                self._websocket_address = await web_server.open(self._config.websocket_address, resources)
            resources.push_async_callback(self._dialogue.aclose)
            await self._dialogue.start()
            if self._websocket_address:
                await web_server.start()
            self._resources = resources.pop_all()
        self._loops = [
            asyncio.create_task(zmq_server.run()),
            asyncio.create_task(self._sessions.drop_the_silent()),
        ]
        logger.info("listening on %s", " and ".join(filter(None, (self._address, self._websocket_address))))

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
        try:
            return await self._sessions.finish_turns()
        finally:
            for task in self._loops:
                task.cancel()
            await asyncio.gather(*self._loops, return_exceptions=True)
            await self._sessions.close()
            await self._resources.aclose()
