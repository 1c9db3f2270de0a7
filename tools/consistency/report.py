"""Sum scored talks up: rates with intervals, latency, a table and what went wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from npc_engine.playtest.scores.statistics import Rate, percentile, rate
from tools.consistency.scoring import HIGHER_IS_WORSE, MEASURES, Scored


def summary(scored: Sequence[Scored], records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Every measure's rate, and the latency of turns that a model answered.

    Args:
        scored: A talk each.
        records: The same talks as they were had.
    """
    rates = {name: _rate([one.counts[name] for one in scored if name in one.counts]) for name in MEASURES}
    turns = [turn for turn in _turns(records) if turn["source"] == "model" and turn["trace"]]
    return {
        "talks": len(records),
        "turns": sum(len(record["turns"]) for record in records),
        "model_turns": len(turns),
        "broken_turns": sum(bool({"stopped", "error"} & turn["trace"].keys()) for turn in _turns(records)),
        "measures": {name: asdict(one) | {"value": one.value} for name, one in rates.items()},
        "latency": {
            "time_to_first_sentence_s": _spread(_first_sentences(turns)),
            "total_s": _spread([turn["total_s"] for turn in turns]),
            "judge_share": _spread(list(judge_shares(turns))),
        },
    }


def judge_shares(turns: Iterable[Mapping[str, Any]]) -> Iterable[float]:
    """The part of each turn that the judge took, where the trace times it (`latency.judge_s`)."""
    for turn in turns:
        latency = turn["trace"].get("latency", {})
        if "judge_s" in latency and latency.get("total_s"):
            yield latency["judge_s"] / latency["total_s"]


def print_table(columns: Mapping[str, Mapping[str, Any]], console: Console) -> None:
    """A row a measure, a column a strategy: share, 95 % interval, cases."""
    table = Table("", *columns, show_edge=False, pad_edge=False)
    for name in MEASURES:
        cells = [_cell(column["measures"][name]) for column in columns.values()]
        if any(cell != "-" for cell in cells):
            table.add_row(f"{name} {'(less is better)' if name in HIGHER_IS_WORSE else ''}".strip(), *cells)
    for name in ("time_to_first_sentence_s", "total_s", "judge_share"):
        cells = []
        for column in columns.values():
            spread = column["latency"][name]
            cells.append("-" if spread["p50"] is None else f"{spread['p50']:.2f} / {spread['p95']:.2f}")
        table.add_row(f"{name}, p50 / p95", *cells)
    table.add_row("turns that an error or the deadline broke", *(str(one["broken_turns"]) for one in columns.values()))
    table.add_row("talks (turns)", *(f"{column['talks']} ({column['turns']})" for column in columns.values()))
    console.print(table)


def print_faults(name: str, faults: Sequence[Mapping[str, Any]], console: Console, *, limit: int) -> None:
    """The first faults of each kind."""
    table = Table("fault", "talk", "line", "reply", "", title=f"{name}: what went wrong", show_edge=False)
    shown: dict[str, int] = {}
    for fault in faults:
        kind = fault["measure"]
        shown[kind] = shown.get(kind, 0) + 1
        if shown[kind] <= limit:
            table.add_row(*(Text(str(fault[key])) for key in ("measure", "talk", "line", "reply", "detail")))
    if faults and limit:
        console.print(table)


def _turns(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [turn for record in records for turn in record["turns"]]


def _rate(counts: Sequence[Sequence[float]]) -> Rate:
    return rate([(hits, cases) for hits, cases in counts])


def _cell(measure: Mapping[str, Any]) -> str:
    if measure["value"] is None:
        return "-"
    low, high = f"{measure['low']:.0%}".removesuffix("%"), f"{measure['high']:.0%}"
    return f"{measure['value']:.1%} [{low}-{high}] of {measure['cases']:.0f}"


def _first_sentences(turns: Sequence[Mapping[str, Any]]) -> list[float]:
    return [turn["time_to_first_sentence_s"] for turn in turns if turn["time_to_first_sentence_s"]]


def _spread(values: Sequence[float]) -> dict[str, float | None]:
    return {f"p{percent}": percentile(values, percent) for percent in (50, 95)}
