"""What every section is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from npc_engine.inference.spec import DecoderSpec
from tools.inference_bench.duel import Row
from tools.inference_bench.peer import Peer
from tools.inference_bench.plan import Plan
from tools.inference_bench.texts import Texts


@dataclass(frozen=True, kw_only=True)
class Bench:
    """One run's model, sizes and peers.

    Attributes:
        folder: The installed model.
        spec: What its graph is.
        texts: What it reads.
        plan: How much of it.
        seed: Of everything random.
        threads: Of ours and of each peer.
        peers: Running ones by name.
        missing: Why others do not run.
        say: Shows progress.
    """

    folder: Path
    spec: DecoderSpec
    texts: Texts
    plan: Plan
    seed: int
    threads: int
    peers: dict[str, Peer]
    missing: dict[str, str]
    say: Callable[[str], None]


@dataclass(kw_only=True)
class Table:
    """Figures that have no peer.

    Attributes:
        section: Which section measured them.
        title: Above the table.
        columns: Names, with units.
        rows: One value a column.
        note: What one must know to read it.
        series: Longer measurements for plots, by name.
    """

    section: str
    title: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    note: str = ""
    series: dict[str, list[Any]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As it is, rows as objects."""
        return {
            "section": self.section,
            "title": self.title,
            "rows": [dict(zip(self.columns, row, strict=True)) for row in self.rows],
            "note": self.note,
            "series": self.series,
        }

    def column(self, name: str) -> list[Any]:
        """One column's values."""
        index = self.columns.index(name)
        return [row[index] for row in self.rows]


@dataclass
class Findings:
    """What a section measured."""

    rows: list[Row] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
