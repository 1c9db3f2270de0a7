"""Sum tallies up: rates with intervals over dialogues, causes, lengths, latency; print them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from npc_engine.playtest.scores.statistics import percentile, rate
from tools.tasks.calls import CAUSES
from tools.tasks.scoring import CALL_MEASURES, HIGHER_IS_WORSE, SPEECH_MEASURES, Tally

PERCENTS = (5, 50, 95)
# Measures that are a number a reply rather than a share.
_MEANS = frozenset({"exclamation marks", "flanderization index", "word-F1 to gold", "chrF to gold"})


def summary(tallies: Sequence[Tally]) -> dict[str, Any]:
    """Every measure's rate with its 95 % interval over dialogues, causes of wrong calls, lengths in words."""
    measures = {}
    for name in (*CALL_MEASURES, *SPEECH_MEASURES):
        one = rate([tuple(each.counts[name]) for each in tallies if name in each.counts])
        measures[name] = asdict(one) | {"value": one.value}
    causes = sum((each.causes for each in tallies), Counter())
    words = [length for each in tallies for length in each.lengths]
    return {
        "dialogues": len(tallies),
        "measures": measures,
        "causes": {name: causes.get(name, 0) for name in CAUSES},
        "words": {f"p{percent}": percentile(words, percent) for percent in PERCENTS},
        "faults": [fault for each in tallies for fault in each.faults],
    }


def latency(turns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Where the time of turns goes: whole turns with a call beside those without, and each part the trace times.

    Args:
        turns: Records with `calls`, `total_s` and `trace`.
    """
    kinds = {
        "task turns": [turn for turn in turns if turn["calls"]],
        "talk turns": [t for t in turns if not t["calls"]],
    }
    found: dict[str, Any] = {}
    for kind, some in kinds.items():
        parts = sorted({name for turn in some for name in turn["trace"].get("latency", {})})
        found[kind] = {
            "turns": len(some),
            "total_s": _spread([turn["total_s"] for turn in some]),
            "parts": {
                name: _spread([turn["trace"]["latency"][name] for turn in some if name in turn["trace"]["latency"]])
                for name in parts
            },
            "prompt_tokens": _spread(
                [turn["trace"]["tokens"]["prompt"] for turn in some if turn["trace"].get("tokens")]
            ),
        }
    return found


def print_measures(columns: Mapping[str, Mapping[str, Any]], console: Console) -> None:
    """A row a measure, a column a system: value, 95 % interval, cases."""
    table = Table("", *columns, show_edge=False, pad_edge=False)
    for name in (*CALL_MEASURES, *SPEECH_MEASURES):
        cells = [cell(name, column["measures"][name]) for column in columns.values()]
        if any(one != "-" for one in cells):
            table.add_row(f"{name}{' (less is better)' if name in HIGHER_IS_WORSE else ''}", *cells)
    if any(column["words"]["p50"] is not None for column in columns.values()):
        table.add_row("words, p5 / p50 / p95", *(_words(column["words"]) for column in columns.values()))
    table.add_row("dialogues", *(str(column["dialogues"]) for column in columns.values()))
    console.print(table)


def print_causes(columns: Mapping[str, Mapping[str, Any]], console: Console) -> None:
    """Why calls were not exactly right; a call may have several differences in its arguments."""
    table = Table("cause of a wrong call", *columns, show_edge=False, pad_edge=False)
    for name in CAUSES:
        table.add_row(name, *(str(column["causes"][name]) for column in columns.values()))
    console.print(table)


def print_latency(found: Mapping[str, Any], console: Console) -> None:
    """Whole turns and their parts, p50 / p95."""
    table = Table("seconds, p50 / p95", *found, show_edge=False, pad_edge=False)
    parts = sorted({name for kind in found.values() for name in kind["parts"]})
    table.add_row("turns", *(str(kind["turns"]) for kind in found.values()))
    table.add_row("whole turn", *(_seconds(kind["total_s"]) for kind in found.values()))
    for name in parts:
        table.add_row(name, *(_seconds(kind["parts"].get(name)) for kind in found.values()))
    table.add_row("prompt tokens, p50 / p95", *(_seconds(kind["prompt_tokens"], ".0f") for kind in found.values()))
    console.print(table)


def print_faults(name: str, faults: Sequence[Mapping[str, Any]], console: Console, *, limit: int) -> None:
    """The first faults of each kind."""
    table = Table("fault", "line", "did", "wanted", title=f"{name}: what went wrong", show_edge=False)
    shown: Counter[str] = Counter()
    for fault in faults:
        shown[fault["measure"]] += 1
        if shown[fault["measure"]] <= limit:
            table.add_row(*(Text(str(fault[key])) for key in ("measure", "line", "did", "wanted")))
    if faults and limit:
        console.print(table)


def cell(name: str, measure: Mapping[str, Any]) -> str:
    """A rate with its interval and cases as one text; "-" where nothing was measured."""
    if measure["value"] is None:
        return "-"
    if name in _MEANS:
        return f"{measure['value']:.2f} [{measure['low']:.2f}-{measure['high']:.2f}]"
    low, high = f"{measure['low']:.1%}".removesuffix("%"), f"{measure['high']:.1%}"
    return f"{measure['value']:.1%} [{low}-{high}] of {measure['cases']:.0f}"


def _words(words: Mapping[str, float | None]) -> str:
    return "-" if words["p50"] is None else " / ".join(f"{words[f'p{percent}']:.0f}" for percent in PERCENTS)


def _spread(values: Sequence[float]) -> dict[str, float | None]:
    return {f"p{percent}": percentile(values, percent) for percent in (50, 95)}


def _seconds(spread: Mapping[str, float | None] | None, form: str = ".2f") -> str:
    if spread is None or spread["p50"] is None:
        return "-"
    return f"{spread['p50']:{form}} / {spread['p95']:{form}}"
