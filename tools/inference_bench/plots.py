"""Pictures of the growth tables, of memory under the crowd, and of the ratios. Needs matplotlib (the `bench` extra)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.inference_bench.bench import Table
from tools.inference_bench.duel import OURS, Row

_SIZE, _DPI = (6.4, 3.6), 100
# What each growth table shows: title -> (x, lines, y label, whether x and y are logarithmic).
_GROWTH: dict[str, tuple[str, tuple[str, ...], str, bool]] = {
    "Growth with context": (
        "tokens in the slot",
        ("decode ms", "decode ms, llama.cpp", "prefill ms/token"),
        "ms",
        True,
    ),
    "Growth with batch": ("rows", ("step ms", "step ms, llama.cpp", "ms a token"), "ms", False),
    "Growth with characters": ("characters", ("match us", "copy us"), "microseconds", True),
}


def plot_all(folder: Path, model: str, rows: Sequence[Row], tables: Sequence[Table]) -> list[Path]:
    """Write a PNG for each thing there is to see.

    Returns:
        The files, in the folder, which is made if need be.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    import matplotlib.ticker

    folder.mkdir(parents=True, exist_ok=True)
    written = []

    def save(figure: Any, name: str) -> None:
        path = folder / f"inference-{model}-{name}.png"
        figure.tight_layout()
        figure.savefig(path, dpi=_DPI)
        plt.close(figure)
        written.append(path)

    for table in tables:
        if table.title in _GROWTH:
            x, lines, label, is_log = _GROWTH[table.title]
            figure, axes = plt.subplots(figsize=_SIZE)
            for line in lines:
                points = [(at, y) for at, y in zip(table.column(x), table.column(line), strict=True) if y is not None]
                if points:
                    axes.plot(*zip(*points, strict=True), marker="o", label=line)
            if is_log:
                axes.set_xscale("log")
                axes.set_yscale("log")
                axes.set_xticks(table.column(x), [str(value) for value in table.column(x)])
                axes.minorticks_off()
                axes.yaxis.set_major_locator(mpl.ticker.LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
                axes.yaxis.set_major_formatter(mpl.ticker.FormatStrFormatter("%g"))
            else:
                axes.set_ylim(bottom=0)
            axes.set(xlabel=x, ylabel=label, title=f"{model}: {table.title.lower()}")
            axes.grid(visible=True, alpha=0.3)
            axes.legend()
            save(figure, table.title.rsplit(" ", 1)[-1])
        if table.section == "conversations" and table.series:
            figure, axes = plt.subplots(figsize=_SIZE)
            for name in ("resident_mb", "store_mb"):
                axes.plot(table.series["seconds"], table.series[name], label=name.replace("_mb", ""))
            axes.axhline(table.series["budget_mb"][0], linestyle="--", color="grey", label="store's budget")
            axes.set(xlabel="seconds", ylabel="MB", title=f"{model}: memory under the crowd", ylim=(0, None))
            axes.grid(visible=True, alpha=0.3)
            axes.legend()
            save(figure, "memory")
    bars = [(f"{row.section}: {row.case}", row) for row in rows if "llama.cpp" in row.samples]
    if bars:
        figure, axes = plt.subplots(figsize=(10.0, 1.2 + 0.32 * len(bars)))
        speed = [row.ratio("llama.cpp") if row.is_higher_better else 1 / row.ratio("llama.cpp") for _, row in bars]
        # From 1, where both are equally fast: a bar to the left is a loss.
        axes.barh([name for name, _ in bars], [value - 1 for value in speed], left=1.0)
        axes.axvline(1.0, color="black", linewidth=1)
        axes.set_xscale("log")
        ticks = [value for value in (0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 20) if min(speed) / 2 <= value <= 2 * max(speed)]
        axes.set_xticks(ticks, [f"{value:g}" for value in ticks])
        axes.minorticks_off()
        axes.invert_yaxis()
        axes.set(xlabel="times as fast as llama.cpp", title=f"{model}: {OURS} beside llama.cpp")
        save(figure, "ratios")
    return written
