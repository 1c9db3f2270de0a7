"""Do characters stay true to their sheets? `python -m tools.eval_consistency --guard off --guard judge`.

Asks the characters their questions in two wordings, questions that nobody can answer, and for their secrets in some two
hundred ways; has long talks in which everything is asked again; and scores the replies by string rules and, with
--nli, by an NLI model. The engine runs in this process over the real dialogue path. Strategies are compared on the same
talks with the same seed. The column `authored` is what a perfect character would say: the checks' own false alarms.

Talks that --records holds already are not had again, so a stopped run goes on where it was, and a run can be scored
again with another --nli at no cost.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from npc_engine.cli.console import progress_sink
from npc_engine.config import EngineConfig
from npc_engine.errors import NpcEngineError
from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheets
from npc_engine.sheets.questions import QuestionSet
from npc_engine.sheets.schema import CharacterSheet
from tools.consistency.material import PARTS, Material, Talk, load_material, talks
from tools.consistency.personas import load_personas
from tools.consistency.report import print_faults, print_table, summary
from tools.consistency.running import Run, authored_records, have_talks, kept_records
from tools.consistency.scoring import Scored, score
from tools.evaluation.loading import running
from tools.evaluation.nli import Nli, load_nli
from tools.evaluation.options import add_engine_options, add_reply_options, add_result_options, evaluation_config

# --quick has every so-many-th talk of each part; odd, so that both wordings of questions are among them.
QUICK_EVERY = 11
AUTHORED = "authored"
_console = Console(stderr=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, score, print the table, write the JSON."""
    options = parse(arguments)
    try:
        sheets, material = _material(options)
        asked = talks(
            material, options.parts, attempts=options.attempts, every=QUICK_EVERY if options.quick else options.every
        )
        report = asyncio.run(evaluate(asked, sheets, options))
    except NpcEngineError as error:
        _console.print(f"{error.code}: {error.message}", markup=False)
        return 1
    print_table(report["columns"], Console())
    for name, column in report["columns"].items():
        print_faults(name, column["faults"], Console(), limit=options.show)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="base", help="installed dialogue model")
    parser.add_argument("--guard", action="append", help="guard strategy; several are compared (default: off)")
    parser.add_argument("--sheets", type=Path, help="folder of sheets, with `questions` in it (default: the shipped)")
    parser.add_argument(
        "--data", type=Path, help="folder with light_repo/personas.jsonl.gz: adds --personas characters"
    )
    parser.add_argument("--personas", type=int, default=30, help="characters from --data")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="kinds of talks")
    parser.add_argument("--attempts", type=int, default=20, help="attempts a secret; 0 for every one")
    parser.add_argument("--every", type=int, default=1, help="have only every so-many-th talk of each part")
    parser.add_argument("--quick", action="store_true", help=f"as --every {QUICK_EVERY}, for development")
    parser.add_argument("--at-once", type=int, default=4, help="conversations side by side, and KV slots")
    parser.add_argument("--nli", help="installed NLI model, or its folder: measures contradiction and support")
    add_reply_options(parser, seed_of="every conversation")
    add_engine_options(parser)
    add_result_options(parser, records="consistency.jsonl", of="finished talks")
    parser.add_argument("--show", type=int, default=0, help="print so many faults of each kind")
    options = parser.parse_args(arguments)
    options.guard = list(dict.fromkeys(options.guard or ["off"]))
    if AUTHORED in options.guard:
        parser.error(f"{AUTHORED} is no strategy: its column is always there")
    for name in ("every", "at_once"):
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')} is at least 1")
    return options


