"""The one table, the tables behind it, and the JSON beside them."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

from tools.inference_bench.bench import Bench, Table
from tools.inference_bench.duel import OURS, Row, ratio_interval

FORMAT = 1


def machine() -> dict[str, str]:
    """What it ran on, in the system's words."""
    import onnxruntime

    return {
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "python": platform.python_version(),
        "onnxruntime": str(onnxruntime.__version__),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        return f"{len(names)} x {names[0]}" if names else platform.processor()
    except OSError:
        return platform.processor()


def to_json(
    bench: Bench, model: str, rows: Sequence[Row], tables: Sequence[Table], about: dict[str, Any]
) -> dict[str, Any]:
    """Everything, ready for `json.dumps`."""
    return {
        "format": FORMAT,
        "model": model,
        "plan": bench.plan.name,
        "repeats": bench.plan.repeats,
        "seed": bench.seed,
        "threads": bench.threads,
        "machine": machine(),
        "peers": {**about, **{name: {"missing": why} for name, why in bench.missing.items()}},
        "rows": [row.to_json(seed=bench.seed) for row in rows],
        "tables": [table.to_json() for table in tables],
    }


def show(console: Console, rows: Sequence[Row], tables: Sequence[Table], *, seed: int) -> None:
    """Print the table of ratios, then the others."""
    if rows:
        console.print(_ratios(rows, seed=seed))
    for table in tables:
        shown = RichTable(*table.columns, title=table.title, caption=table.note or None, title_justify="left")
        for row in table.rows:
            shown.add_row(*map(_cell, row))
        console.print(shown)


def markdown(model: str, bench: Bench, rows: Sequence[Row], tables: Sequence[Table]) -> str:
    """The same tables as Markdown, for docs/benchmarks."""
    about = machine()
    lines = [
        f"# Inference: `{model}`",
        "",
        f'Written by `tools/bench_inference.py`; plan "{bench.plan.name}", {bench.plan.repeats} rounds, seed'
        f" {bench.seed}, {bench.threads} threads; {about['processor']}, {about['platform']},"
        f" onnxruntime {about['onnxruntime']}.",
    ]
    if rows:
        columns = ("what", "unit", "ours", "peer", "peer's", "ours / peer", "95 %", "target")
        body = [cells for row in rows for cells in _compared(row, seed=bench.seed)]
        lines += ["", "## Beside the peers", "", *_lines(columns, body)]
        reasons = {name: why for row in rows for name, why in row.missing.items()}
        lines += [f"\n{name}: not measured: {why}" for name, why in reasons.items()]
    for table in tables:
        lines += ["", f"## {table.title}", "", *_lines(table.columns, [tuple(map(_cell, row)) for row in table.rows])]
        if table.note:
            lines += ["", table.note]
    return "\n".join(lines) + "\n"


def _compared(row: Row, *, seed: int) -> list[tuple[str, ...]]:
    """A row's cells, a peer each."""
    cells: list[tuple[str, ...]] = []
    head = (f"{row.section}: {row.case}", row.unit, _cell(row.median(OURS)))
    for name in row.samples:
        if name != OURS:
            low, high = ratio_interval(row.samples[OURS], row.samples[name], seed=seed)
            sign = ">=" if row.is_higher_better else "<="
            verdict = "".join(
                f"{sign} {target.ratio:g} {'met' if row.meets(target) else 'MISSED'}"
                for target in row.targets
                if target.peer == name
            )
            ratio = (f"{row.ratio(name):.2f}", f"{low:.2f} to {high:.2f}")
            cells.append((*head, name, _cell(row.median(name)), *ratio, verdict))
            head = ("", "", "")
    for name in row.missing:
        cells.append((*head, name, "-", "-", "-", "not measured"))
        head = ("", "", "")
    return cells or [(*head, "none", "-", "-", "-", "")]


def _lines(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (columns, ["---"] * len(columns), *rows)]


def _ratios(rows: Sequence[Row], *, seed: int) -> RichTable:
    columns = ("what", "unit", "ours", "peer", "peer's", "ours / peer", "95 %", "target")
    reasons = {name: why for row in rows for name, why in row.missing.items()}
    caption = "\n".join(f"{name}: not measured: {why}" for name, why in reasons.items())
    shown = RichTable(*columns, title="Beside the peers", title_justify="left", caption=caption, caption_justify="left")
    for row in rows:
        for cells in _compared(row, seed=seed):
            shown.add_row(*cells)
    return shown


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
