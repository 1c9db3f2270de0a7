"""A server as the main job of a process: its own event loop, Ctrl+C, and the same on every system."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator

from npc_engine.config import EngineConfig
from npc_engine.server.dialogue_port import DialoguePort
from npc_engine.server.server import Server
from npc_engine.server.sessions import ShutdownReport

# What asks a process to end besides Ctrl+C: service managers, and Ctrl+Break or a closing console on Windows.
_STOP_SIGNALS = ("SIGTERM", "SIGBREAK")


def run_server(
    dialogue: DialoguePort, *, config: EngineConfig, on_ready: Callable[[str], None] = lambda _: None
) -> ShutdownReport:
    """Serve until Ctrl+C or a stop signal, then shut down in order. Call it in the main thread.

    Args:
        dialogue: What answers; it is started and closed.
        config: Address, keys, limits and times.
        on_ready: Called with the real address once clients can connect.

    Raises:
        ConfigError: As `Server.startup`.
        KeyboardInterrupt: A second Ctrl+C during the shutdown.
    """
    # ZeroMQ needs a loop that watches sockets, which is not the default on Windows.
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(_serve(Server(dialogue, config=config), on_ready))


async def _serve(server: Server, on_ready: Callable[[str], None]) -> ShutdownReport:
    await server.startup()
    try:
        on_ready(server.address)
        # The first Ctrl+C arrives as a cancellation.
        with _stop_signals(server), contextlib.suppress(asyncio.CancelledError):
            await server.serve()
    finally:
        report = await server.shutdown()
    return report


@contextlib.contextmanager
def _stop_signals(server: Server) -> Iterator[None]:
    """Let the stop signals stop the server, as long as the block runs."""
    loop = asyncio.get_running_loop()
    # Not by way of SIGINT, which is ignored in a process that a shell started in its background.
    kinds = [getattr(signal, name) for name in _STOP_SIGNALS if hasattr(signal, name)]
    before = {kind: signal.signal(kind, lambda *_: loop.call_soon_threadsafe(server.stop)) for kind in kinds}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
