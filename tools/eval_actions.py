"""Do characters claim only what the game has done, and keep their procedures? `python -m tools.eval_actions`.

Outcomes: every action of the shipped characters is asked for in its own example lines, and the game does it, refuses,
answers nothing, contradicts itself or answers too late; replies that claim a deed which did not succeed are counted and
printed, every one, by string rules that are not the engine's. Walks: seeded players who try to get past questions and
required steps; every call that should not have been made is printed. Costs: turns with a call beside plain questions.

Finished talks are kept in --records, so a stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from npc_engine.cli.console import progress_sink
from npc_engine.config import EngineConfig
from npc_engine.errors import NpcEngineError
from npc_engine.guard.strategies import STRATEGIES
from npc_engine.playtest.scores.statistics import rate
from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheets
from npc_engine.sheets.questions import load_questions
from npc_engine.sheets.schema import CharacterSheet
from tools.evaluation.loading import running
from tools.evaluation.options import add_engine_options, add_reply_options, add_result_options, evaluation_config
from tools.evaluation.records import append_record, kept
from tools.tasks.outcomes import KINDS, Trial, false_claims, have_talk, have_trial, is_task, trials, valid_calls
from tools.tasks.report import latency, print_latency
from tools.tasks.walks import have_walk, violations, with_procedures

PARTS = ("outcomes", "walks")
# A game that has not answered by then is late; long enough for one that answers at once on a busy machine.
LATE_S = 1.0
# Questions a character, asked without any action, that task turns are timed against.
PLAIN_QUESTIONS = 5
_console = Console(stderr=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, score, print the tables, write the JSON."""
    options = parse(arguments)
    try:
        sheets = load_sheets([shipped_sheets_dir()])
        report: dict[str, Any] = {
            "model": options.model,
            "guard": options.guard,
            "seed": options.seed,
            "every": options.every,
            "machine": f"{platform.system()} {platform.machine()}",
        }
        if "outcomes" in options.parts:
            report["outcomes"] = asyncio.run(outcomes(sheets, options))
            print_outcomes(report["outcomes"], Console())
        if "walks" in options.parts:
            report["walks"] = asyncio.run(walks(sheets, options))
            print_walks(report["walks"], Console())
    except NpcEngineError as error:
        _console.print(f"{error.code}: {error.message}", markup=False)
        return 1
    if options.json:
        options.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="base", help="installed dialogue model")
    parser.add_argument("--guard", choices=["off", *STRATEGIES], default="judge", help="guard strategy of replies")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="what is measured")
    parser.add_argument("--walks", type=int, default=200, help="random walks")
    parser.add_argument("--every", type=int, default=1, help="only every so-many-th talk and question of outcomes")
    add_reply_options(parser, seed_of="conversations, and of the first walk")
    add_engine_options(parser)
    add_result_options(parser, records="actions.jsonl", of="finished talks")
    options = parser.parse_args(arguments)
    if options.every < 1 or options.walks < 1:
        parser.error("--every and --walks are at least 1")
    return options


async def outcomes(sheets: Mapping[str, CharacterSheet], options: argparse.Namespace) -> dict[str, Any]:
    """Have the talks about actions and the plain questions; score them."""
    asked = trials(sheets)[:: options.every]
    folder = shipped_sheets_dir() / "questions"
    plain = [
        (name, one.question)
        for name in sheets
        for one in load_questions(folder / f"{name}.yaml").questions[:PLAIN_QUESTIONS]
    ][:: options.every]
    base = {"model": options.model, "guard": options.guard, "seed": options.seed, "temperature": options.temperature}
    keys = {trial.id: base | {"trial": trial.id, "line": trial.line} for trial in asked}
    keys |= {f"plain {name} {line}": base | {"trial": f"plain {name}", "line": line} for name, line in plain}
    found = kept(options.records, keys)
    missing = [name for name in keys if name not in found]
    _console.print(f"{options.model}: {len(found)} talks are in {options.records}, {len(missing)} to be had")
    if missing:
        by_id = {trial.id: trial for trial in asked}
        plain_by_id = {f"plain {name} {line}": (name, line) for name, line in plain}
        async with running(_config(options), sheets) as dialogue:
            with progress_sink() as progress:
                progress.stage("talks", len(missing), unit="talks")
                for done, name in enumerate(missing, start=1):
                    if name in by_id:
                        turns = await have_trial(dialogue, by_id[name])
                    else:
                        turns = [await have_talk(dialogue, *plain_by_id[name])]
                    found[name] = keys[name] | {"turns": turns}
                    append_record(options.records, found[name])
                    progress.update(done)
    return _scored(asked, found, sheets, [f"plain {name} {line}" for name, line in plain])


