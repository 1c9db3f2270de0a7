"""Does a character call what the talk asks for, and say what is so? `python -m tools.eval_cpdc --data FOLDER`.

Has recorded task dialogues with the engine in this process, each turn after gold's turns before it: a sheet made from
the record, actions declared from its functions, the game's answers from its returns. Scores the calls against gold's
and the replies by strings, beside gold's own rates and two floors that need no model; nothing is blended into one.

--calls-only ends each turn after its calls: speaking takes most of the time on a small machine. Finished dialogues are
kept in --records, so a stopped run goes on where it was. `--fit model` asks the model about every function in every
turn of the part, once, and fits the weights of the choice offline.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from npc_engine.actions.ranking import ChoiceWeights
from npc_engine.cli.console import progress_sink
from npc_engine.config import EngineConfig
from npc_engine.errors import NpcEngineError
from npc_engine.guard.strategies import STRATEGIES
from tools.eval_choice import evidence_of
from tools.evaluation.loading import running
from tools.evaluation.nli import Nli, load_nli
from tools.evaluation.options import (
    DEADLINE_S,
    add_engine_options,
    add_reply_options,
    add_result_options,
    evaluation_config,
)
from tools.evaluation.records import append_record, kept, read_records
from tools.tasks.cpdc import PARTS, Episode, load_part
from tools.tasks.fitting import Fitted, evidence, fit, print_fit, recording_weights
from tools.tasks.floors import Guess, Neighbours, fixed
from tools.tasks.game import answer
from tools.tasks.perturb import WAYS, Perturbed, perturb, renamed_back
from tools.tasks.procedures import functions_key, learn
from tools.tasks.report import latency, print_causes, print_faults, print_latency, print_measures, summary
from tools.tasks.running import Run, have_episode
from tools.tasks.scoring import Outcome, gold_outcomes, tally
from tools.tasks.sheets import sheet_of

# The function lists take up to 1,600 tokens, and are read once where they fit the stable part.
CONTEXT_TOKENS = 4096
ENGINE, GOLD, FIXED, NEIGHBOUR = "engine", "gold", "fixed reply, no call", "nearest neighbour"
_console = Console(stderr=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, score, print the tables, write the JSON."""
    options = parse(arguments)
    try:
        episodes = load_part(options.data, options.part)[:: options.every][: options.limit]
        memory = load_part(options.data, "tune")
        changed = [perturb(episode, options.perturb, seed=options.seed) for episode in episodes]
        records = asyncio.run(had(changed, options)) if not options.floors_only else None
        if options.fit:
            assert records is not None  # parse refuses --fit with --floors-only
            print_fit(fitted(changed, records, options))
            return 0
        report = asyncio.run(evaluate(changed, records, memory, options))
    except NpcEngineError as error:
        _console.print(f"{error.code}: {error.message}", markup=False)
        return 1
    out = Console()
    print_measures(report["columns"], out)
    print_causes({name: column for name, column in report["columns"].items() if name != GOLD}, out)
    if records is not None:
        print_latency(report["latency"], out)
    for name, column in report["columns"].items():
        print_faults(name, column["faults"], out, limit=options.show if name == ENGINE else 0)
    if options.json:
        options.json.write_text(json.dumps(without_texts(report), indent=1) + "\n", encoding="utf-8")
    return 0


def without_texts(report: dict[str, Any]) -> dict[str, Any]:
    """The report without the faults, which quote the data: figures may be kept where the data may not."""
    columns = {
        name: {key: value for key, value in column.items() if key != "faults"}
        for name, column in report["columns"].items()
    }
    return report | {"columns": columns}


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with dev/, worlds_*.json, function_lists.json")
    parser.add_argument("--part", choices=PARTS, default="dev-task1", help="which dialogues (default: dev-task1)")
    parser.add_argument("--model", default="base", help="installed dialogue model")
    parser.add_argument("--guard", choices=["off", *STRATEGIES], default="judge", help="guard strategy of replies")
    parser.add_argument("--calls-only", action="store_true", help="end each turn after its calls")
    parser.add_argument("--perturb", choices=WAYS, help="change the function lists first")
    parser.add_argument("--no-procedures", action="store_true", help="leave the sheets' procedures out")
    parser.add_argument("--no-examples", action="store_true", help="leave the actions' example lines out")
    parser.add_argument("--every", type=int, default=1, help="only every so-many-th dialogue")
    parser.add_argument("--limit", type=int, help="at most so many dialogues")
    parser.add_argument("--floors-only", action="store_true", help="only gold and the floors: no model is loaded")
    parser.add_argument(
        "--fit",
        choices=("model", "encoder"),
        help="fit the weights of the choice, to all evidence or to the encoder's alone; implies --calls-only",
    )
    parser.add_argument("--beside", type=Path, help="fit to the records of `tools.eval_choice --fit` as well")
    parser.add_argument(
        "--weights", type=json.loads, default={}, help='weights of the choice: {"floor": 0.4}; --fit compares with them'
    )
    parser.add_argument("--nli", help="installed NLI model, or its folder: measures contradiction")
    add_reply_options(parser, seed_of="conversations and perturbations")
    add_engine_options(parser)
    add_result_options(
        parser,
        records="cpdc.jsonl",
        of="finished dialogues",
        json_help="where to write the figures, without any text of the data",
    )
    parser.add_argument("--show", type=int, default=0, help="print so many faults of each kind")
    options = parser.parse_args(arguments)
    if options.every < 1 or (options.limit is not None and options.limit < 1):
        parser.error("--every and --limit are at least 1")
    if options.fit and options.floors_only:
        parser.error("--fit needs the engine; --floors-only leaves it out")
    if options.fit and options.part == "unseen":
        parser.error("the unseen part is not fitted to: --part tune")
    options.calls_only = options.calls_only or options.fit is not None
    try:
        options.weights = options.given = ChoiceWeights(**options.weights)
    except TypeError as error:
        parser.error(f"--weights: {error}")
    if options.fit:
        options.weights = recording_weights(asks_model=options.fit == "model")
    return options


