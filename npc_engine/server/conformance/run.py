"""All doors of the conformance server in one event loop, and when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

from npc_engine.config import EngineConfig
from npc_engine.protocol.messages import PROTOCOL_VERSION
from npc_engine.server.auth import ALLOWED_CLIENTS_FOLDER
from npc_engine.server.conformance.faults import FaultySessions
from npc_engine.server.conformance.relay import Relay
from npc_engine.server.conformance.script import ScriptedDialogue
from npc_engine.server.server import Server
from npc_engine.server.sessions import Sessions

# For tests only: everybody knows them. bindings/CONFORMANCE.md prints them too.
CURVE_SERVER_PUBLIC_KEY = "xUaa#:NJ4bFpKvD8OtRlmoP$jk-&Xfvinn<eEX}3"
CURVE_SERVER_SECRET_KEY = "*alaN8T[rct)+d%AUeSs>PNxo42>UnuLObl1zAzy"
CURVE_CLIENT_PUBLIC_KEY = "55n5xn4W4zu4+TvEy:6!deAh-{X4Lcm#gWCS61:l"
CURVE_CLIENT_SECRET_KEY = "3rWxvYB.B1j+[>X=[0<IacB/Nq5{TvXr>%CzzE{/"

_HOST = "127.0.0.1"
_STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGBREAK")


def run_conformance_server(on_ready: Callable[[dict[str, str | int]], None]) -> None:
    """Serve until SIGINT, SIGTERM, or the end of standard input where that is a pipe. Call it in the main thread.

    Args:
        on_ready: Called with every address once clients can connect.
    """
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(_serve(on_ready))


async def _serve(on_ready: Callable[[dict[str, str | int]], None]) -> None:
    stop = asyncio.Event()
    async with AsyncExitStack() as resources:
        addresses = await start_doors(resources)
        with _ending(stop):
            on_ready(addresses)
            await stop.wait()


async def start_doors(resources: AsyncExitStack) -> dict[str, str | int]:
    """Start every door; `resources` stops them when it closes.

    Returns:
        What the server's line of JSON holds.
    """
    keys = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="npc-conformance-")))
    plain = await _started(resources, _config())
    curve = await _started(resources, _config(curve_secret_key_file=_write_keys(keys)))
    network = _Relays()
    faulty = await _started(resources, _config(), network=network)
    addresses: dict[str, str | int] = {"protocol_version": PROTOCOL_VERSION, "pid": os.getpid()}
    for name, address in {"zmq": plain.address, "ws": plain.websocket_address}.items():
        addresses[name] = address
        addresses[f"{name}_fragmented"] = await _relayed(resources, address, Relay, is_dribbling=True)
    for name, address in {"zmq": faulty.address, "ws": faulty.websocket_address}.items():
        addresses[f"{name}_faults"] = await _relayed(resources, address, network.new)
    return addresses | {
        "zmq_curve": curve.address,
        "curve_server_public_key": CURVE_SERVER_PUBLIC_KEY,
        "curve_client_public_key": CURVE_CLIENT_PUBLIC_KEY,
        "curve_client_secret_key": CURVE_CLIENT_SECRET_KEY,
    }


class _Relays:
    """The relays that a fault concerns, as one network."""

    def __init__(self) -> None:
        self._relays: list[Relay] = []

    def new(self, host: str, port: int) -> Relay:
        relay = Relay(host, port)
        self._relays.append(relay)
        return relay

    async def stall(self, seconds: float) -> None:
        await asyncio.gather(*(relay.stall(seconds) for relay in self._relays))

    async def cut(self, closed_s: float) -> None:
        await asyncio.gather(*(relay.cut(closed_s) for relay in self._relays))


def _config(curve_secret_key_file: Path | None = None) -> EngineConfig:
    # Every setting that the doors use is named, so that the environment changes nothing.
    return EngineConfig(
        address=f"tcp://{_HOST}:0",
        websocket_address=f"ws://{_HOST}:0",
        websocket_origins=("null",),
        curve_secret_key_file=curve_secret_key_file,
        max_frame_bytes=1 << 16,
        max_message_depth=16,
        max_text_chars=500,
        max_conversations_per_client=8,
        max_clients=1024,
        client_timeout_s=600.0,
        shutdown_grace_s=0.2,
        turn_deadline_s=60.0,
        action_timeout_s=1.0,
    )


async def _started(resources: AsyncExitStack, config: EngineConfig, *, network: _Relays | None = None) -> Server:
    dialogue = ScriptedDialogue(action_timeout_s=config.action_timeout_s, network=network)
    server = Server(dialogue, config=config, make_sessions=Sessions if network is None else FaultySessions)
    await server.startup()
    resources.push_async_callback(server.shutdown)
    return server


async def _relayed(
    resources: AsyncExitStack, address: str, make: Callable[..., Relay], *, is_dribbling: bool = False
) -> str:
    parts = urlsplit(address)
    assert parts.port is not None
    relay = make(_HOST, parts.port, is_dribbling=True) if is_dribbling else make(_HOST, parts.port)
    await relay.start()
    resources.push_async_callback(relay.close)
    return parts._replace(netloc=f"{_HOST}:{relay.port}").geturl()


def _write_keys(folder: Path) -> Path:
    clients = folder / ALLOWED_CLIENTS_FOLDER
    clients.mkdir()
    (clients / "test.key").write_text(_certificate(CURVE_CLIENT_PUBLIC_KEY), encoding="utf-8")
    secret = folder / "server.key_secret"
    secret.write_text(_certificate(CURVE_SERVER_PUBLIC_KEY, CURVE_SERVER_SECRET_KEY), encoding="utf-8")
    return secret


def _certificate(public_key: str, secret_key: str = "") -> str:
    lines = ["metadata", "curve", f'    public-key = "{public_key}"']
    return "\n".join([*lines, *([f'    secret-key = "{secret_key}"'] if secret_key else []), ""])


@contextlib.contextmanager
def _ending(stop: asyncio.Event) -> Iterator[None]:
    """Let signals and the end of standard input set `stop`, as long as the block runs."""
    loop = asyncio.get_running_loop()

    def ask(*_: object) -> None:
        # The loop may have ended by itself meanwhile.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(stop.set)

    kinds = [getattr(signal, name) for name in _STOP_SIGNALS if hasattr(signal, name)]
    before = {kind: signal.signal(kind, ask) for kind in kinds}
    if _is_pipe(sys.stdin.fileno()):
        threading.Thread(target=_read_to_end, args=(sys.stdin.fileno(), ask), daemon=True).start()
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def _is_pipe(descriptor: int) -> bool:
    # Not a terminal, and not /dev/null, whose end is there from the start.
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _read_to_end(descriptor: int, then: Callable[[], None]) -> None:
    while os.read(descriptor, 4096):
        pass
    then()
