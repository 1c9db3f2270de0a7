"""`npc-engine conformance-server` as a runner sees it: one line, doors that answer, and its end."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from npc_engine.server.conformance import run as conformance
from tests.scripted import PATIENCE_S, BareClient

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "bindings" / "CONFORMANCE.md").read_text(encoding="utf-8")
# Python and the engine's imports take seconds where many things run at once.
START_S = 60.0

END_BY = {
    "SIGINT": lambda process: process.send_signal(signal.SIGINT),
    "SIGTERM": lambda process: process.send_signal(signal.SIGTERM),
    "the end of its input": lambda process: process.stdin.close(),
}


def started(stdin):
    return subprocess.Popen(
        [sys.executable, "-m", "npc_engine", "conformance-server"],
        cwd=ROOT,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no such signals to another process")
@pytest.mark.parametrize("how", END_BY)
def test_it_prints_one_line_and_ends_when_it_is_asked(how):
    with started(subprocess.PIPE) as process:
        addresses = json.loads(process.stdout.readline())
        with BareClient(addresses["zmq"]) as client:
            client.hello()
            END_BY[how](process)
            assert process.wait(START_S) == 0
        assert (process.stdout.read(), process.stderr.read()) == ("", "")
    assert addresses["pid"] == process.pid
    for key in addresses:
        assert f"`{key}`" in GUIDE, f"CONFORMANCE.md does not tell of {key}"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no such signals to another process")
def test_an_input_that_is_no_pipe_does_not_end_it():
    with started(subprocess.DEVNULL) as process:
        addresses = json.loads(process.stdout.readline())
        with BareClient(addresses["zmq"], rcvtimeo=int(PATIENCE_S * 1000)) as client:
            client.hello()
        assert process.poll() is None
        process.terminate()
        assert process.wait(START_S) == 0


def test_the_guide_prints_the_keys():
    for key in (
        conformance.CURVE_SERVER_PUBLIC_KEY,
        conformance.CURVE_CLIENT_PUBLIC_KEY,
        conformance.CURVE_CLIENT_SECRET_KEY,
    ):
        assert key in GUIDE
    assert conformance.CURVE_SERVER_SECRET_KEY not in GUIDE
