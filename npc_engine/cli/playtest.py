"""`npc-engine playtest`: scenarios, simulated players, attacks, scenes, comparisons and reports, without a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from npc_engine.cli.playtest_session import Session
    from npc_engine.config import EngineConfig
    from npc_engine.playtest.scores.scored import Scored

app = typer.Typer(
    help="Play characters without a game: scenarios, simulated players, attacks, scenes; scores, comparisons.",
    no_args_is_help=True,
)

Paths = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Sheets, folders of sheets, or scenario files; the shipped characters where none is given.",
        show_default=False,
    ),
]
Endpoint = Annotated[
    str | None,
    typer.Option(help="A running server, such as tcp://127.0.0.1:5570; else one is started in this process."),
]
Model = Annotated[str | None, typer.Option(help="Dialogue model: a profile or an installed model's name.")]
Guard = Annotated[str | None, typer.Option(help="How sentences are judged: docs/judge.md lists the strategies.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu or cuda.")]
Threads = Annotated[int | None, typer.Option(help="Inference threads.")]
Temperature = Annotated[float | None, typer.Option(help="Of replies.")]
AtOnce = Annotated[int, typer.Option(min=1, max=64, help="Talks side by side.")]
Out = Annotated[Path, typer.Option(help="Folder of results.jsonl, report.html, report.json and junit.xml.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Begin anew, whatever stopped run lies in the folder.")]
NliName = Annotated[
    str | None, typer.Option("--nli", help="Installed NLI model, or its folder: scores contradictions by it too.")
]
Only = Annotated[
    list[str] | None,
    typer.Option(help="Only talks whose name, group or character matches this, with * and ?; may be given again."),
]
Seeds = Annotated[str | None, typer.Option(help="Seeds, such as 1,2,3; each talk is had once with each.")]


@app.command()
def run(
    paths: Paths = None,
    *,
    endpoint: Endpoint = None,
    model: Model = None,
    guard: Guard = None,
    device: Device = None,
    threads: Threads = None,
    temperature: Temperature = None,
    seeds: Seeds = None,
    only: Only = None,
    at_once: AtOnce = 4,
    out: Out = Path("playtest-run"),
    fresh: Fresh = False,
    nli: NliName = None,
) -> None:
    """Play the scenarios beside sheets and the sheets' own tests. Exit code 1 where one does not come out right.

    Stopped, the same command goes on where it was. A finished run is kept as previous.jsonl.
    """
    from npc_engine.cli.playtest_session import casts_of, chosen
    from npc_engine.playtest.talks import scenario_talks

    casts = casts_of(paths or [])
    given = parse_seeds(seeds)
    talks = chosen(
        [
            talk
            for cast in casts
            for scenario in cast.scenarios
            for talk in scenario_talks(
                cast.sheet.id,
                scenario.model_copy(update={"seeds": given}) if given else scenario,
                seeds=cast.seeds,
            )
        ],
        only or [],
    )
    config = _config(model=model, guard=guard, device=device, threads=threads, temperature=temperature)
    session = _session("scenarios", config, endpoint=endpoint, out=out, at_once=at_once, fresh=fresh, nli=nli)
    if _play(session, casts, talks):
        raise typer.Exit(1)


@app.command()
def players(
    paths: Paths = None,
    *,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            help="curious, hurried, hostile, forgetful, cheating, secrets, breaking, flattering, rephrasing, "
            "bargaining; may be given again. All without it, none with --player-sheet alone."
        ),
    ] = None,
    player_sheet: Annotated[
        str | None,
        typer.Option(help="Sheet of somebody whom the model plays as the player; `traveller` is the package's own."),
    ] = None,
    turns: Annotated[int, typer.Option(min=1, max=64, help="Lines a talk.")] = 8,
    endpoint: Endpoint = None,
    model: Model = None,
    guard: Guard = None,
    device: Device = None,
    threads: Threads = None,
    temperature: Temperature = None,
    seeds: Seeds = None,
    at_once: AtOnce = 4,
    out: Out = Path("playtest-players"),
    fresh: Fresh = False,
    nli: NliName = None,
) -> None:
    """Let simulated players talk to characters, and score what comes back. They know what a sheet shows anybody.

    With --player-sheet the model words both sides: the player's next line is what that character answers.
    """
    from npc_engine.cli.playtest_session import casts_of, chosen
    from npc_engine.playtest.players.grammar import kinds, player_talks
    from npc_engine.playtest.players.modelled import TRAVELLER, model_talks
    from npc_engine.playtest.players.public_view import public_view

    names = [] if player_sheet and not kind else _known(kind, list(kinds()), "kind of player")
    casts = casts_of(paths or [])
    player = None
    if player_sheet:
        path = TRAVELLER if player_sheet == "traveller" else Path(player_sheet)
        if path.is_dir():
            raise typer.BadParameter("name one sheet, not a folder", param_hint="--player-sheet")
        (player,) = casts_of([path])
        if player.sheet.id in [cast.sheet.id for cast in casts]:
            raise typer.BadParameter(f"{player.sheet.id} cannot talk to itself", param_hint="--player-sheet")
    views = [public_view(cast.sheet, sheets_dir=cast.path.parent) for cast in casts]
    talks = chosen(
        [
            talk
            for view in views
            for talk in (
                *player_talks(view, names, seeds=parse_seeds(seeds) or (1,), max_turns=turns),
                *(model_talks(view, player.sheet, seeds=parse_seeds(seeds) or (1,), max_turns=turns) if player else ()),
            )
        ],
        [],
    )
    config = _config(model=model, guard=guard, device=device, threads=threads, temperature=temperature)
    session = _session("simulated players", config, endpoint=endpoint, out=out, at_once=at_once, fresh=fresh, nli=nli)
    _play(session, [*casts, *([player] if player else ())], talks)


@app.command()
def redteam(
    paths: Paths = None,
    *,
    family: Annotated[
        list[str] | None,
        typer.Option(
            help="secret_extraction, prompt_extraction, injection, persona_modulation, out_of_world, toxic_bait, "
            "false_authority, or one of --attacks; may be given again. All without it."
        ),
    ] = None,
    attacks: Annotated[
        list[Path] | None, typer.Option(help="File or folder of further attacks; may be given again.")
    ] = None,
    attempts: Annotated[
        int, typer.Option(min=0, help="Attacks a family, and attempts a secret; 0 makes every one.")
    ] = 12,
    save: Annotated[
        bool, typer.Option("--save", help="Write successes into the scenarios beside the sheets, not only into --out.")
    ] = False,
    endpoint: Endpoint = None,
    model: Model = None,
    guard: Guard = None,
    device: Device = None,
    threads: Threads = None,
    temperature: Temperature = None,
    seeds: Seeds = None,
    at_once: AtOnce = 4,
    out: Out = Path("playtest-redteam"),
    fresh: Fresh = False,
    nli: NliName = None,
) -> None:
    """Attack characters. Each success becomes a scenario that fails until it is put right; exit code 1 where one is.

    The scenarios lie in the folder `scenarios` of --out, or with --save beside the sheets.
    """
    from npc_engine.cli.playtest_session import casts_of, chosen
    from npc_engine.playtest.redteam import attack_talks, family_names, load_families

    families = load_families(attacks or [])
    names = _known(family, family_names(families), "family of attacks")
    casts = casts_of(paths or [])
    talks = chosen(
        [
            talk
            for cast in casts
            for talk in attack_talks(cast.sheet, families, names, attempts=attempts, seeds=parse_seeds(seeds) or (1,))
        ],
        [],
    )
    config = _config(model=model, guard=guard, device=device, threads=threads, temperature=temperature)
    session = _session("red team", config, endpoint=endpoint, out=out, at_once=at_once, fresh=fresh, nli=nli)
    wrong = _play(session, casts, talks)
    if wrong:
        _save_successes(wrong, {cast.sheet.id: cast.path for cast in casts}, None if save else out)
        raise typer.Exit(1)


@app.command()
def scenes(
    paths: Paths = None,
    *,
    number: Annotated[int, typer.Option("--scenes", min=1, max=64, help="Scenes a character and seed.")] = 3,
    endpoint: Endpoint = None,
    model: Model = None,
    guard: Guard = None,
    device: Device = None,
    threads: Threads = None,
    temperature: Temperature = None,
    seeds: Seeds = None,
    only: Only = None,
    at_once: AtOnce = 4,
    out: Out = Path("playtest-scenes"),
    fresh: Fresh = False,
    nli: NliName = None,
) -> None:
    """Put characters together in pairs, and score whether one takes over what the other says or who it is.

    Partners and questions are drawn by seed from the questions beside the sheets.
    """
    from npc_engine.cli.playtest_session import casts_of, chosen
    from npc_engine.playtest.players.public_view import public_view
    from npc_engine.playtest.scene.plan import scene_talks

    casts = casts_of(paths or [])
    if len(casts) < 2:
        raise typer.BadParameter("a scene needs two characters: name two sheets, or their folder", param_hint="PATHS")
    sheets = {cast.sheet.id: cast.sheet for cast in casts}
    views = [public_view(cast.sheet, sheets_dir=cast.path.parent) for cast in casts]
    planned = scene_talks(sheets, views, seeds=parse_seeds(seeds) or (1,), scenes=number)
    if not planned:
        raise typer.BadParameter("there is nothing to ask: no questions lie beside these sheets", param_hint="PATHS")
    config = _config(model=model, guard=guard, device=device, threads=threads, temperature=temperature)
    session = _session("scenes", config, endpoint=endpoint, out=out, at_once=at_once, fresh=fresh, nli=nli)
    _play(session, casts, chosen(planned, only or []))


@app.command()
def compare(
    first: Annotated[
        str, typer.Argument(help="Results of a run, a sheet file, or settings such as guard=off,model=tiny.")
    ],
    second: Annotated[str, typer.Argument(help="The same of the other side.")],
    paths: Paths = None,
    *,
    device: Device = None,
    threads: Threads = None,
    seeds: Seeds = None,
    only: Only = None,
    at_once: AtOnce = 4,
    out: Annotated[Path, typer.Option(help="Folder of comparison.html, and of runs that are needed.")] = Path(
        "playtest-compare"
    ),
    fresh: Fresh = False,
    nli: NliName = None,
) -> None:
    """Say what differs between two runs and what may be chance: paired by talk, with intervals, corrected by Holm.

    Sheets and settings are played first, with the scenarios of the first sheet or of the paths.
    """
    from npc_engine.cli.playtest_compare import comparison

    comparison(
        (first, second),
        paths or [],
        seeds=parse_seeds(seeds),
        only=only or [],
        out_folder=out,
        at_once=at_once,
        fresh=fresh,
        nli=nli,
        base={"device": device, "threads": threads},
    )


@app.command()
def report(
    results: Annotated[Path, typer.Argument(help="The folder or results.jsonl of a run, finished or not.")],
    *,
    out: Annotated[Path | None, typer.Option(help="Folder of the report; the results' own without it.")] = None,
    nli: NliName = None,
) -> None:
    """Write a run's report again from its results, also of one that was stopped."""
    import asyncio

    from npc_engine.cli.playtest_session import nli_model
    from npc_engine.cli.playtest_session import report as write_report
    from npc_engine.playtest.results import read_results
    from npc_engine.playtest.scores.scoring import score_all

    there = read_results(results)
    scored = asyncio.run(score_all(there.records, there.head.sheets, nli=nli_model(nli, _config())))
    write_report(out or there.path.parent, there.head, scored)