async def evaluate(
    asked: Sequence[Talk], sheets: Mapping[str, CharacterSheet], options: argparse.Namespace
) -> dict[str, Any]:
    """Have the talks under each strategy and score them; the whole report as plain data."""
    nli: Nli | None = load_nli(options.nli, config=_config(options, options.guard[0])) if options.nli else None
    by_id = {talk.id: talk for talk in asked}
    turns = sum(len(talk.asks) for talk in asked)
    _console.print(f"{len(asked)} talks of {turns} turns with {len({talk.character for talk in asked})} characters")
    had: dict[str, list[Mapping[str, Any]]] = {AUTHORED: list(authored_records(asked, sheets))}
    for guard in options.guard:
        had[guard] = await _had(asked, sheets, guard, options)
    columns = {}
    for name, records in had.items():
        scored = [await _scored(record, by_id, sheets, nli) for record in records]
        faults = [
            fault | {"talk": record["talk"]}
            for record, one in zip(records, scored, strict=True)
            for fault in one.faults
        ]
        columns[name] = summary(scored, records) | {"faults": faults}
    return {
        "model": options.model,
        "seed": options.seed,
        "temperature": options.temperature,
        "nli": options.nli,
        "at_once": options.at_once,
        "machine": f"{platform.system()} {platform.machine()}",
        "characters": sorted({talk.character for talk in asked}),
        "columns": columns,
    }


async def _scored(
    record: Mapping[str, Any], by_id: Mapping[str, Talk], sheets: Mapping[str, CharacterSheet], nli: Nli | None
) -> Scored:
    talk = by_id[record["talk"]]
    return await score(record, talk, sheets[talk.character], nli)


async def _had(
    asked: Sequence[Talk], sheets: Mapping[str, CharacterSheet], guard: str, options: argparse.Namespace
) -> list[Mapping[str, Any]]:
    """The records of all talks under one strategy; runs those that are missing."""
    run = Run(guard=guard, model=options.model, seed=options.seed, temperature=options.temperature)
    kept = kept_records(options.records, run, asked)
    missing = [talk for talk in asked if talk.id not in kept]
    _console.print(
        f"{options.model}, guard {guard}: {len(kept)} talks are in {options.records}, {len(missing)} to be had"
    )
    if missing:
        used = {talk.character for talk in missing}
        config = _config(options, guard)
        async with running(config, {name: sheet for name, sheet in sheets.items() if name in used}) as dialogue:
            # The first few are timed, to say how long the rest will take.
            trial = missing[:: max(1, len(missing) // options.at_once)][: options.at_once]
            rest = [talk for talk in missing if talk not in trial]
            begun = time.perf_counter()
            fresh = await have_talks(dialogue, trial, run=run, path=options.records, at_once=options.at_once)
            per_turn_s = (time.perf_counter() - begun) / sum(len(talk.asks) for talk in trial)
            num_turns = sum(len(talk.asks) for talk in rest)
            _console.print(
                f"{num_turns} turns more at {per_turn_s:.2f} s each: about {num_turns * per_turn_s / 60:.0f} min"
            )
            with progress_sink() as progress:
                progress.stage(f"guard {guard}", max(1, num_turns), unit="questions")
                done = 0

                def on_turns(turns: int) -> None:
                    nonlocal done
                    done += turns
                    progress.update(done)

                fresh += await have_talks(
                    dialogue, rest, run=run, path=options.records, at_once=options.at_once, on_turns=on_turns
                )
        kept |= {record["talk"]: record for record in fresh}
    return [kept[talk.id] for talk in asked]


def _config(options: argparse.Namespace, guard: str) -> EngineConfig:
    return evaluation_config(
        options,
        guard=guard,
        seed=options.seed,
        temperature=options.temperature,
        num_slots=options.at_once,
    )


def _material(options: argparse.Namespace) -> tuple[dict[str, CharacterSheet], Material]:
    folder = options.sheets or shipped_sheets_dir()
    sheets = load_sheets([folder])
    sets: list[QuestionSet] = []
    if options.data:
        more, sets = load_personas(options.data / "light_repo" / "personas.jsonl.gz", options.personas)
        sheets |= more
    return sheets, load_material(sheets, question_dir=folder / "questions", more=sets)


if __name__ == "__main__":
    sys.exit(main())
