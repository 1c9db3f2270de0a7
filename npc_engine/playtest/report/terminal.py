"""A run in a few lines of a terminal: what failed and why, and the scores."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from npc_engine.playtest.compare import Difference
from npc_engine.playtest.scores.scored import Scored
from npc_engine.playtest.scores.summary import shown, summarise, verdicts

MAX_FAILURES = 40


def print_run(scored: Sequence[Scored], console: Console) -> None:
    """Print what failed, then a row a score."""
    found = verdicts(scored)
    failed = [case for case in found if not case.is_right]
    for case in failed[:MAX_FAILURES]:
        right = sum(one.is_right for one in case.scored)
        console.print(Text(f"wrong  {case.talk}  ({right} of {len(case.scored)} repeats)", style="red"))
        one = next(one for one in case.scored if not one.is_right)
        for fault in [fault for fault in one.faults if fault.score == "as expected"][:4]:
            console.print(Text(f"       line {fault.turn}: {fault.detail}" if fault.turn else f"       {fault.detail}"))
        if one.record.turns:
            console.print(Text(f"       {one.record.turns[-1].reply}", style="dim"))
    if len(failed) > MAX_FAILURES:
        console.print(f"... and {len(failed) - MAX_FAILURES} more; the report has all")
    table = Table("score", "value", "95 % interval", "cases", show_edge=False, pad_edge=False)
    for row in summarise(scored):
        less = " (less is better)" if row.score.better == "lower" else ""
        table.add_row(
            row.score.name + less,
            shown(row.score, row.rate.value),
            f"{shown(row.score, row.rate.low)} to {shown(row.score, row.rate.high)}",
            f"{row.rate.cases:g}",
        )
    console.print(table)
    judged = sum(case.is_judged for case in found)
    if judged:
        console.print(f"{judged - len(failed)} of {judged} came out as expected", style="bold", highlight=False)


def print_comparison(
    names: tuple[str, str], differences: Sequence[Difference], console: Console, *, num_pairs: int
) -> None:
    """Print a row a score, and what is a difference and what is not."""
    table = Table("score", *names, "difference, 95 %", "p corrected", "finding", show_edge=False, pad_edge=False)
    for one in differences:
        style = {"better": "green", "worse": "red"}.get(one.finding, "dim")
        table.add_row(
            one.score.name,
            shown(one.score, one.first),
            shown(one.score, one.second),
            f"{shown(one.score, one.low)} to {shown(one.score, one.high)}",
            "-" if one.finding == "not tested" else f"{one.p_holm:.3f}",
            Text(one.finding, style=style),
        )
    console.print(table)
    real = [one for one in differences if one.finding in ("better", "worse", "different")]
    console.print(f"{num_pairs} talks that both have.", highlight=False)
    if not real:
        console.print("No difference found: what the scores differ by may be chance.", style="bold", highlight=False)
    for one in real:
        console.print(f"{names[1]} is {one.finding} in {one.score.name}.", style="bold", highlight=False, markup=False)
