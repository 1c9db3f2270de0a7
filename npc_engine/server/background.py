"""A server beside other work in one process: its own thread and event loop. Tools and embedding games use it."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType

from npc_engine.config import EngineConfig
from npc_engine.server.dialogue_port import DialoguePort
from npc_engine.server.server import Server
from npc_engine.server.site import Site

_WAIT_S = 0.5


class BackgroundServer:
    """Serves from entering its `with` block to leaving it.

    Args:
        dialogue: What answers; it is started and closed.
        config: Address, limits and times; port `*` takes a free one.
        site: Files that the WebSocket door hands out over HTTP.

    Attributes:
        address: The real address, once entered.
        websocket_address: That of the WebSocket door; empty where it is off.
    """

    def __init__(self, dialogue: DialoguePort, *, config: EngineConfig, site: Site | None = None) -> None:
        self.address = ""
        self.websocket_address = ""
        self._site = site
        self._dialogue = dialogue
        self._config = config
        self._is_ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="npc-server", daemon=True)

    def __enter__(self) -> BackgroundServer:
        """Start and wait until clients can connect.

        Raises:
            ConfigError: As `Server.startup`.
        """
        self._thread.start()
        self._is_ready.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Shut down in order and wait for it.

        Raises:
            Exception: What ended the server before its time.
        """
        if self._loop is not None and self._task is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()
        if self._failure is not None and error is None:
            raise self._failure

    def wait(self) -> None:
        """Wait until it ends by itself; Ctrl+C interrupts the wait."""
        while self._thread.is_alive():
            # Without a timeout, Windows would not see Ctrl+C.
            self._thread.join(_WAIT_S)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            try:
                runner.run(self._serve())
            except asyncio.CancelledError:
                pass
            except BaseException as error:  # handed to the thread that waits in __enter__
                self._failure = error
            finally:
                self._is_ready.set()

    async def _serve(self) -> None:
        server = Server(self._dialogue, config=self._config, site=self._site)
        await server.startup()
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self.address, self.websocket_address = server.address, server.websocket_address
        self._is_ready.set()
        try:
            await server.serve()
        finally:
            await server.shutdown()