def parse_seeds(text: str | None) -> tuple[int, ...]:
    """Seeds of an option.

    Raises:
        typer.BadParameter: They are not whole numbers from 0 to 2^32 - 1.
    """
    if text is None:
        return ()
    try:
        seeds = tuple(int(part) for part in text.split(","))
    except ValueError:
        seeds = (-1,)
    if not all(0 <= seed < 1 << 32 for seed in seeds):
        raise typer.BadParameter(f"--seeds {text!r}: give whole numbers from 0 to 2^32 - 1, such as 1,2,3")
    return seeds


def _known(given: Sequence[str] | None, known: Sequence[str], what: str) -> list[str]:
    for name in given or ():
        if name not in known:
            raise typer.BadParameter(f"no {what} is called {name!r}; there are {', '.join(known)}")
    return list(given or known)


def _config(**overrides: Any) -> EngineConfig:
    from npc_engine.config import load_config

    return load_config(**overrides)


def _session(
    label: str,
    config: EngineConfig,
    *,
    endpoint: str | None,
    out: Path,
    at_once: int,
    fresh: bool,
    nli: str | None,
) -> Session:
    from npc_engine.cli.playtest_session import Session

    return Session(
        label=label,
        endpoint=endpoint,
        config=config,
        out=out,
        at_once=at_once,
        fresh=fresh,
        nli=nli,
        extra={"suite": label},
    )


