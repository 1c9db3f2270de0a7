"""Which action does a line to a shipped character want? `python -m tools.eval_choice`.

Every second example line of each action is taken out of the sheet and said; beside them, lines that want no action: the
questions about the facts, and the voice examples' player lines. Prints what is called of the one and of the other.

`--fit` asks the model about every action for every line, whatever the encoder says of it, calls nothing, and fits the
weights of the choice; with --records of such a run, `python -m tools.eval_cpdc --fit model --beside FILE` fits them to
both kinds of talk.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from npc_engine.actions.ranking import ChoiceWeights
from npc_engine.cli.console import progress_sink
from npc_engine.dialogue.offers import ALL_ACTIONS
from npc_engine.errors import NpcEngineError
from npc_engine.playtest.scores.statistics import rate
from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheets
from npc_engine.sheets.questions import load_questions
from npc_engine.sheets.schema import CharacterSheet
from tools.evaluation.loading import running
from tools.evaluation.options import add_engine_options, add_result_options, evaluation_config
from tools.evaluation.records import append_record, kept
from tools.tasks.fitting import evidence, fit, print_fit, recording_weights
from tools.tasks.running import Refused, called

QUESTIONS_EVERY = 4
_console = Console(stderr=True)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A line, and the action that it wants; None: none."""

    character: str
    line: str
    wanted: str | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Say what is missing, print the table or the fitted weights, write the JSON."""
    options = parse(arguments)
    try:
        records = asyncio.run(had(options))
    except NpcEngineError as error:
        _console.print(f"{error.code}: {error.message}", markup=False)
        return 1
    if options.fit:
        turns = [turn for number, one in enumerate(records) for turn in evidence_of(number, one)]
        print_fit(fit(turns, given=ChoiceWeights()))
        return 0
    report = scored(records)
    table = Table("", "lines", "called as wanted", "another called", "nothing called")
    for name, row in report.items():
        table.add_row(name, *map(str, row.values()))
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="base", help="installed dialogue model")
    parser.add_argument("--sheets", type=Path, help="folder of sheets, with `questions` in it (default: the shipped)")
    parser.add_argument("--fit", action="store_true", help="fit the weights of the choice")
    parser.add_argument("--weights", type=json.loads, default={}, help='weights of the choice: {"floor": 0.4}')
    add_engine_options(parser)
    add_result_options(parser, records="choice.jsonl", of="what was said")
    options = parser.parse_args(arguments)
    try:
        options.weights = recording_weights(asks_model=True) if options.fit else ChoiceWeights(**options.weights)
    except TypeError as error:
        parser.error(f"--weights: {error}")
    return options


def halved(sheet: CharacterSheet) -> CharacterSheet:
    """The sheet without every second example line of its actions."""
    actions = [action.model_copy(update={"examples": action.examples[::2]}) for action in sheet.actions]
    return sheet.model_copy(update={"actions": tuple(actions)})


def lines_of(sheet: CharacterSheet, *, sheets_dir: Path) -> Iterator[Asked]:
    """The lines that its halved sheet has not seen, and lines that want nothing."""
    for action in sheet.actions:
        if action.when is None:
            for line in action.examples[1::2]:
                yield Asked(character=sheet.id, line=line, wanted=action.name)
    path = sheets_dir / "questions" / f"{sheet.id}.yaml"
    questions = load_questions(path).questions if path.is_file() else ()
    said = [one.player for one in sheet.voice.examples if one.player]
    for line in [*(one.question for one in questions[::QUESTIONS_EVERY]), *said]:
        yield Asked(character=sheet.id, line=line, wanted=None)


async def had(options: argparse.Namespace) -> list[dict[str, Any]]:
    """A record a line: the line, what it wants, what came of it; has those that --records lacks."""
    folder = options.sheets or shipped_sheets_dir()
    sheets = load_sheets([folder])
    asked = [one for sheet in sheets.values() for one in lines_of(sheet, sheets_dir=folder)]
    keys = {str(one): asdict(one) | {"model": options.model, "weights": asdict(options.weights)} for one in asked}
    found = kept(options.records, keys)
    missing = [one for one in asked if str(one) not in found]
    if missing:
        config = evaluation_config(options, guard="off", seed=1)
        names = {one.character for one in missing}
        halves = {name: halved(sheet) for name, sheet in sheets.items() if name in names}
        async with running(config, halves, is_warm=False) as dialogue:
            for name in halves:
                dialogue.character(name).chooser.weights = options.weights
            with progress_sink() as progress:
                progress.stage("lines", len(missing), unit="lines")
                for number, one in enumerate(missing, start=1):
                    talk = dialogue.open_conversation(one.character, player_id="eval", actions=[ALL_ACTIONS])
                    turn = await called(talk, one.line, config=config, game=lambda _: Refused(error="not now"))
                    talk.close()
                    record = keys[str(one)] | {"turn": turn}
                    append_record(options.records, record)
                    found[str(one)] = record
                    progress.update(number)
    return [found[str(one)] for one in asked]


def evidence_of(number: int, record: Mapping[str, Any]) -> Iterator[Any]:
    """One record as the fitter takes it."""
    wanted = frozenset(() if record["wanted"] is None else (record["wanted"],))
    return evidence(number, [wanted], [record["turn"]])


def scored(records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """What was called of the lines that want an action, and of those that want none."""
    report = {}
    for name, is_wanted in (("an action is wanted", True), ("none is wanted", False)):
        rows = [(one["wanted"], _first(one["turn"])) for one in records if (one["wanted"] is not None) == is_wanted]
        right = [wanted is not None and got == wanted for wanted, got in rows]
        report[name] = {
            "lines": len(rows),
            "as wanted": _share(right),
            "another": _share([got is not None and got != wanted for wanted, got in rows]),
            "nothing": _share([got is None for _, got in rows]),
        }
    return report


def _share(flags: Sequence[bool]) -> str:
    """A share with its interval, lines drawn again."""
    found = rate([(flag, 1) for flag in flags])
    return f"{sum(flags) / len(flags):.0%} ({found.low:.0%} to {found.high:.0%})" if flags else "-"


def _first(turn: Mapping[str, Any]) -> str | None:
    """The action that a turn called or offered first."""
    tried = [one["name"] for one in turn["trace"].get("actions", ())]
    return tried[0] if tried else None


if __name__ == "__main__":
    sys.exit(main())
