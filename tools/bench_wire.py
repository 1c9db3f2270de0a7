"""Round trip of `health` over ZeroMQ on loopback, beside a raw pyzmq echo of the same bytes.

    python tools/bench_wire.py [--address tcp://...] [--count 5000] [--json FILE]

Without --address, a server with a dialogue that does nothing runs in a process of its own, so that the figures are the
wire's alone; with it, a running server is measured. The rows are measured in turns, one request each, so that a busy
machine is busy for all of them.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import zmq

from npc_engine.client import Client
from npc_engine.config import EngineConfig
from npc_engine.errors import UnknownCharacter
from npc_engine.protocol import codec, messages
from npc_engine.server.dialogue_port import ConversationPort
from npc_engine.server.run import run_server

_WARM_UP = 200
_START_TIMEOUT_S = 60.0
_RAW, _SOCKET, _CLIENT = "raw pyzmq echo", "health, bare socket", "health, npc_engine.client.Client"


class SilentDialogue:
    """Loads nothing and knows nobody."""

    def characters(self) -> tuple[()]:
        """Nobody."""
        return ()

    def open_conversation(
        self,
        character_id: str,
        *,
        player_id: str,
        player_name: str | None,
        state: Mapping[str, Any],
        actions: Sequence[str],
    ) -> ConversationPort:
        """There is nobody to talk to."""
        raise UnknownCharacter(f"no character {character_id!r}")

    def health(self) -> dict[str, Any]:
        """A report of the usual size."""
        return {"model": "none", "provider": "CPUExecutionProvider", "device": "cpu", "num_characters": 0, "queue": 0}

    def metrics_text(self) -> str:
        """Nothing."""
        return ""

    async def start(self) -> None:
        """Nothing to start."""

    async def aclose(self) -> None:
        """Nothing to close."""


def main() -> int:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--address", help="a running server; without it one is started")
    parser.add_argument("--count", type=int, default=5000, help="round trips a row")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    with _process(_echo) as echo_address:
        if options.address:
            rows = measure(echo_address, options.address, count=options.count)
        else:
            with _process(_serve) as address:
                rows = measure(echo_address, address, count=options.count)
    report = {
        "machine": {
            "platform": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
            "zmq": zmq.zmq_version(),
        },
        "count": options.count,
        "rows": summary(rows),
    }
    print(f"{'round trip':<34} {'p50 µs':>8} {'p99 µs':>8} {'x raw p50':>10}")
    for row in report["rows"]:
        print(f"{row['name']:<34} {row['p50_us']:>8.0f} {row['p99_us']:>8.0f} {row['ratio_p50']:>10.2f}")
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


def measure(echo_address: str, address: str, *, count: int) -> dict[str, list[float]]:
    """Seconds of each round trip, by row; the rows take turns."""
    limits = codec.Limits()
    hello = messages.Hello(request_id=0, protocol_version=messages.PROTOCOL_VERSION, client="bench_wire")
    context = zmq.Context()
    echo, bare = context.socket(zmq.DEALER), context.socket(zmq.DEALER)
    try:
        echo.connect(echo_address)
        bare.connect(address)
        bare.send(codec.pack(hello, limits))
        bare.recv()
        frame = codec.pack(messages.Health(request_id=1), limits)

        def echoed() -> None:
            echo.send(frame)
            echo.recv()

        def asked() -> None:
            bare.send(codec.pack(messages.Health(request_id=1), limits))
            messages.parse_reply(codec.unpack(bare.recv(), limits))

        with Client(address) as client:
            steps: dict[str, Callable[[], object]] = {_RAW: echoed, _SOCKET: asked, _CLIENT: client.health}
            rows: dict[str, list[float]] = {name: [] for name in steps}
            for number in range(_WARM_UP + count):
                for name, step in steps.items():
                    begun = time.perf_counter()
                    step()
                    if number >= _WARM_UP:
                        rows[name].append(time.perf_counter() - begun)
    finally:
        context.destroy(linger=0)
    return rows


def summary(rows: Mapping[str, Sequence[float]]) -> list[dict[str, Any]]:
    """p50 and p99 in microseconds, and the ratio of the medians to the raw echo's."""
    raw = float(np.percentile(rows[_RAW], 50))
    return [
        {
            "name": name,
            "p50_us": float(np.percentile(times, 50)) * 1e6,
            "p99_us": float(np.percentile(times, 99)) * 1e6,
            "ratio_p50": float(np.percentile(times, 50)) / raw,
        }
        for name, times in rows.items()
    ]


@contextmanager
def _process(job: Callable[[Connection], None]) -> Iterator[str]:
    """Run a server in a process of its own; gives its address."""
    spawning = multiprocessing.get_context("spawn")
    here, there = spawning.Pipe()
    process = spawning.Process(target=job, args=(there,), daemon=True)
    process.start()
    try:
        if not here.poll(_START_TIMEOUT_S):
            raise SystemExit(f"{job.__name__} did not start within {_START_TIMEOUT_S:g} s")
        yield here.recv()
    finally:
        process.terminate()
        process.join()


def _echo(ready: Connection) -> None:
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    port = router.bind_to_random_port("tcp://127.0.0.1")
    ready.send(f"tcp://127.0.0.1:{port}")
    while True:
        router.send_multipart(router.recv_multipart())


def _serve(ready: Connection) -> None:
    config = EngineConfig(address="tcp://127.0.0.1:0")
    run_server(SilentDialogue(), config=config, on_ready=ready.send)


if __name__ == "__main__":
    sys.exit(main())
