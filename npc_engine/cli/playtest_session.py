"""What the `playtest` commands share: a server to talk to, a run with progress, and everything written about it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import typer

from npc_engine.cli.console import err, out, progress_sink
from npc_engine.cli.local import local_client, wait_until_warm
from npc_engine.client.asynchronous import AsyncClient
from npc_engine.config import EngineConfig
from npc_engine.errors import UnknownCharacter
from npc_engine.guard.verdict import Nli
from npc_engine.playtest.report.machine import as_json, junit, write_json, write_whole
from npc_engine.playtest.report.terminal import print_run
from npc_engine.playtest.results import Head, Results, open_results
from npc_engine.playtest.running import Pace, have_talks
from npc_engine.playtest.scenarios.loading import Cast, load_casts
from npc_engine.playtest.scores.scored import Scored
from npc_engine.playtest.scores.scoring import score_all
from npc_engine.playtest.talks import Talk
from npc_engine.sheets.library import shipped_sheets_dir

REPORT_NAME = "report.html"
# Of a server of our own: what is said must not depend on how busy the machine is. Limits of time are a scenario's.
DEADLINE_S = 900.0
# The first estimate of the time is said after this share of the turns.
_FIRST_ESTIMATE = 0.1


@dataclass(frozen=True, kw_only=True)
class Session:
    """How talks are to be had.

    Attributes:
        label: Names the run for people.
        endpoint: A running server's address; None starts one in this process.
        config: The engine's settings, for a server of our own.
        out: Folder of the results.
        at_once: Talks side by side.
        fresh: Begin anew whatever lies in `out`.
        nli: Name of a model that judges claims; None leaves those scores out.
        extra: Settings of the run that are not the engine's, for the head of the results.
    """

    label: str
    endpoint: str | None
    config: EngineConfig
    out: Path
    at_once: int
    fresh: bool = False
    nli: str | None = None
    extra: Mapping[str, Any]

    @property
    def settings(self) -> dict[str, Any]:
        """What the results depend on."""
        if self.endpoint is not None:
            return {"endpoint": self.endpoint, **self.extra}
        config = self.config
        return {"model": config.model, "guard": config.guard, "temperature": config.temperature, **self.extra}


def casts_of(paths: Sequence[Path]) -> list[Cast]:
    """The characters of some paths; of the shipped sheets where none is given."""
    return load_casts(paths or [shipped_sheets_dir()])


def chosen(talks: Sequence[Talk], only: Sequence[str]) -> list[Talk]:
    """Talks whose name, group or character matches one of the patterns, case aside; all where there is no pattern.

    Raises:
        typer.BadParameter: None matches.
    """
    patterns = [pattern.casefold() for pattern in only]
    found = [
        talk
        for talk in talks
        if not patterns
        or any(
            fnmatchcase(text.casefold(), pattern)
            for text in (talk.name, talk.group, *talk.cast)
            for pattern in patterns
        )
    ]
    if not found:
        raise typer.BadParameter(f"nothing is to be played: no talk is called {', '.join(only) or 'anything'}")
    return found


def play(session: Session, casts: Sequence[Cast], talks: Sequence[Talk]) -> tuple[Head, list[Scored]]:
    """Have the talks and score them; the results lie in `session.out` as they come.

    Raises:
        NpcEngineError: The server is gone, or the disk is full; finished talks are kept.
    """
    used = {one for talk in talks for one in talk.characters}
    casts = [cast for cast in casts if cast.sheet.id in used]
    sheets = {cast.sheet.id: cast.sheet for cast in casts}
    head = Head(schema="npc-engine/playtest@1", label=session.label, settings=session.settings, sheets=sheets)
    # Before a model is loaded: a folder that cannot be written to is known at once.
    results = open_results(session.out, head, fresh=session.fresh)
    num_kept = len(results.kept(talks))
    if num_kept:
        err.print(f"going on: {num_kept} of {len(talks)} talks are in {results.path}", markup=False, soft_wrap=True)
    if num_kept < len(talks):
        with _serving(session, casts) as address:
            asyncio.run(_have(address, talks, results, session, used))
    results.finish()
    kept = results.kept(talks) | {record.key: record for record in results.records if record.error}
    records = [kept[talk.id, talk.repeat] for talk in talks]
    scored = asyncio.run(score_all(records, sheets, nli=nli_model(session.nli, session.config)))
    return head, scored


def report(session_out: Path, head: Head, scored: Sequence[Scored]) -> None:
    """Print the summary and write report.html, report.json and junit.xml.

    Raises:
        ReportNotWritten: A file cannot be written; the results are kept.
    """
    print_run(scored, out)
    write_json(session_out / "report.json", as_json(head, scored))
    write_whole(session_out / "junit.xml", junit(scored))
    from npc_engine.playtest.report.page import write_page

    write_page(session_out / REPORT_NAME, head, scored)
    out.print(f"report: {session_out / REPORT_NAME}", markup=False, soft_wrap=True, highlight=False)


def nli_model(name: str | None, config: EngineConfig) -> Nli | None:
    """The model that judges claims, or None where none is asked for.

    Raises:
        ModelError: It is not installed or does not load.
    """
    if name is None:
        return None
    from npc_engine.guard.nli import NliJudge
    from npc_engine.inference.classifier import PairClassifier
    from npc_engine.models.installed import find_installed

    folder = Path(name) if Path(name).is_dir() else find_installed(name, config.cache_dir).path
    return NliJudge(PairClassifier.load(folder, config=config), name=name)


@contextmanager
def _serving(session: Session, casts: Sequence[Cast]) -> Iterator[str]:
    if session.endpoint is not None:
        yield session.endpoint
        return
    settings = session.config.model_copy(
        update={
            "sheets": tuple(cast.path for cast in casts),
            "num_slots": session.at_once,
            "turn_deadline_s": DEADLINE_S,
        }
    )
    with local_client(settings, ask=True) as client:
        wait_until_warm(client)
        yield client.address


async def _have(address: str, talks: Sequence[Talk], results: Results, session: Session, used: set[str]) -> None:
    async with AsyncClient(address) as client:
        missing = used - {entry.id for entry in await client.characters()}
        if missing:
            raise UnknownCharacter(
                f"the server at {address} has no {', '.join(sorted(missing))}",
                hint="start it with these sheets, or leave --endpoint out",
            )
        kept = results.kept(talks)
        left = [talk for talk in talks if (talk.id, talk.repeat) not in kept]
        total = sum(talk.player.max_turns for talk in left)
        begun = time.perf_counter()
        with progress_sink() as progress:
            progress.stage("turns", total, unit="turns")
            is_told = False

            def on_pace(pace: Pace) -> None:
                nonlocal is_told
                progress.update(pace.done)
                seconds = pace.left_s()
                if not is_told and seconds is not None and pace.done >= max(session.at_once, total * _FIRST_ESTIMATE):
                    is_told = True
                    progress.note(f"{len(left)} talks, {total} turns: about {duration(seconds)} to go")

            await have_talks(client, talks, results=results, at_once=session.at_once, on_pace=on_pace)
        err.print(f"{total} turns took {duration(time.perf_counter() - begun)}", markup=False)


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
