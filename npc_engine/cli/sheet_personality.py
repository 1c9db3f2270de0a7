"""`npc-engine sheet personality`: does the character answer an inventory as the sheet says that it is?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from npc_engine.cli.console import err
from npc_engine.sheets.loader import load_sheet
from npc_engine.sheets.personality.inventory import (
    ANSWERS,
    BLANK,
    TRAITS,
    answer,
    inventory,
    mean_absolute_error,
    question,
    scores,
    spearman,
)
from npc_engine.sheets.personality.mbti import from_mbti
from npc_engine.sheets.schema import CharacterSheet

if TYPE_CHECKING:
    from npc_engine.config import EngineConfig


def personality(
    file: Annotated[Path, typer.Argument(help="A sheet file.")],
    *,
    model: Annotated[str | None, typer.Option(help="Dialogue model: tiny, base or an installed one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, each answer with it.")] = False,
) -> None:
    """Put a 44-item inventory to the character, and compare its Big Five scores with the sheet's."""
    sheet = load_sheet(file)
    from npc_engine.cli.local import install_if_missing
    from npc_engine.config import load_config

    settings = load_config(model=model)
    install_if_missing(settings.model, settings.cache_dir, ask=True)
    answers = asyncio.run(_answers(sheet, settings))
    measured = scores(answers)
    meant, by = meant_scores(sheet)
    if as_json:
        document = _document(sheet, settings.model, answers, measured, meant, by)
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    typer.echo(f"{sheet.identity.name}, asked {len(answers)} items of {settings.model}; compared with {by}")
    for line in table(measured, meant):
        typer.echo(line)


def meant_scores(sheet: CharacterSheet) -> tuple[Mapping[str, float], str]:
    """What the sheet says the character is, and where: its scores, or else its MBTI label, or else nothing."""
    character = sheet.personality
    if "big_five" in character.model_fields_set:
        return character.big_five.model_dump(), "personality.big_five"
    if character.mbti:
        return from_mbti(character.mbti), f"personality.mbti ({character.mbti})"
    return {}, "nothing: the sheet has no big_five and no mbti"


def table(measured: Mapping[str, float], meant: Mapping[str, float]) -> list[str]:
    """The scores side by side, and how far they agree."""
    lines = [f"{'':18} {'sheet':>6} {'asked':>6} {'apart':>6}"]
    for trait in TRAITS:
        cells = (
            (f"{meant[trait]:6.2f}", f"{measured[trait] - meant[trait]:+6.2f}")
            if trait in meant
            else ("     -", "     -")
        )
        lines.append(f"{trait:18} {cells[0]} {measured[trait]:6.2f} {cells[1]}")
    if meant:
        rank = spearman(meant, measured)
        shown = f"{rank:+.2f}" if rank is not None else "none: all alike"
        lines.append(
            f"mean absolute error {mean_absolute_error(meant, measured):.2f}; Spearman {shown} over {len(meant)}"
        )
    return lines


async def _answers(sheet: CharacterSheet, settings: EngineConfig) -> list[float]:
    from npc_engine.cli.sheet_engine import speaking

    err.print(f"loading {settings.model} ...", markup=False)
    async with speaking(sheet, settings) as speaker:
        with err.status("asking ...") as status:
            answers = []
            blank = await speaker.weigh(question(BLANK), ANSWERS)
            for number, item in enumerate(inventory(), start=1):
                status.update(f"asking: {number} of {len(inventory())}")
                answers.append(answer(await speaker.weigh(question(item.text), ANSWERS), blank))
    return answers


def _document(
    sheet: CharacterSheet,
    model: str,
    answers: list[float],
    measured: Mapping[str, float],
    meant: Mapping[str, float],
    by: str,
) -> dict[str, Any]:
    return {
        "character": sheet.id,
        "model": model,
        "compared_with": by,
        "sheet": dict(meant),
        "measured": dict(measured),
        "mean_absolute_error": mean_absolute_error(meant, measured) if meant else None,
        "spearman": spearman(meant, measured) if meant else None,
        "answers": [
            {"text": item.text, "trait": item.trait, "is_reversed": item.is_reversed, "answer": round(given, 3)}
            for item, given in zip(inventory(), answers, strict=True)
        ],
    }
