"""`npc-engine sheet extract`: a first sheet from prose, or what later chapters add to one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from npc_engine.cli.sheet_models import load_models, print_notes
from npc_engine.cli.sheet_review import Item, check_somebody, review
from npc_engine.cli.sheet_schema import SCHEMA_FILE, json_schema
from npc_engine.sheets.extract.changes import Proposal
from npc_engine.sheets.extract.run import Extraction
from npc_engine.sheets.extract.run import extract as extract_texts
from npc_engine.sheets.extract.sheet import Accepted, added_to, new_sheet
from npc_engine.sheets.lint.models import NO_MODELS
from npc_engine.sheets.loader import load_sheet
from npc_engine.sheets.templates import slug
from npc_engine.sheets.writing import check_free, create, rewrite


def extract(
    texts: Annotated[list[Path], typer.Argument(help="Text files about one character, in the order of the story.")],
    *,
    name: Annotated[
        str | None, typer.Option(help="The character's name as the texts spell it [default: what they tell].")
    ] = None,
    into: Annotated[Path | None, typer.Option(help="Add to this sheet; later texts change what it says.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="The sheet to write [default: ID.yaml here, or the one of --into].")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Take every proposal and ask nothing.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the proposals and write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of lines.")] = False,
    use_models: Annotated[
        bool, typer.Option("--models/--no-models", help="Use the encoder and NLI model that are installed.")
    ] = True,
) -> None:
    """Make a sheet of prose: what each sentence says of the character, for you to take, change or leave."""
    check_somebody(is_settled=yes or dry_run)
    sheet = load_sheet(into) if into is not None else None
    if out is not None and not dry_run:
        check_free(out)
    from npc_engine.config import load_config

    loaded = load_models(load_config(), counter=False) if use_models else None
    found = extract_texts(texts, name=name, into=sheet, models=loaded.models if loaded else NO_MODELS)
    target = out or into or Path(f"{slug(found.character.name)}.yaml")
    if out is None and into is None and not dry_run:
        check_free(target)
    taken: Sequence[str | None] = [one.claim.text for one in found.proposals]
    if not (yes or dry_run) and found.proposals:
        taken = review([Item(text=one.claim.text, notes=_notes(one)) for one in found.proposals])
    accepted = [
        Accepted(proposal=one, text=text) for one, text in zip(found.proposals, taken, strict=True) if text is not None
    ]
    look: list[str] = []
    is_written = bool(accepted) and not dry_run
    if is_written and sheet is not None and into is not None:
        text = added_to(into, accepted, found.people, taken={fact.id for fact in sheet.facts})
        if out is None:
            rewrite({into: text}, load_sheet)
        else:
            create(out, text, load_sheet)
    elif is_written:
        text, look = new_sheet(found.character, accepted, found.people)
        create(target, text, load_sheet)
        if not (schema := target.parent / SCHEMA_FILE).exists():
            create(schema, json_schema())
    notes = loaded.notes if loaded else ()
    if as_json:
        document = _document(found, taken) | {"file": str(target) if is_written else None, "notes": list(notes)}
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    if dry_run:
        _print_proposals(found)
    typer.echo(
        f"{found.num_sentences} sentences, {found.num_claims} say something of {found.character.name}, "
        f"{len(found.proposals)} of that new; {len(accepted) if not dry_run else 0} taken"
    )
    if is_written:
        typer.echo(f"{target}: written")
        if look:
            typer.echo(f"look at: {', '.join(look)} (no text says them; stand-ins are written there)")
        typer.echo(f"next: npc-engine sheet lint {target}")
    print_notes(notes)


def _print_proposals(found: Extraction) -> None:
    for one in found.proposals:
        typer.echo(one.claim.text)
        for note in _notes(one):
            typer.echo(f"    {note}")
    for person in found.people:
        typer.echo(f"{person.name}: {person.kind}\n    {person.claim.position}")


def _notes(proposal: Proposal) -> tuple[str, ...]:
    lines = [f"{proposal.claim.position}: {proposal.claim.evidence}"]
    if proposal.was:
        lines.append(f"- {proposal.was}  [{proposal.by}]")
    if proposal.history:
        lines.append(f"+ {proposal.history}")
    return tuple(lines)


def _document(found: Extraction, taken: Sequence[str | None]) -> dict[str, Any]:
    return {
        "character": found.character.name,
        "sentences": found.num_sentences,
        "claims": found.num_claims,
        "proposals": [
            {
                "text": one.claim.text,
                "taken": text,
                "claim": one.claim.plain,
                "evidence": one.claim.evidence,
                "file": str(one.claim.position.path),
                "line": one.claim.position.line,
                "start": one.claim.position.start,
                "end": one.claim.position.end,
                "attribute": one.claim.key,
                "was": one.was,
                "replaces": one.replaces.id if one.replaces else None,
                "history": one.history,
                "by": one.by,
            }
            for one, text in zip(found.proposals, taken, strict=True)
        ],
        "people": [{"name": one.name, "kind": one.kind, "text": one.claim.text} for one in found.people],
    }
