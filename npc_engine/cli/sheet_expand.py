"""`npc-engine sheet expand`: commonsense facts that follow from a sheet's, proposed by the dialogue model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from npc_engine.cli.console import err
from npc_engine.cli.sheet_models import load_models, print_notes
from npc_engine.cli.sheet_review import Item, check_somebody, review
from npc_engine.sheets.adding import with_additions
from npc_engine.sheets.expand import ASKS, SECTION, Derived, Dimension, Filter, addition, request
from npc_engine.sheets.loader import load_sheet
from npc_engine.sheets.schema import CharacterSheet
from npc_engine.sheets.writing import rewrite

if TYPE_CHECKING:
    from npc_engine.config import EngineConfig

DEFAULT_EACH = 4


def expand(
    file: Annotated[Path, typer.Argument(help="A sheet file; the facts that you take are added to it.")],
    *,
    dimension: Annotated[
        list[Dimension] | None, typer.Option(help="Only this one; may be given again [default: all five].")
    ] = None,
    each: Annotated[int, typer.Option(min=1, max=16, help="Proposals a dimension.")] = DEFAULT_EACH,
    model: Annotated[str | None, typer.Option(help="Dialogue model: tiny, base or an installed one.")] = None,
    seed: Annotated[int, typer.Option(help="Makes the proposals repeatable.")] = 1,
    yes: Annotated[bool, typer.Option("--yes", help="Take everything that is not refused, and ask nothing.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the proposals and write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of lines.")] = False,
) -> None:
    """Propose facts that follow from the sheet's by common sense, for you to take or leave; marked as derived."""
    check_somebody(is_settled=yes or dry_run)
    sheet = load_sheet(file)
    from npc_engine.cli.local import install_if_missing
    from npc_engine.config import load_config

    settings = load_config(model=model)
    install_if_missing(settings.model, settings.cache_dir, ask=not yes)
    loaded = load_models(settings, counter=False)
    texts = asyncio.run(_proposed(sheet, settings, dimension or list(Dimension), each=each, seed=seed))
    sieve = Filter(sheet, loaded.models)
    found = [sieve.judged(text, one) for one, text in texts]
    good = [one for one in found if not one.refused]
    taken: Sequence[str | None] = [one.text for one in good]
    if not (yes or dry_run) and good:
        taken = review([Item(text=one.text, notes=_notes(one, sheet)) for one in good])
    kept = [(one, text) for one, text in zip(good, taken, strict=True) if text is not None]
    is_written = bool(kept) and not dry_run
    if is_written:
        comment = f"Derived by {settings.model} from the facts above: check them"
        text = with_additions(file, addition(sheet, kept, model=settings.model), section=SECTION, comment=comment)
        rewrite({file: text}, load_sheet)
    if as_json:
        document = {
            "character": sheet.id,
            "model": settings.model,
            "seed": seed,
            "file": str(file) if is_written else None,
        }
        document |= {"proposals": [_plain(one, kept) for one in found], "notes": list(loaded.notes)}
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    for one in found:
        if dry_run or one.refused:
            typer.echo(f"{'refused' if one.refused else ASKS[one.dimension].title}: {one.text}")
            for note in _notes(one, sheet)[1:] if not one.refused else (one.refused,):
                typer.echo(f"    {note}")
    typer.echo(f"{len(found)} proposed, {len(found) - len(good)} refused, {len(kept) if is_written else 0} taken")
    if is_written:
        typer.echo(f"{file}: written\nnext: npc-engine sheet lint {file}")
    print_notes(loaded.notes)


async def _proposed(
    sheet: CharacterSheet, settings: EngineConfig, dimensions: Sequence[Dimension], *, each: int, seed: int
) -> list[tuple[Dimension, str]]:
    """What the model says to each dimension, each text once."""
    from npc_engine.cli.sheet_engine import speaking

    err.print(f"loading {settings.model} ...", markup=False)
    found: dict[str, Dimension] = {}
    async with speaking(sheet, settings) as speaker:
        for one in dimensions:
            with err.status(f"proposing: {ASKS[one].title}"):
                for text in await speaker.sentences(
                    request(sheet, one), pattern=ASKS[one].pattern, num=each, seed=seed
                ):
                    found.setdefault(text, one)
    return [(one, text) for text, one in found.items()]


def _notes(proposal: Derived, sheet: CharacterSheet) -> tuple[str, ...]:
    texts = {fact.id: fact.text for fact in sheet.facts}
    sources = (f"near: {texts[source]}" for source in proposal.sources)
    return (ASKS[proposal.dimension].title, *sources)


def _plain(proposal: Derived, kept: Sequence[tuple[Derived, str]]) -> dict[str, Any]:
    return {
        "text": proposal.text,
        "dimension": proposal.dimension.value,
        "sources": list(proposal.sources),
        "refused": proposal.refused,
        "taken": next((text for one, text in kept if one is proposal), None),
    }
