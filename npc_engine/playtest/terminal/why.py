"""`/why`: what the last reply was made from, what was tried and thrown away, and where the time went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from npc_engine.playtest.heard import HeardTurn
from npc_engine.playtest.latency import breakdown

_BAR_CHARS = 32


def why(heard: HeardTurn | None, console: Console) -> None:
    """Print the tables of a turn."""
    if heard is None or heard.end is None:
        console.print("  nothing has been said yet", markup=False)
        return
    trace = heard.trace
    _stages(trace, console)
    _premises(trace, console)
    _candidates(trace, console)
    _verdicts(trace, console)
    _controls(trace, console)
    _latency(trace, console)
    for key in ("unknown_topic", "action", "tokens", "seed", "stopped", "error"):
        if trace.get(key) is not None:
            console.print(f"{key}: {trace[key]}", markup=False, style="dim")


def plain_table(title: str, *columns: str) -> Table:
    """A table without lines between its columns."""
    return Table(
        *columns,
        title=title or None,
        title_justify="left",
        title_style="bold",
        box=None,
        padding=(0, 2, 0, 0),
        header_style="dim",
    )


def _rows(table: Table, rows: Sequence[Sequence[object]], console: Console) -> None:
    if not rows:
        return
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(_shown(cell)) for cell in row))
    console.print(table)
    console.print()


def _shown(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _stages(trace: Mapping[str, Any], console: Console) -> None:
    _rows(plain_table("stages", "stage", "what it did"), list(trace.get("stages", {}).items()), console)


def _premises(trace: Mapping[str, Any], console: Console) -> None:
    rows = [(float(one["score"]), one["id"], one["kind"], one["text"]) for one in trace.get("premises", ())]
    title = f"premises, of {trace.get('num_candidates', 0)} looked at and {trace.get('num_hidden', 0)} hidden"
    _rows(plain_table(title, "score", "premise", "kind", "text"), rows, console)


def _candidates(trace: Mapping[str, Any], console: Console) -> None:
    for number, draw in enumerate(trace.get("judge", {}).get("candidates", ()), start=1):
        names = sorted({name for one in draw for name, value in one["scores"].items() if value is not None})
        rows = [
            (
                Text("said", style="green") if one["is_said"] else Text("rejected" if one["is_rejected"] else "lost"),
                one["rank"],
                *(one["scores"].get(name) for name in names),
                one["text"],
            )
            for one in draw
        ]
        _rows(plain_table(f"candidates, draw {number}", "", "rank", *names, "text"), rows, console)


def _verdicts(trace: Mapping[str, Any], console: Console) -> None:
    rows = []
    for one in trace.get("judge", {}).get("sentences", ()):
        reasons = "; ".join(_reason(reason) for reason in one["reasons"])
        outcome = f"{one['outcome']}, {one['repair']}" if one.get("repair") else one["outcome"]
        style = "red" if one["outcome"] == "rejected" else "green"
        rows.append((Text(outcome, style=style), one["contradiction"], one["support"], reasons, one["text"]))
    judge = trace.get("judge")
    title = f"verdicts, guard {judge['guard']}, by {judge['by']}" if judge else "verdicts"
    _rows(plain_table(title, "outcome", "contradiction", "support", "reasons", "sentence"), rows, console)


def _reason(reason: Mapping[str, Any]) -> str:
    words = [str(reason["kind"])]
    words += [f"against {reason['statement']}"] if reason.get("statement") else []
    words += [f"({reason['span']})"] if reason.get("span") else []
    return " ".join(words)


def _controls(trace: Mapping[str, Any], console: Console) -> None:
    controls = trace.get("controls", {})
    levels = controls.get("levels", {})
    rows = [(name, value, levels.get(name)) for name, value in controls.items() if name != "levels"]
    _rows(plain_table("controls", "control", "value", "set by"), rows, console)


def _latency(trace: Mapping[str, Any], console: Console) -> None:
    parts = breakdown(trace)
    whole = sum(parts.values())
    if not whole:
        return
    rows = [
        (
            stage,
            Text(f"{seconds:.3f} s", justify="right"),
            Text("█" * round(_BAR_CHARS * seconds / whole)),
        )
        for stage, seconds in parts.items()
    ]
    _rows(plain_table(f"latency: {whole:.3f} s", "stage", "time", "share"), rows, console)
    latency = trace["latency"]
    marks = {
        "first word": "time_to_first_token_s", "first sentence": "time_to_first_sentence_s",
        "in the queue": "queue_time_s", "prompt": "prefill_time_s", "each token": "time_per_output_token_s",
    }  # fmt: skip
    shown = [f"{name} {latency[key]:.3f} s" for name, key in marks.items() if key in latency]
    console.print("; ".join(shown), markup=False, style="dim")
