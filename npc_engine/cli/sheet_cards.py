"""`npc-engine sheet import` and `export`: character cards to sheets and back."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated, get_args

import typer

from npc_engine.errors import CardInvalid, CardNameless, SheetError
from npc_engine.sheets.cards.mapping import Report
from npc_engine.sheets.cards.reading import import_card
from npc_engine.sheets.cards.writing import SUFFIXES, Format, export_card
from npc_engine.sheets.loader import load_sheet


def register(app: typer.Typer) -> None:
    """Add both commands to `npc-engine sheet`."""
    app.command("import")(import_)
    app.command("export")(export)


def import_(
    card: Annotated[Path, typer.Argument(help="A character card: .json, .png or .charx.")],
    out: Annotated[Path | None, typer.Option(help="The sheet to write; without it, ID.yaml in this folder.")] = None,
    name: Annotated[str, typer.Option(help="The character's name, in place of the card's.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Make a sheet of a character card, and say what went where."""
    try:
        imported = import_card(card, name=name)
    except CardNameless:
        if not sys.stdin.isatty():
            raise
        imported = import_card(card, name=typer.prompt("The card has no name. The character's name"))
    target = out or Path(f"{imported.id}.yaml")
    _free(target, force)
    _write(target, imported.text.encode("utf-8"), card=card)
    typer.echo(f"{target}: a sheet of {card}")
    _print(imported.report, kept="Kept aside, in extensions.character_card")
    typer.echo(f"\nNext: npc-engine sheet show {target}")


def export(
    sheet: Annotated[Path, typer.Argument(help="A sheet file.")],
    form: Annotated[str, typer.Option("--format", help="v1, v2 or v3 (JSON), png or charx.")],
    image: Annotated[
        Path | None, typer.Option(help="The PNG to put the card in; for charx also an archive to take assets from.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The card to write; without it, ID.card.json and the like.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Make a character card of a sheet."""
    formats: tuple[Format, ...] = get_args(Format)
    chosen = next((one for one in formats if one == form), None)
    if chosen is None:
        raise typer.BadParameter(f"{form!r} is not one of {', '.join(formats)}", param_hint="--format")
    if image is not None and chosen not in ("png", "charx"):
        raise typer.BadParameter("a JSON card holds no picture", param_hint="--image")
    loaded = load_sheet(sheet)
    target = out or Path(f"{loaded.id}.card{SUFFIXES[chosen]}")
    _free(target, force)
    exported = export_card(loaded, chosen, path=str(sheet), image=image)
    _write(target, exported.raw)
    typer.echo(f"{target}: a card of {sheet}")
    _print(exported.report, kept="Only in extensions.npc_engine")


def _print(report: Report, *, kept: str) -> None:
    for title, lines in (("What went where", report.went), (kept, report.kept), ("Look at", report.look)):
        if lines:
            typer.echo(f"\n{title}")
            for line in lines:
                typer.echo(f"  - {line}")


def _free(target: Path, force: bool) -> None:
    if target.exists() and not force:
        raise typer.BadParameter(f"{target} is there already; --force overwrites it", param_hint="--out")


def _write(target: Path, raw: bytes, *, card: Path | None = None) -> None:
    """Write a file whole or not at all; the sheet of a card only if it loads."""
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".npc-") as folder:
            file = Path(folder) / f"new{target.suffix}"
            file.write_bytes(raw)
            if card is not None:
                _check(file, card)
            file.replace(target)
    except OSError as error:
        raise typer.BadParameter(f"{target}: {error.strerror}", param_hint="--out") from error


def _check(file: Path, card: Path) -> None:
    try:
        load_sheet(file)
    except SheetError as error:
        problems = getattr(error, "problems", ()) or (error,)
        raise CardInvalid(
            f"no sheet can be made of it: {problems[0].problem}",
            path=card,
            key=problems[0].key,
            hint="if the card carries a sheet (extensions.npc_engine), remove that",
        ) from error
