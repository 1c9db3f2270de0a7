"""Plays the conformance cases with every binding and writes bindings/TABLE.md, the table binding x case.

python tools/bindings_table.py               every binding whose toolchain is here
python tools/bindings_table.py python cpp    those, the others' columns as the table has none of them

A binding whose toolchain is missing is named under the table, with what it lacks.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BINDINGS = ROOT / "bindings"
TABLE = BINDINGS / "TABLE.md"
# A runner's cases take 60 s each at most; a C++ build on a slow machine takes minutes.
RUN_LIMIT_S = 1200.0
STOP_LIMIT_S = 20.0

# What each binding's conformance.sh needs: programs, and files of which one must exist.
PROGRAMS: Mapping[str, Sequence[str]] = {
    "python": (),
    "javascript": ("node", "npm"),
    "csharp": ("mcs", "mono"),
    "cpp": ("cmake", "g++"),
    "gdscript": ("godot3-server",),
}
HEADERS: Mapping[str, Sequence[str]] = {"cpp": ("/usr/include/zmq.h", "/usr/local/include/zmq.h")}

_RESULT = re.compile(r"(?P<outcome>ok|FAIL|skip) (?:(?P<transport>[a-z0-9_]+)/)?(?P<case>[a-z0-9_]+)(?:: (?P<why>.*))?")
_TIME = re.compile(r"time (?P<name>[a-z_]+) (?P<figures>[\d. ]+)")
_CASE_ROW = re.compile(r"^\| `([a-z0-9_]+)` \| `zmq", re.MULTILINE)


@dataclass
class Run:
    """What a binding's runner printed.

    Attributes:
        results: Outcome and reason by transport (empty for the only one) and case.
        times: The figures of the time lines, by transport and name.
        exit_code: The runner's.
        output: All that it printed, its errors too.
    """

    results: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    times: dict[tuple[str, str], str] = field(default_factory=dict)
    exit_code: int = 0
    output: str = ""


def case_names() -> list[str]:
    """Every case of bindings/CONFORMANCE.md, in its order."""
    return _CASE_ROW.findall((BINDINGS / "CONFORMANCE.md").read_text(encoding="utf-8"))


def missing(binding: str) -> str:
    """What this machine lacks to run a binding, in words; empty where it lacks nothing."""
    lacking = [name for name in PROGRAMS[binding] if shutil.which(name) is None]
    headers = HEADERS.get(binding, ())
    if headers and not any(Path(header).exists() for header in headers):
        lacking.append(Path(headers[0]).name)
    if not (BINDINGS / binding / "conformance.sh").is_file():
        lacking.append(f"bindings/{binding}/conformance.sh")
    return ", ".join(lacking)


@contextlib.contextmanager
def conformance_server() -> Iterator[str]:
    """A running conformance server; yields its line of JSON."""
    command = [sys.executable, "-m", "npc_engine", "conformance-server"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(STOP_LIMIT_S)


def play(binding: str, addresses: str) -> Run:
    """Run a binding's conformance.sh against a server; a runner that does not end is stopped."""
    script = BINDINGS / binding / "conformance.sh"
    done = subprocess.run(
        [str(script), addresses],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        env=os.environ | {"PYTHON": sys.executable},
        encoding="utf-8",
        errors="replace",
        timeout=RUN_LIMIT_S,
        check=False,
    )
    return parse(done.stdout, done.returncode)


def parse(output: str, exit_code: int) -> Run:
    """Read what a runner printed. A time line belongs to the transport of the next result line."""
    run = Run(exit_code=exit_code, output=output)
    waiting: dict[str, str] = {}
    transport = ""
    for line in output.splitlines():
        if (found := _RESULT.fullmatch(line)) is not None:
            transport = found["transport"] or ""
            run.results[transport, found["case"]] = (found["outcome"], found["why"] or "")
            run.times |= {(transport, name): figures for name, figures in waiting.items()}
            waiting.clear()
        elif (found := _TIME.fullmatch(line)) is not None:
            waiting[found["name"]] = found["figures"].strip()
    run.times |= {(transport, name): figures for name, figures in waiting.items()}
    return run


def rendered(runs: Mapping[str, Run], lacking: Mapping[str, str]) -> str:
    """The page."""
    columns = [(binding, transport) for binding, run in runs.items() for transport in transports(run)]
    heads = [binding if not transport else f"{binding} {transport}" for binding, transport in columns]
    lines = [
        "# Bindings and cases",
        "",
        "Written by `python tools/bindings_table.py`; [CONFORMANCE.md](CONFORMANCE.md) says what each case is.",
        f"Played on {platform.system()} {platform.machine()}.",
        "",
        f"| case | {' | '.join(heads)} |",
        f"|---|{'---|' * len(columns)}",
    ]
    for case in case_names():
        outcomes = [runs[binding].results.get((transport, case), ("–", ""))[0] for binding, transport in columns]
        lines.append(f"| `{case}` | {' | '.join(outcomes)} |")
    for title, name in (
        ("round trip of `health`, p50 and p99, µs", "round_trip_us"),
        ("longest poll, p99.9 and max, ms", "poll_max_ms"),
    ):
        figures = [runs[binding].times.get((transport, name), "–") for binding, transport in columns]
        lines.append(f"| {title} | {' | '.join(figures)} |")
    notes = [
        f"- {binding} {transport}".rstrip() + f", `{case}`: {outcome}: {why}"
        for binding, run in runs.items()
        for (transport, case), (outcome, why) in run.results.items()
        if outcome != "ok"
    ]
    notes += [f"- {binding}: not played, this machine lacks {what}" for binding, what in lacking.items()]
    return "\n".join([*lines, *(["", *notes] if notes else [])]) + "\n"


def transports(run: Run) -> list[str]:
    """The transports of a run, in its order."""
    return list(dict.fromkeys(transport for transport, _ in run.results))


def main() -> int:
    """Play and write; 1 where a case failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bindings", nargs="*", help=f"of {', '.join(PROGRAMS)}; all unless given")
    wanted = parser.parse_args().bindings or list(PROGRAMS)
    if unknown := sorted(set(wanted) - set(PROGRAMS)):
        parser.error(f"no binding {', '.join(unknown)}")
    lacking = {binding: what for binding in wanted if (what := missing(binding))}
    runs = {}
    for binding in wanted:
        if binding in lacking:
            continue
        print(f"{binding} ...", flush=True)
        with conformance_server() as addresses:
            runs[binding] = play(binding, addresses)
        # After each: a run that is interrupted has not been for nothing.
        TABLE.write_text(rendered(runs, lacking), encoding="utf-8", newline="\n")
    print(TABLE.read_text(encoding="utf-8"))
    return int(any(outcome == "FAIL" for run in runs.values() for outcome, _ in run.results.values()))


if __name__ == "__main__":
    sys.exit(main())
