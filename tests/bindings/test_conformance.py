"""Every binding plays every case of bindings/CONFORMANCE.md against the conformance server, on real sockets."""

import pytest

from tools import bindings_table
from tools.bindings_table import case_names, conformance_server, missing, parse, play, rendered

# What a binding is known not to do, with the reason; an entry that has become untrue fails the test.
KNOWN_GAPS: dict[tuple[str, str, str], str] = {}


@pytest.mark.binding
@pytest.mark.timeout(bindings_table.RUN_LIMIT_S + 60)
@pytest.mark.parametrize("binding", bindings_table.PROGRAMS)
def test_a_binding_plays_every_case(binding):
    if lacking := missing(binding):
        pytest.skip(f"this machine lacks {lacking}; python tools/dev.py toolchains")
    with conformance_server() as addresses:
        run = play(binding, addresses)
    failed = {key for key, (outcome, _) in run.results.items() if outcome == "FAIL"}
    known = {(transport, case) for name, transport, case in KNOWN_GAPS if name == binding}
    assert failed == known, run.output[-4000:]
    assert run.exit_code == int(bool(known)), run.output[-4000:]
    for transport in bindings_table.transports(run):
        played = {case for where, case in run.results if where == transport}
        # A transport that cannot be had here says so in the place of its first case.
        if run.results.get((transport, "hello"), ("", ""))[0] != "skip":
            assert played == set(case_names())


OUTPUT = """\
building
time round_trip_us 120 450
ok hello
FAIL cancel: saw false
ok websocket/hello
skip websocket/hello_curve: this transport has no CURVE
time poll_max_ms 0.2 1.5
"""


def test_a_runners_lines_are_read():
    run = parse(OUTPUT, 1)
    assert run.results == {
        ("", "hello"): ("ok", ""),
        ("", "cancel"): ("FAIL", "saw false"),
        ("websocket", "hello"): ("ok", ""),
        ("websocket", "hello_curve"): ("skip", "this transport has no CURVE"),
    }
    assert run.times == {("", "round_trip_us"): "120 450", ("websocket", "poll_max_ms"): "0.2 1.5"}


def test_the_table_has_a_row_a_case_and_a_column_a_transport():
    page = rendered({"cpp": parse(OUTPUT, 1)}, {"csharp": "mcs"})
    assert "| case | cpp | cpp websocket |" in page
    assert "| `hello` | ok | ok |" in page
    assert "| `cancel` | FAIL | – |" in page
    assert "- cpp, `cancel`: FAIL: saw false" in page
    assert "csharp: not played, this machine lacks mcs" in page
    assert page.count("\n| `") == len(case_names())
