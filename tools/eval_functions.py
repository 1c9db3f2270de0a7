"""How well does the choice among declared functions do in general? `python -m tools.eval_functions --data FOLDER`.

Asks the questions of the Berkeley function-calling leaderboard (simple, multiple, irrelevance), each in a conversation
of its own whose game declares the question's functions; nothing is spoken. Scores by the leaderboard's rules: exactly
the right call with allowed values, or no call at all where none fits. Questions whose functions the engine cannot take
(nested objects) are left out, and counted.

Finished questions are kept in --records, so a stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from npc_engine.actions.declare import declared_actions
from npc_engine.actions.ranking import ChoiceWeights
from npc_engine.cli.console import progress_sink
from npc_engine.config import EngineConfig
from npc_engine.errors import InvalidAction, InvalidConstraint, NpcEngineError
from npc_engine.playtest.scores.statistics import Rate, percentile, rate
from npc_engine.sheets.schema import CharacterSheet
from tools.evaluation.loading import running
from tools.evaluation.options import DEADLINE_S, add_engine_options, add_result_options, evaluation_config
from tools.evaluation.records import append_record, kept
from tools.tasks.bfcl import PARTS, Question, is_right, load_questions
from tools.tasks.calls import Call
from tools.tasks.running import called
from tools.tasks.scoring import shown
from tools.tasks.sheets import FALLBACKS, GREETING

CLERK = CharacterSheet.model_validate(
    {
        "schema": "npc-engine/character@1",
        "id": "clerk",
        "identity": {
            "name": "Ada Finch",
            "role": "clerk at an information desk",
            "social": "Known for quick answers.",
            "personal": "Exact and helpful.",
            "context": "At the desk, with every register at hand.",
        },
        "voice": {"register": "short, plain sentences"},
        "fallbacks": FALLBACKS,
        "greeting": GREETING,
    }
)
_console = Console(stderr=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, score, print the table, write the JSON."""
    options = parse(arguments)
    try:
        report = asyncio.run(evaluate(options))
    except NpcEngineError as error:
        _console.print(f"{error.code}: {error.message}", markup=False)
        return 1
    print_table(report, Console(), show=options.show)
    if options.json:
        # Ids alone: figures may be kept where the data may not.
        for part in report["parts"].values():
            part["misses"] = [miss["id"] for miss in part["misses"]]
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with BFCL_v4_*.json and possible_answer/")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="kinds of questions")
    parser.add_argument("--model", default="base", help="installed dialogue model")
    parser.add_argument("--weights", type=json.loads, default={}, help='weights of the choice: {"floor": -1}')
    parser.add_argument("--every", type=int, default=1, help="only every so-many-th question of each part")
    parser.add_argument("--limit", type=int, help="at most so many questions of each part")
    add_engine_options(parser)
    add_result_options(parser, records="functions.jsonl", of="finished questions")
    parser.add_argument("--show", type=int, default=0, help="print so many misses of each part")
    options = parser.parse_args(arguments)
    if options.every < 1 or (options.limit is not None and options.limit < 1):
        parser.error("--every and --limit are at least 1")
    try:
        options.weights = ChoiceWeights(**options.weights)
    except TypeError as error:
        parser.error(f"--weights: {error}")
    return options


