"""Hot reload: changed sheet files become characters of a running dialogue; what does not load changes nothing.

    files change -> every sheet is read again -> a character is built of each changed one -> put in the old one's place

Talks that are open go on with the new sheet from their next turn. Knows nothing of models: it is given what builds a
character and what puts it in place.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from watchfiles import Change, awatch

from npc_engine.dialogue.character import Character
from npc_engine.errors import NpcEngineError, SheetError, SheetInvalid
from npc_engine.sheets.loader import SHEET_SUFFIXES, load_sheet, sheet_files
from npc_engine.sheets.schema import CharacterSheet

# Changes that come within this time are taken together: editors write a file in several steps.
DEBOUNCE_MS = 300

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Reload:
    """What one look at the files came to.

    Attributes:
        changed: Ids of the characters that were put in place.
        errors: What did not load, or could not be put in place; the old sheet stays.
    """

    changed: tuple[str, ...] = ()
    errors: tuple[NpcEngineError, ...] = ()


@dataclass
class SheetFiles:
    """The sheets of some files and folders, as far as they load.

    Attributes:
        paths: Files and folders, as the settings have them.
        hashes: The content hash of each sheet that is in use, by id.
    """

    paths: tuple[Path, ...]
    hashes: dict[str, str] = field(default_factory=dict)

    def look(self) -> tuple[list[CharacterSheet], list[NpcEngineError]]:
        """The sheets that say something else than those in use, and what does not load. Blocking."""
        sheets: dict[str, CharacterSheet] = {}
        errors: list[NpcEngineError] = []
        try:
            files = sheet_files(self.paths)
        except SheetError as error:
            return [], [error]
        for file in files:
            try:
                sheet = load_sheet(file)
            except SheetError as error:
                errors.append(error)
                continue
            if sheet.id in sheets:
                errors.append(SheetInvalid(f"the id {sheet.id!r} is another sheet's too", path=file, key="id"))
                continue
            sheets[sheet.id] = sheet
        return [sheet for sheet in sheets.values() if self.hashes.get(sheet.id) != sheet.content_hash], errors


class Reloader:
    """Looks at the sheets again, and puts the changed ones in place, one look at a time.

    Args:
        files: Which sheets, and what of them is in use.
        build: Makes a character of a sheet; blocking, called in another thread. Raises NpcEngineError.
        put: Puts a character in the place of the one with its id.

    Attributes:
        num_reloads: Sheets put in place so far.
        errors: What the last look found wrong; empty where all is well.
    """

    def __init__(
        self,
        files: SheetFiles,
        *,
        build: Callable[[CharacterSheet], Character],
        put: Callable[[Character], Awaitable[None]],
    ) -> None:
        self.num_reloads = 0
        self.errors: tuple[NpcEngineError, ...] = ()
        self._files = files
        self._build = build
        self._put = put
        self._lock = asyncio.Lock()

    @property
    def hashes(self) -> Mapping[str, str]:
        """The content hash of each sheet in use, by id."""
        return self._files.hashes

    async def reload(self) -> Reload:
        """Look once. A sheet whose file is gone stays in use."""
        async with self._lock:
            sheets, errors = await asyncio.to_thread(self._files.look)
            changed: list[str] = []
            for sheet in sheets:
                try:
                    character = await asyncio.to_thread(self._build, sheet)
                except NpcEngineError as error:
                    errors.append(error)
                    continue
                await self._put(character)
                self._files.hashes[sheet.id] = sheet.content_hash
                changed.append(sheet.id)
                _log.info("%s: a changed sheet is in place (%s)", sheet.id, sheet.content_hash[:12])
            for problem in errors:
                _log.error("a sheet was not taken, the old one stays: %s", problem)
            self.errors = tuple(errors)
            self.num_reloads += len(changed)
            return Reload(changed=tuple(changed), errors=self.errors)

    async def watch(self) -> None:
        """Look whenever a sheet or lore file below the paths changes. Runs until cancelled."""
        folders = _folders(self._files.paths)
        _log.info("watching %s", ", ".join(map(str, folders)))
        async for _ in awatch(*folders, watch_filter=_is_sheet, debounce=DEBOUNCE_MS):
            await self.reload()


def _folders(paths: Iterable[Path]) -> Sequence[Path]:
    """What is watched: folders, and the folder of a file, below which its lore lies."""
    return tuple(dict.fromkeys(path if path.is_dir() else path.parent for path in paths))


def _is_sheet(change: Change, path: str) -> bool:
    file = Path(path)
    return file.suffix in SHEET_SUFFIXES and not file.name.startswith(".")
