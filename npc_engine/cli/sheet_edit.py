"""`npc-engine sheet format`, `rename` and `diff`: change sheets without hurting them, and see what a change means."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from npc_engine.cli.sheet_models import load_models, print_notes
from npc_engine.sheets.diff import Change
from npc_engine.sheets.diff import diff as diff_sheets
from npc_engine.sheets.format import format_file, formatted
from npc_engine.sheets.lint.models import NO_MODELS
from npc_engine.sheets.loader import load_sheet, sheet_files
from npc_engine.sheets.rename import Kind
from npc_engine.sheets.rename import rename as rename_id
from npc_engine.sheets.writing import read_source

_SIGNS = {"added": "+", "removed": "-", "contradicted": "!", "changed meaning": "~"}


def format_(
    paths: Annotated[list[Path], typer.Argument(help="Sheet, lore or question files, or folders of them.")],
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 where a file would change.")
    ] = False,
) -> None:
    """Lay files out anew: indentation and line widths the same everywhere, comments, order and quotes kept."""
    changed = 0
    for file in sheet_files(paths):
        is_changed = formatted(file) != read_source(file).text if check else format_file(file)
        changed += is_changed
        if is_changed:
            typer.echo(f"{file}: {'would change' if check else 'formatted'}")
    if not changed:
        typer.echo("nothing to do")
    if check and changed:
        raise typer.Exit(1)


def rename(
    file: Annotated[Path, typer.Argument(help="A sheet file.")],
    old: Annotated[str, typer.Argument(help="The id of the character, a fact or an action.")],
    new: Annotated[str, typer.Argument(help="Its new id.")],
    kind: Annotated[
        str | None, typer.Option(help="character, fact or action, where the id is of more than one.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would change and write nothing.")] = False,
) -> None:
    """Give a character, fact or action another id everywhere: sheet, tests, questions, lore, sheets that share it."""
    kinds: dict[str, Kind] = {"character": "character", "fact": "fact", "action": "action"}
    if kind is not None and kind not in kinds:
        raise typer.BadParameter(f"{kind!r} is not one of character, fact, action")
    uses = rename_id(file, old, new, kind=kinds[kind] if kind else None, dry_run=dry_run)
    for use in uses:
        typer.echo(f"{use.path}:{use.line}:{use.column}: {use.key}: {old} -> {new}")
    files = len({use.path for use in uses})
    typer.echo(f"{len(uses)} places in {files} {'file' if files == 1 else 'files'}{', nothing written' * dry_run}")


def diff(
    old: Annotated[Path, typer.Argument(help="The sheet as it was.")],
    new: Annotated[Path, typer.Argument(help="The sheet as it is.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of lines.")] = False,
    use_models: Annotated[
        bool, typer.Option("--models/--no-models", help="Use the encoder and NLI model that are installed.")
    ] = True,
) -> None:
    """Compare two sheets by meaning: facts added, removed, reworded, contradicted, and everything else by key."""
    before, after = load_sheet(old), load_sheet(new)
    from npc_engine.config import load_config

    loaded = load_models(load_config(), counter=False) if use_models else None
    changes = diff_sheets(before, after, loaded.models if loaded else NO_MODELS)
    notes = loaded.notes if loaded else ()
    if as_json:
        rows = [asdict(change) for change in changes]
        typer.echo(json.dumps({"changes": rows, "notes": list(notes)}, indent=2, ensure_ascii=False))
        return
    for change in changes:
        typer.echo(_line(change))
    typer.echo(f"{len(changes)} changes" if len(changes) != 1 else "1 change")
    print_notes(notes)


def _line(change: Change) -> str:
    told = f"  [{change.by}{f' {change.score:.2f}' if change.score is not None else ''}]"
    sign = _SIGNS.get(change.kind, "=" if change.kind in ("reworded", "renamed") else "*")
    head = f"{sign} {change.kind}: {change.key}"
    if change.kind in ("added", "removed"):
        return f"{head}: {change.new or change.old}"
    return (
        f"{head}{told if change.by != 'text' or change.score is not None else ''}\n    {change.old}\n -> {change.new}"
    )