async def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """Ask what was not asked yet and score all; the whole report as plain data."""
    parts = {part: load_questions(options.data, part)[:: options.every][: options.limit] for part in options.parts}
    usable = {part: [one for one in some if _is_declarable(one)] for part, some in parts.items()}
    records = await _asked([one for some in usable.values() for one in some], options)
    columns = {}
    for part, questions in usable.items():
        answers = [
            (one, [Call(name=c["name"], arguments=c["arguments"]) for c in records[one.id]["calls"]])
            for one in questions
        ]
        right = [is_right(one, calls) for one, calls in answers]
        columns[part] = {
            "questions": len(questions),
            "left_out": len(parts[part]) - len(questions),
            "right": _plain(rate([(float(one), 1.0) for one in right])),
            "right_name": None
            if part == "irrelevance"
            else _plain(rate([(float(bool(c) and c[0].name == one.name), 1.0) for one, c in answers])),
            "called": _plain(rate([(float(bool(calls)), 1.0) for _, calls in answers])),
            "total_s": {f"p{p}": percentile([records[one.id]["total_s"] for one in questions], p) for p in (50, 95)},
            "misses": [
                {
                    "id": one.id,
                    "line": one.line,
                    "did": "; ".join(map(shown, calls)) or "no call",
                    "wanted": "no call" if one.name is None else f"{one.name}({json.dumps(one.answer)})",
                }
                for (one, calls), is_good in zip(answers, right, strict=True)
                if not is_good
            ],
        }
    return {
        "model": options.model,
        "weights": asdict(options.weights),
        "every": options.every,
        "limit": options.limit,
        "machine": f"{platform.system()} {platform.machine()}",
        "parts": columns,
    }


async def _asked(questions: Sequence[Question], options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    base = {"model": options.model, "weights": asdict(options.weights)}
    found = kept(options.records, {one.id: base | {"question": one.id} for one in questions})
    missing = [one for one in questions if one.id not in found]
    _console.print(f"{options.model}: {len(found)} questions are in {options.records}, {len(missing)} to be asked")
    if not missing:
        return found
    config = _config(options)
    async with running(config, {CLERK.id: CLERK}) as dialogue:
        dialogue.character(CLERK.id).chooser.weights = options.weights
        with progress_sink() as progress:
            progress.stage("questions", len(missing), unit="questions")
            for done, one in enumerate(missing, start=1):
                conversation = dialogue.open_conversation(CLERK.id, player_id="examiner", declare_actions=one.functions)
                record = await called(conversation, one.line, config=config, game=lambda _: {})
                conversation.close()
                # Only the first call: the questions want one.
                record = (
                    base
                    | {"question": one.id, "calls": record["calls"][:1]}
                    | {key: record[key] for key in ("total_s", "trace")}
                )
                append_record(options.records, record)
                found[one.id] = record
                progress.update(done)
    return found


def _calls(record: Mapping[str, Any]) -> list[Call]:
    return [Call(name=one["name"], arguments=one["arguments"]) for one in record["calls"]]


def _is_declarable(question: Question) -> bool:
    try:
        declared_actions(question.functions)
    except (InvalidAction, InvalidConstraint):
        return False
    return True


def _plain(one: Rate) -> dict[str, Any]:
    return asdict(one) | {"value": one.value}


def print_table(report: Mapping[str, Any], console: Console, *, show: int) -> None:
    """A row a part, and the first misses."""
    table = Table("", "right", "right function", "called at all", "left out", "turn, p50 / p95 s", show_edge=False)
    for part, one in report["parts"].items():
        spread = one["total_s"]
        seconds = "-" if spread["p50"] is None else f"{spread['p50']:.2f} / {spread['p95']:.2f}"
        table.add_row(
            part, *(_cell(one[key]) for key in ("right", "right_name", "called")), str(one["left_out"]), seconds
        )
    console.print(table)
    for part, one in report["parts"].items():
        for miss in one["misses"][:show]:
            console.print(
                f"{part} {miss['id']}: {miss['line']}\n  did    {miss['did']}\n  wanted {miss['wanted']}", markup=False
            )


def _cell(one: Mapping[str, Any] | None) -> str:
    if one is None or one["value"] is None:
        return "-"
    return f"{one['value']:.1%} [{one['low']:.0%}-{one['high']:.0%}] of {one['cases']:.0f}"


def _config(options: argparse.Namespace) -> EngineConfig:
    return evaluation_config(options, guard="off", seed=1, num_slots=1, action_timeout_s=DEADLINE_S)


if __name__ == "__main__":
    sys.exit(main())