async def had(changed: Sequence[Perturbed], options: argparse.Namespace) -> list[list[dict[str, Any]]]:
    """The engine's turns of every dialogue; has those that --records lacks."""
    run = Run(
        part=options.part,
        model=options.model,
        guard=options.guard,
        calls_only=options.calls_only,
        perturb=options.perturb,
        seed=options.seed,
        has_procedures=not options.no_procedures,
        has_examples=not options.no_examples,
        weights=options.weights,
    )
    episodes = [one.episode for one in changed]
    found = kept(options.records, {episode.id: run.key(episode) for episode in episodes})
    missing = [episode for episode in episodes if episode.id not in found]
    num_turns = sum(len(episode.turns) for episode in missing)
    _console.print(
        f"{options.model}, {options.part}: {len(found)} dialogues are in {options.records}, "
        f"{len(missing)} of {num_turns} turns to be had"
    )
    if missing:
        config = _config(options)
        sheets = {
            name: sheet_of(episode, sheet_id=name, has_procedures=run.has_procedures, has_facts=not run.calls_only)
            for name, episode in ((f"recorded-{number}", one) for number, one in enumerate(missing))
        }
        has_model = options.fit != "encoder"
        async with running(config, sheets, is_warm=False, is_started=has_model) as dialogue:
            begun = time.perf_counter()
            with progress_sink() as progress:
                progress.stage("turns", num_turns, unit="turns")
                done = 0
                for name, episode in zip(sheets, missing, strict=True):
                    dialogue.character(name).chooser.weights = options.weights
                    turns = await have_episode(dialogue, name, episode, run=run, config=config, has_model=has_model)
                    record = run.key(episode) | {"turns": turns}
                    append_record(options.records, record)
                    found[episode.id] = record
                    done += len(turns)
                    progress.update(done)
            _console.print(f"{done} turns, {(time.perf_counter() - begun) / done:.2f} s each")
    return [found[episode.id]["turns"] for episode in episodes]


async def evaluate(
    changed: Sequence[Perturbed],
    records: Sequence[Sequence[dict[str, Any]]] | None,
    memory: Sequence[Episode],
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Score the engine, gold and the floors; the whole report as plain data."""
    nli: Nli | None = load_nli(options.nli, config=_config(options)) if options.nli else None
    # Scored under gold's own names, with gold's calls as far as their functions are still there.
    episodes = [one.restored() for one in changed]
    needs = learn(load_part(options.data, options.part))
    neighbours = Neighbours(memory)
    systems: dict[str, list[list[Outcome]]] = {}
    if records is not None:
        systems[ENGINE] = [[_outcome(turn, one) for turn in turns] for turns, one in zip(records, changed, strict=True)]
    systems[GOLD] = [gold_outcomes(episode) for episode in episodes]
    systems[FIXED] = [[_floor(fixed(), episode, n) for n in range(len(episode.turns))] for episode in episodes]
    systems[NEIGHBOUR] = [
        [
            _floor(neighbours.guess(episode, number, leave_out=episode.id), episode, number)
            for number in range(len(episode.turns))
        ]
        for episode in episodes
    ]
    columns = {}
    for name, outcomes in systems.items():
        tallies = [
            await tally(episode, some, needs=needs.get(functions_key(episode), {}), nli=nli)
            for episode, some in zip(episodes, outcomes, strict=True)
        ]
        columns[name] = summary(tallies)
    turns = [turn for some in records or () for turn in some]
    return {
        "part": options.part,
        "model": None if records is None else options.model,
        "guard": None if options.calls_only else options.guard,
        "perturb": options.perturb,
        "has_procedures": not options.no_procedures,
        "has_examples": not options.no_examples,
        "every": options.every,
        "limit": options.limit,
        "seed": options.seed,
        "weights": options.weights.__dict__ if records is not None else None,
        "nli": options.nli,
        "turns": sum(len(episode.turns) for episode in episodes),
        "machine": f"{platform.system()} {platform.machine()}",
        "columns": columns,
        "latency": latency(turns),
    }


def _outcome(turn: dict[str, Any], one: Perturbed) -> Outcome:
    return Outcome(
        calls=tuple(renamed_back(turn["calls"], one)),
        results=tuple(call["result"] for call in turn["calls"]),
        reply=turn["reply"],
    )


def _floor(guess: Guess, episode: Episode, number: int) -> Outcome:
    results = tuple(answer(call, episode, number=number) for call in guess.calls)
    return Outcome(calls=guess.calls, results=results, reply=guess.reply)


def fitted(
    changed: Sequence[Perturbed], records: Sequence[Sequence[dict[str, Any]]], options: argparse.Namespace
) -> Fitted:
    """Fit the weights to what was recorded, and to what --beside holds."""
    turns = [
        turn
        for number, (one, some) in enumerate(zip(changed, records, strict=True))
        for turn in evidence(number, [frozenset(call.name for call in each.calls) for each in one.episode.turns], some)
    ]
    beside = list(read_records(options.beside)) if options.beside else []
    for number, record in enumerate(beside, start=len(changed)):
        turns += evidence_of(number, record)
    return fit(turns, given=options.given)


def _config(options: argparse.Namespace) -> EngineConfig:
    return evaluation_config(
        options,
        guard=options.guard,
        seed=options.seed,
        temperature=options.temperature,
        num_slots=1,
        max_context_tokens=CONTEXT_TOKENS,
        action_timeout_s=DEADLINE_S,
    )


if __name__ == "__main__":
    sys.exit(main())
