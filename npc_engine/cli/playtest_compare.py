"""`npc-engine playtest compare`: get both runs, from files or by playing, and say what differs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer

from npc_engine.cli.console import out
from npc_engine.cli.playtest_session import Session, casts_of, chosen, nli_model, play
from npc_engine.config import load_config
from npc_engine.playtest.compare import compare, paired
from npc_engine.playtest.report.machine import write_whole
from npc_engine.playtest.report.terminal import print_comparison
from npc_engine.playtest.results import read_results
from npc_engine.playtest.scenarios.loading import Cast
from npc_engine.playtest.scores.scored import Scored
from npc_engine.playtest.scores.scoring import score_all
from npc_engine.playtest.talks import scenario_talks
from npc_engine.sheets.loader import SHEET_SUFFIXES

PAGE_NAME = "comparison.html"


def comparison(
    sides: tuple[str, str],
    paths: Sequence[Path],
    *,
    seeds: tuple[int, ...],
    only: Sequence[str],
    out_folder: Path,
    at_once: int,
    fresh: bool,
    nli: str | None,
    base: Mapping[str, Any],
) -> None:
    """Compare two sides, print the table and write the page.

    Raises:
        NpcEngineError: A side cannot be read or played.
    """
    runs: list[list[Scored]] = []
    first_cast: Cast | None = None
    for side, name in zip(sides, ("first", "second"), strict=True):
        path = Path(side)
        if "=" not in side and path.suffix not in SHEET_SUFFIXES:
            there = read_results(path)
            judge = nli_model(nli, load_config())
            runs.append(asyncio.run(score_all(there.records, there.head.sheets, nli=judge)))
            continue
        settings = parse_settings(side) if "=" in side else {}
        casts = casts_of([path] if not settings else list(paths))
        if not settings and first_cast is not None:
            # The other sheet is held to the same scenarios.
            casts = [replace(casts[0], scenarios=first_cast.scenarios, seeds=first_cast.seeds)]
        elif not settings:
            first_cast = casts[0]
        talks = chosen(
            [
                talk
                for cast in casts
                for one in cast.scenarios
                for talk in scenario_talks(
                    cast.sheet.id, one.model_copy(update={"seeds": seeds}) if seeds else one, seeds=cast.seeds
                )
            ],
            only,
        )
        session = Session(
            label=side,
            endpoint=None,
            config=load_config(**{**base, **settings}),
            out=out_folder / name,
            at_once=at_once,
            fresh=fresh,
            nli=nli,
            extra={"suite": "comparison"},
        )
        runs.append(play(session, casts, talks)[1])
    first, second = runs
    pairs = len(paired(first, second))
    if not pairs:
        raise typer.BadParameter("the two have no talk in common: compare runs of the same scenarios")
    differences = compare(first, second)
    print_comparison(sides, differences, out, num_pairs=pairs)
    from npc_engine.playtest.report.page import comparison_page

    write_whole(out_folder / PAGE_NAME, comparison_page(sides, differences, num_pairs=pairs))
    out.print(f"report: {out_folder / PAGE_NAME}", markup=False, soft_wrap=True, highlight=False)


def parse_settings(text: str) -> dict[str, Any]:
    """Engine settings from `name=value,name=value`; `load_config` checks them.

    Raises:
        typer.BadParameter: A part is not of that form.
    """
    settings: dict[str, Any] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise typer.BadParameter(f"{part!r} is not name=value, such as guard=off")
        settings[name.strip()] = value.strip()
    return settings
