"""`npc-engine sheet`: check, describe and show character sheets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from npc_engine.errors import SheetError, SheetInvalid
from npc_engine.sheets.loader import load_sheet, sheet_files
from npc_engine.sheets.schema import CharacterSheet, Fact

app = typer.Typer(name="sheet", help="Check, describe and show character sheets.", no_args_is_help=True)


@app.command()
def validate(
    paths: Annotated[list[Path], typer.Argument(help="Sheet files, or folders of them.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of lines.")] = False,
) -> None:
    """Check sheets: every problem with its line. Exits with 1 where there is one."""
    reports: list[dict[str, Any]] = []
    seen: dict[str, Path] = {}
    for file in sheet_files(paths):
        problems: list[SheetError] = []
        sheet: CharacterSheet | None = None
        try:
            sheet = load_sheet(file)
        except SheetError as error:
            problems = list(getattr(error, "problems", ()) or (error,))
        if sheet is not None and sheet.id in seen:
            message = f"the id {sheet.id!r} is also that of {seen[sheet.id]}"
            problems = [SheetInvalid(message, path=file, key="id", hint="rename one")]
        elif sheet is not None:
            seen[sheet.id] = file
        report: dict[str, Any] = {"file": str(file), "problems": [_problem(problem) for problem in problems]}
        if sheet is not None and not problems:
            report["summary"] = _summary(sheet)
        reports.append(report)
        if not as_json:
            _print_report(report, problems)
    if as_json:
        typer.echo(json.dumps({"files": reports}, indent=2, ensure_ascii=False))
    if any(report["problems"] for report in reports):
        raise typer.Exit(1)


@app.command()
def schema() -> None:
    """Print the JSON Schema of sheets, for editors."""
    typer.echo(json_schema(), nl=False)


@app.command()
def show(file: Annotated[Path, typer.Argument(help="A sheet file.")]) -> None:
    """Show what of a sheet is always in the prompt, what is looked up, and what is hidden until when."""
    sheet = load_sheet(file)
    identity = sheet.identity
    typer.echo(f"{identity.name} ({sheet.id}), {identity.role}\n")
    typer.echo("Always in the prompt")
    for text in (identity.social, identity.personal, identity.context, *sheet.goals):
        typer.echo(f"  - {text}")
    typer.echo(f"  - voice: {sheet.voice.register_}; {len(sheet.voice.examples)} example lines as room allows")
    _print_facts("Looked up when the player's line calls for it", [fact for fact in sheet.facts if fact.when is None])
    _print_facts("Hidden until its condition holds", [fact for fact in sheet.facts if fact.when is not None])
    typer.echo("\nKnown to be unknown")
    for topic in sheet.unknown_topics:
        typer.echo(f"  - {topic.topic}: {', '.join(topic.keywords)}")
    typer.echo("\nActions")
    for action in sheet.actions:
        needs = f"  [{action.when.text}]" if action.when else ""
        asks = ", asks first" if action.confirm else ""
        arguments = ", ".join(f"{one.name}: {one.type}" for one in action.parameters)
        typer.echo(f"  - {action.name}({arguments}){asks}: {action.description}{needs}")


def json_schema() -> str:
    """The published JSON Schema, as the text of its file."""
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **CharacterSheet.model_json_schema(by_alias=True),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _problem(error: SheetError) -> dict[str, Any]:
    return {
        "code": error.code,
        "file": str(error.path or ""),
        "line": error.line,
        "column": error.column,
        "key": error.key,
        "message": error.problem,
        "hint": error.hint,
    }


def _summary(sheet: CharacterSheet) -> dict[str, Any]:
    return {
        "id": sheet.id,
        "name": sheet.identity.name,
        "facts": len(sheet.facts),
        "lore": sum(fact.source != "sheet" for fact in sheet.facts),
        "conditional": sum(fact.when is not None for fact in sheet.facts),
        "secrets": sum(fact.secret for fact in sheet.facts),
        "unknown_topics": len(sheet.unknown_topics),
        "actions": len(sheet.actions),
        "tests": len(sheet.tests),
        "content_hash": sheet.content_hash,
    }


def _print_report(report: dict[str, Any], problems: list[SheetError]) -> None:
    for problem in problems:
        # As compilers do, place first: editors and terminals make a link of it.
        parts = (problem.path or report["file"], problem.line, problem.column)
        place = ":".join(str(part) for part in parts if part is not None)
        typer.echo(": ".join(part for part in (place, problem.code, problem.key, problem.problem) if part))
        if problem.hint:
            typer.echo(f"  hint: {problem.hint}")
    if "summary" in report:
        counts = report["summary"]
        typer.echo(
            f"{report['file']}: ok: {counts['name']}: {counts['facts']} facts ({counts['lore']} from lore), "
            f"{counts['secrets']} secrets, {counts['actions']} actions, {counts['tests']} tests"
        )


def _print_facts(title: str, facts: list[Fact]) -> None:
    typer.echo(f"\n{title} ({len(facts)})")
    for fact in facts:
        marks = [f"secret, {fact.when.text}" if fact.secret else fact.when.text] if fact.when else []
        marks += [fact.source] if fact.source != "sheet" else []
        typer.echo(f"  - {fact.id}: {fact.text}" + (f"  [{'; '.join(marks)}]" if marks else ""))
