"""`npc-engine sheet`: what writers do with sheets; each command of its own is in a `sheet_` module beside this one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from npc_engine.cli import (
    sheet_ask,
    sheet_cards,
    sheet_edit,
    sheet_expand,
    sheet_extract,
    sheet_lint,
    sheet_new,
    sheet_personality,
    sheet_show,
)
from npc_engine.cli.sheet_schema import json_schema
from npc_engine.errors import SheetError, SheetInvalid
from npc_engine.sheets.loader import load_sheet, sheet_files
from npc_engine.sheets.schema import CharacterSheet

__all__ = ["app", "json_schema"]

app = typer.Typer(name="sheet", help="Write, check, change and try character sheets.", no_args_is_help=True)
sheet_cards.register(app)


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


app.command("new")(sheet_new.new)
app.command("extract")(sheet_extract.extract)
app.command("expand")(sheet_expand.expand)
app.command("personality")(sheet_personality.personality)
app.command("lint")(sheet_lint.lint)
app.command("show")(sheet_show.show)
app.command("ask")(sheet_ask.ask)
app.command("diff")(sheet_edit.diff)
app.command("rename")(sheet_edit.rename)
app.command("format")(sheet_edit.format_)


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