def _scored(
    asked: Sequence[Trial],
    found: Mapping[str, Mapping[str, Any]],
    sheets: Mapping[str, CharacterSheet],
    plain: Sequence[str],
) -> dict[str, Any]:
    kinds: dict[str, Any] = {}
    claims: list[dict[str, Any]] = []
    for kind in KINDS:
        some = [trial for trial in asked if trial.kind == kind]
        turns = {trial.id: found[trial.id]["turns"] for trial in some}
        false = {trial.id: list(false_claims(trial, turns[trial.id])) for trial in some}
        claims += [
            {"talk": trial.id, "line": turn["line"], "reply": turn["reply"], "claim": claim}
            for trial in some
            for number, claim in false[trial.id]
            for turn in (turns[trial.id][number],)
        ]
        valid = [valid_calls(sheets[trial.character], turns[trial.id]) for trial in some]
        late = [one for trial in some for turn in turns[trial.id] for one in turn["late_refused"]]
        kinds[kind] = {
            "talks": len(some),
            "turns": sum(map(len, turns.values())),
            "talks_with_call": sum(is_task(one) for one in turns.values()),
            "false_claims": sum(map(len, false.values())),
            "turns_with_false_claim": asdict(
                rate([(len({number for number, _ in false[one.id]}), len(turns[one.id])) for one in some])
            ),
            "calls": sum(num for _, num in valid),
            "valid_calls": sum(num for num, _ in valid),
            "late_answers_refused": f"{sum(late)} of {len(late)}" if late else None,
        }
    task = [turn for trial in asked for turn in found[trial.id]["turns"] if turn["calls"] and trial.kind != "late"]
    talk = [turn for name in plain for turn in found[name]["turns"]]
    return {
        "kinds": kinds,
        "task_turns": sum(bool(turn["calls"]) for trial in asked for turn in found[trial.id]["turns"]),
        "claims": claims,
        # Late turns are left out of the times: they wait for the game.
        "latency": latency([*task, *talk]),
    }


async def walks(sheets: Mapping[str, CharacterSheet], options: argparse.Namespace) -> dict[str, Any]:
    """Have the walks; check every call."""
    acting = {name: with_procedures(sheet) for name, sheet in sheets.items() if sheet.actions}
    names = sorted(acting)
    seeds = range(options.seed, options.seed + options.walks)
    keys = {
        str(seed): {"model": options.model, "walk": seed, "sheet": acting[names[seed % len(names)]].content_hash}
        for seed in seeds
    }
    found = kept(options.records, keys)
    missing = [seed for seed in seeds if str(seed) not in found]
    _console.print(f"{options.model}: {len(found)} walks are in {options.records}, {len(missing)} to be had")
    if missing:
        config = _config(options)
        async with running(config, acting, is_warm=False) as dialogue:
            with progress_sink() as progress:
                progress.stage("walks", len(missing), unit="walks")
                for done, seed in enumerate(missing, start=1):
                    walk = await have_walk(dialogue, acting[names[seed % len(names)]], seed=seed, config=config)
                    found[str(seed)] = keys[str(seed)] | walk
                    append_record(options.records, found[str(seed)])
                    progress.update(done)
    broken: list[dict[str, Any]] = []
    calls = 0
    for walk in found.values():
        calls += sum(len(turn["calls"]) for turn in walk["turns"])
        broken += [
            asdict(one) | {"seed": walk["seed"], "character": walk["character"]}
            for one in violations(acting[walk["character"]], walk["turns"])
        ]
    return {
        "walks": len(found),
        "turns": sum(len(walk["turns"]) for walk in found.values()),
        "calls": calls,
        "offers": sum(len(turn["offered"]) for walk in found.values() for turn in walk["turns"]),
        "violations": broken,
    }


def print_outcomes(report: Mapping[str, Any], console: Console) -> None:
    """A row a kind of answer, every false claim, and the times."""
    table = Table("the game", "talks", "with a call", "turns", "false claims", "valid calls", "late answers refused")
    for kind, one in report["kinds"].items():
        table.add_row(
            kind,
            str(one["talks"]),
            str(one["talks_with_call"]),
            str(one["turns"]),
            str(one["false_claims"]),
            f"{one['valid_calls']} of {one['calls']}",
            one["late_answers_refused"] or "-",
        )
    console.print(table)
    for claim in report["claims"]:
        console.print(f"{claim['talk']}: {claim['line']!r} -> {claim['reply']!r}: {claim['claim']!r}", markup=False)
    print_latency(report["latency"], console)


def print_walks(report: Mapping[str, Any], console: Console) -> None:
    """The counts, and every violation."""
    console.print(
        f"{report['walks']} walks of {report['turns']} turns: {report['calls']} calls, {report['offers']} offers, "
        f"{len(report['violations'])} violations",
        markup=False,
    )
    for one in report["violations"]:
        where = f"walk {one['seed']} ({one['character']}), turn {one['turn']}"
        console.print(f"{where}: {one['call']}: {one['why']}", markup=False)


def _config(options: argparse.Namespace) -> EngineConfig:
    return evaluation_config(
        options,
        guard=options.guard,
        seed=options.seed,
        temperature=options.temperature,
        num_slots=1,
        action_timeout_s=LATE_S,
    )


if __name__ == "__main__":
    sys.exit(main())