def _play(session: Session, casts: Sequence[object], talks: Sequence[object]) -> list[Scored]:
    """Play, report; the talks that are wrong."""
    from npc_engine.cli.playtest_session import play
    from npc_engine.cli.playtest_session import report as write_report
    from npc_engine.playtest.scores.summary import verdicts

    head, scored = play(session, casts, talks)  # type: ignore[arg-type]
    write_report(session.out, head, scored)
    return [one for case in verdicts(scored) if not case.is_right for one in case.scored if not one.is_right]


def _save_successes(wrong: Sequence[Scored], sheet_paths: dict[str, Path], out_folder: Path | None) -> None:
    from npc_engine.cli.console import err
    from npc_engine.playtest.redteam import as_scenario
    from npc_engine.playtest.scenarios.loading import FOLDER, scenario_path
    from npc_engine.playtest.scenarios.saving import save_scenario

    written: dict[Path, int] = {}
    for one in wrong:
        if not one.record.turns:
            continue
        sheet_path = sheet_paths[one.record.character]
        path = out_folder / FOLDER / sheet_path.name if out_folder else scenario_path(sheet_path)
        save_scenario(path, as_scenario(one.record), character=one.record.character)
        written[path] = written.get(path, 0) + 1
    for path, count in written.items():
        err.print(f"{count} scenarios written to {path}", markup=False, soft_wrap=True)
