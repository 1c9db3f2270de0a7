"""Do a character's scenarios notice a sheet that went wrong? `python -m tools.eval_plants --model base hesta gil`.

Plants one regression a copy of each sheet: a fact is flipped, an action renamed, a secret's condition dropped, a
catchphrase put into five example lines. The scenarios are played with the sheet as it is and with each copy, with the
same seeds. A plant is caught where the scenarios no longer load, where one that came out right does not, or where a
score is worse beyond chance (`playtest.compare`). Replies of a copy are scored by the sheet as it should be.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from npc_engine.cli.local import local_client, wait_until_warm
from npc_engine.client.asynchronous import AsyncClient
from npc_engine.config import load_config
from npc_engine.errors import NpcEngineError, SheetError
from npc_engine.playtest.compare import compare
from npc_engine.playtest.results import Head, open_results
from npc_engine.playtest.running import have_talks
from npc_engine.playtest.scenarios.loading import Cast, load_casts, load_scenarios, scenario_path
from npc_engine.playtest.scores.scored import Scored
from npc_engine.playtest.scores.scoring import score_all
from npc_engine.playtest.scores.summary import verdicts
from npc_engine.playtest.talks import Talk, TalkRecord, scenario_talks
from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.schema import CharacterSheet

PLANTED_NAME = "Quillon"
NUM_EXAMPLES = 5


@dataclass(frozen=True)
class Plant:
    """A regression: its name, and what it does to a sheet's data; False where the sheet has nothing to plant it in."""

    name: str
    apply: Callable[[dict[str, Any], Cast], bool]


def flip_fact(data: dict[str, Any], cast: Cast) -> bool:
    """Put another number or name in the place of what the first tested fact answers with."""
    facts = {fact["id"]: fact for fact in data["facts"]}
    for scenario in cast.scenarios:
        step = scenario.steps()[-1]
        for name in step.facts:
            for option in [option for group in step.says for option in group]:
                pattern = re.compile(rf"(?<!\w){re.escape(option)}(?!\w)", re.IGNORECASE)
                if name in facts and pattern.search(facts[name]["text"]):
                    other = str(int(option) * 3 + 1) if option.isdigit() else PLANTED_NAME
                    facts[name]["text"] = pattern.sub(other, facts[name]["text"])
                    return True
    return False


def rename_action(data: dict[str, Any], cast: Cast) -> bool:
    """Call the first action otherwise."""
    if not data.get("actions"):
        return False
    data["actions"][0]["name"] += "_now"
    return True


def drop_condition(data: dict[str, Any], cast: Cast) -> bool:
    """Take the condition off the first secret that a scenario guards."""
    guarded = [name for scenario in cast.scenarios for step in scenario.steps() for name in step.no_facts]
    for fact in data["facts"]:
        if fact["id"] in guarded:
            fact.pop("when", None)
            fact.pop("secret", None)
            return True
    return False


def add_catchphrase(data: dict[str, Any], cast: Cast) -> bool:
    """Put the first catchphrase into five example lines."""
    phrases = cast.sheet.personality.catchphrases
    examples = data["voice"].get("examples", [])
    if not phrases or not examples:
        return False
    for example in examples[:NUM_EXAMPLES]:
        example["character"] = f"{phrases[0]} {example['character']} {phrases[0]}"[:300]
    return True


PLANTS = (
    Plant("fact flipped", flip_fact),
    Plant("action renamed", rename_action),
    Plant("condition dropped", drop_condition),
    Plant("catchphrase in five examples", add_catchphrase),
)


def planted(cast: Cast, plant: Plant) -> CharacterSheet | None:
    """The sheet with the plant, under an id of its own; None where there is nothing to plant it in."""
    sheet = cast.sheet.model_copy(update={"knowledge": (), "tests": ()})
    data = sheet.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True)
    if not plant.apply(data, cast):
        return None
    data["id"] = f"{cast.sheet.id}-{plant.name.replace(' ', '-')}"
    return CharacterSheet.model_validate(data)


def breaks_loading(cast: Cast, sheet: CharacterSheet) -> str:
    """What the loader says of the character's scenarios against a planted sheet; empty where they load."""
    path = scenario_path(cast.path)
    if not path.is_file():
        return ""
    try:
        load_scenarios(path, sheet.model_copy(update={"id": cast.sheet.id}))
    except SheetError as error:
        return error.message
    return ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Plant, play, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("characters", nargs="*", help="ids; every shipped character without any")
    parser.add_argument("--model", default="base", help="installed dialogue model")
    parser.add_argument("--guard", default=None, help="guard strategy")
    parser.add_argument("--at-once", type=int, default=4, help="talks side by side")
    parser.add_argument("--every", type=int, default=1, help="play only every so-many-th scenario, for development")
    parser.add_argument("--records", type=Path, default=Path("plants"), help="folder of finished talks; a stop goes on")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args(arguments)
    console = Console()
    try:
        casts = [
            cast
            for cast in load_casts([shipped_sheets_dir()])
            if not options.characters or cast.sheet.id in options.characters
        ]
        casts = [replace(cast, scenarios=cast.scenarios[:: options.every]) for cast in casts]
        rows = evaluate(casts, options)
    except NpcEngineError as error:
        console.print(f"{error.code}: {error.message}", markup=False)
        return 1
    table = Table("character", "plant", "caught", "by", show_edge=False)
    for row in rows:
        table.add_row(row["character"], row["plant"], "yes" if row["by"] else "no", "; ".join(row["by"])[:160])
    console.print(table)
    console.print(f"{sum(bool(row['by']) for row in rows)} of {len(rows)} plants are caught")
    if options.json:
        figures = {"model": options.model, "every": options.every, "rows": rows}
        options.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


