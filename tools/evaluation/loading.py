"""A dialogue of given characters in this process, loaded as a server loads it."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from npc_engine.config import EngineConfig
from npc_engine.dialogue.engine import Dialogue, load_dialogue
from npc_engine.sheets.schema import CharacterSheet


@asynccontextmanager
async def running(
    config: EngineConfig, sheets: Mapping[str, CharacterSheet], *, is_warm: bool = True, is_started: bool = True
) -> AsyncIterator[Dialogue]:
    """A dialogue of these characters until the block ends.

    Args:
        config: Settings; their sheets are replaced.
        sheets: The characters, by id.
        is_started: Whether the model runs; without it only what the encoder does can be asked for.
        is_warm: Whether to wait until every character's prefix is there; else whoever is talked to comes next.

    Raises:
        ModelError: A model is not installed or does not load.
        ConfigError: A setting is wrong, the device cannot be had, or a sheet does not fit the context.
    """
    with tempfile.TemporaryDirectory() as folder:
        write_sheets(sheets, Path(folder))
        chosen = config.model_copy(update={"sheets": (Path(folder),)})
        dialogue = await asyncio.to_thread(load_dialogue, chosen)
    if is_started:
        await dialogue.start()
    try:
        if is_started and is_warm:
            await dialogue.warmed()
        yield dialogue
    finally:
        await dialogue.aclose()


def write_sheets(sheets: Mapping[str, CharacterSheet], folder: Path) -> None:
    """Write loaded sheets as files that load again; their lore is among their facts already and is not read twice."""
    for name, sheet in sheets.items():
        data = sheet.model_copy(update={"knowledge": ()}).model_dump(
            mode="json", by_alias=True, exclude_defaults=True, exclude_none=True
        )
        # JSON is YAML.
        (folder / f"{name}.yaml").write_text(json.dumps(data, ensure_ascii=False, indent=1), encoding="utf-8")
