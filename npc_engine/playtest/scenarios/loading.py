"""Find sheets with their scenarios: `scenarios/<sheet's file name>` beside a sheet, and the sheet's own `tests`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from npc_engine.errors import SheetError, SheetNotFound
from npc_engine.playtest.scenarios.schema import SCENARIOS_SCHEMA, Expected, Scenario, ScenarioFile
from npc_engine.sheets.action_spec import NO_ACTION
from npc_engine.sheets.loader import load_sheet, read_document, sheet_files
from npc_engine.sheets.problems import gathered, near_miss, problem_at
from npc_engine.sheets.schema import CharacterSheet, ScenarioTest
from npc_engine.sheets.yaml_reader import Document, KeyPath, read_yaml

FOLDER = "scenarios"
TEST_GROUP = "sheet tests"


@dataclass(frozen=True, kw_only=True)
class Cast:
    """A character and its scenarios.

    Attributes:
        sheet: The sheet as loaded.
        path: The sheet's file.
        scenarios: Those of its `tests`, then those of its scenario file.
        seeds: For scenarios without their own.
    """

    sheet: CharacterSheet
    path: Path
    scenarios: tuple[Scenario, ...]
    seeds: tuple[int, ...]


def load_casts(paths: Iterable[Path]) -> list[Cast]:
    """Load sheets with their scenarios.

    Args:
        paths: Sheet files, folders of sheets, or scenario files, whose sheet lies in the folder above or beside them.

    Returns:
        One a character, by id.

    Raises:
        SheetError: A sheet or scenario file does not load, or a scenario names what its sheet lacks; `problems` of a
            SheetInvalid holds all of them.
    """
    casts: dict[str, Cast] = {}
    problems: list[SheetError] = []
    for file in sheet_files(paths):
        try:
            cast = _of_scenarios(file) if _is_scenarios(file) else _of_sheet(file)
        except SheetError as error:
            problems += getattr(error, "problems", ()) or (error,)
            continue
        casts[cast.sheet.id] = cast
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise gathered(problems)
    return [casts[name] for name in sorted(casts)]


def scenario_path(sheet_path: Path) -> Path:
    """Where a sheet's scenarios lie."""
    return sheet_path.parent / FOLDER / sheet_path.name


def load_scenarios(path: Path, sheet: CharacterSheet) -> ScenarioFile:
    """Load a scenario file and hold it to its sheet.

    Raises:
        SheetError: It does not load, is another character's, or names a fact, action or parameter that the sheet lacks.
    """
    document, file = read_document(path, ScenarioFile, SCENARIOS_SCHEMA)
    problems = list(_problems(document, file, sheet))
    if problems:
        raise gathered(problems)
    return file


def as_scenario(test: ScenarioTest) -> Scenario:
    """A sheet's test as a scenario."""
    return Scenario.model_validate(
        {name: getattr(test, name) for name in test.model_fields_set} | {"group": TEST_GROUP}
    )


def _is_scenarios(path: Path) -> bool:
    try:
        data = read_yaml(path).data
    except SheetError:
        return False  # the sheet's loader says what is wrong with it
    return isinstance(data, dict) and str(data.get("schema", "")).startswith(SCENARIOS_SCHEMA.partition("@")[0])


def _of_sheet(path: Path) -> Cast:
    sheet = load_sheet(path)
    beside = scenario_path(path)
    return _cast(sheet, path, load_scenarios(beside, sheet) if beside.is_file() else None, tests=True)


def _of_scenarios(path: Path) -> Cast:
    _, file = read_document(path, ScenarioFile, SCENARIOS_SCHEMA)
    for folder in (path.parent.parent, path.parent):
        sheet_path = folder / f"{file.character}.yaml"
        if sheet_path.is_file() and not _is_scenarios(sheet_path):
            sheet = load_sheet(sheet_path)
            return _cast(sheet, sheet_path, load_scenarios(path, sheet), tests=False)
    raise SheetNotFound(
        f"no sheet {file.character}.yaml beside this file or in the folder above",
        path=path,
        hint="name the sheet instead; its scenarios are found in the folder `scenarios` beside it",
    )


def _cast(sheet: CharacterSheet, path: Path, file: ScenarioFile | None, *, tests: bool) -> Cast:
    scenarios = [as_scenario(test) for test in sheet.tests] if tests else []
    if file is not None:
        # The file's scenario of the same name says more than the sheet's test.
        named = {scenario.name for scenario in file.scenarios}
        scenarios = [one for one in scenarios if one.name not in named] + list(file.scenarios)
    return Cast(sheet=sheet, path=path, scenarios=tuple(scenarios), seeds=file.seeds if file else (1,))


def _problems(document: Document, file: ScenarioFile, sheet: CharacterSheet) -> Iterator[SheetError]:
    if file.character != sheet.id:
        yield problem_at(document, ("character",), f"the sheet beside it is that of {sheet.id!r}")
        return
    seen: set[str] = set()
    for index, scenario in enumerate(file.scenarios):
        path: KeyPath = ("scenarios", index)
        if scenario.name in seen:
            yield problem_at(document, (*path, "name"), f"a second scenario is called {scenario.name!r}")
        seen.add(scenario.name)
        yield from _of_expected(document, path, scenario, sheet)
        for place, step in enumerate(scenario.lines):
            yield from _of_expected(document, (*path, "lines", place), step, sheet)


def _of_expected(document: Document, path: KeyPath, expected: Expected, sheet: CharacterSheet) -> Iterator[SheetError]:
    facts = [fact.id for fact in sheet.facts]
    for key in ("facts", "no_facts"):
        named: Sequence[str] = getattr(expected, key)
        for place, name in enumerate(named):
            if name not in facts:
                yield problem_at(
                    document, (*path, key, place), f"no fact has the id {name!r}", hint=near_miss(name, facts)
                )
    if expected.action not in (None, NO_ACTION):
        action = sheet.action(str(expected.action))
        if action is None:
            actions = [one.name for one in sheet.actions]
            yield problem_at(
                document,
                (*path, "action"),
                f"no action is called {expected.action!r}",
                hint=near_miss(str(expected.action), actions),
            )
        else:
            parameters = [one.name for one in action.parameters]
            for name in expected.arguments:
                if name not in parameters:
                    yield problem_at(
                        document,
                        (*path, "arguments", name),
                        f"{action.name!r} has no parameter {name!r}",
                        hint=near_miss(name, parameters),
                    )
    for place, alternative in enumerate(expected.any_of):
        yield from _of_expected(document, (*path, "any_of", place), alternative, sheet)