def evaluate(casts: Sequence[Cast], options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row a plant: what caught it."""
    copies: dict[tuple[str, str], CharacterSheet] = {}
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for cast in casts:
        for plant in PLANTS:
            sheet = planted(cast, plant)
            if sheet is None:
                continue
            key = (cast.sheet.id, plant.name)
            rows[key] = {"character": cast.sheet.id, "plant": plant.name, "by": []}
            said = breaks_loading(cast, sheet)
            if said:
                rows[key]["by"].append("the scenarios do not load: " + said.splitlines()[-1].strip())
            else:
                copies[key] = sheet
    had = _play(casts, copies, options)
    for key in copies:
        rows[key]["by"] += caught(had[key[0], ""], had[key])
    return list(rows.values())


def caught(before: Sequence[Scored], after: Sequence[Scored]) -> list[str]:
    """What tells the two runs apart, to the worse."""
    was_right = {case.talk for case in verdicts(before) if case.is_right}
    by = [f"scenario {case.talk}" for case in verdicts(after) if not case.is_right and case.talk in was_right]
    return by + [f"score {one.score.name}" for one in compare(before, after) if one.finding == "worse"]


def _play(
    casts: Sequence[Cast], copies: dict[tuple[str, str], CharacterSheet], options: argparse.Namespace
) -> dict[tuple[str, str], list[Scored]]:
    """The talks of every sheet and copy, in one engine; by character and plant, the sheet itself under ""."""
    sheets: dict[tuple[str, str], CharacterSheet] = {(cast.sheet.id, ""): cast.sheet for cast in casts} | copies
    talks = {
        key: [
            replace(talk, character=sheet.id, id=f"{sheet.id}/{scenario.name}")
            for cast in casts
            if cast.sheet.id == key[0]
            for scenario in cast.scenarios
            for talk in scenario_talks(cast.sheet.id, scenario, seeds=cast.seeds)
        ]
        for key, sheet in sheets.items()
    }
    config = load_config(model=options.model, guard=options.guard)
    with tempfile.TemporaryDirectory() as folder:
        for sheet in sheets.values():
            data = sheet.model_copy(update={"knowledge": ()}).model_dump(
                mode="json", by_alias=True, exclude_defaults=True, exclude_none=True
            )
            # JSON is YAML.
            (Path(folder) / f"{sheet.id}.yaml").write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
        head = Head(
            schema="npc-engine/playtest@1",
            label="plants",
            settings={"model": config.model, "guard": config.guard},
            sheets={sheet.id: sheet for sheet in sheets.values()},
        )
        results = open_results(options.records, head)
        settings = config.model_copy(
            update={"sheets": (Path(folder),), "num_slots": options.at_once, "turn_deadline_s": 900.0}
        )
        every = [talk for group in talks.values() for talk in group]
        with local_client(settings, ask=False) as client:
            wait_until_warm(client)
            records = asyncio.run(_have(client.address, every, results, options.at_once))
    by_key = {record.key: record for record in records}
    had: dict[tuple[str, str], list[Scored]] = {}
    for key, group in talks.items():
        right_sheet = sheets[key[0], ""]
        own = [_as_of(by_key[talk.id, talk.repeat], right_sheet.id) for talk in group]
        had[key] = asyncio.run(score_all(own, {right_sheet.id: right_sheet}))
    return had


def _as_of(record: TalkRecord, character: str) -> TalkRecord:
    """The record under the unplanted sheet's id, so that the two runs pair."""
    return record.model_copy(update={"character": character, "talk": f"{character}/{record.name}"})


async def _have(address: str, talks: Sequence[Talk], results: Any, at_once: int) -> list[TalkRecord]:
    async with AsyncClient(address) as client:

        def on_pace(pace: Any) -> None:
            if pace.done % 10 == 0 and (left := pace.left_s()) is not None:
                print(f"{pace.done} of {pace.total} turns, {left:.0f} s left", file=sys.stderr)

        return await have_talks(client, talks, results=results, at_once=at_once, on_pace=on_pace)


if __name__ == "__main__":
    sys.exit(main())
