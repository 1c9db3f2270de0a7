"""`npc-engine sheet ask`: one question to one character, and why the answer is what it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from npc_engine.playtest.heard import HeardTurn, hear
from npc_engine.playtest.terminal import parse_state
from npc_engine.sheets.conditions import GameState
from npc_engine.sheets.loader import load_sheet


def ask(
    file: Annotated[Path, typer.Argument(help="A sheet file.")],
    question: Annotated[str, typer.Argument(help="What the player says.")],
    *,
    model: Annotated[str | None, typer.Option(help="Dialogue model: tiny, base or an installed one.")] = None,
    state: Annotated[
        str | None, typer.Option(help="The game's state, as in: trust=60 place=smithy", metavar="KEY=VALUE...")
    ] = None,
    seed: Annotated[int, typer.Option(help="Makes the reply repeatable.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the reply and the whole trace as JSON.")] = False,
) -> None:
    """Ask one question through the engine, in this process: the answer, its premises, scores and verdicts."""
    from npc_engine.cli.local import local_client

    sheet = load_sheet(file)
    given = parse_state(state or "")
    GameState.parse(given)
    from npc_engine.config import load_config

    settings = load_config(model=model, seed=seed, sheets=(file,))
    with local_client(settings, ask=True) as client, client.open(sheet.id, player_id="writer", state=given) as talk:
        heard = HeardTurn(line=question)
        for _ in hear(talk, heard):
            pass
    if as_json:
        document = {"question": question, "reply": heard.reply, "source": _source(heard), "trace": heard.trace}
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    typer.echo(f"{sheet.identity.name.split()[0]}: {heard.reply}")
    for line in why(heard.trace, _source(heard)):
        typer.echo(line)


def why(trace: dict[str, Any], source: str) -> list[str]:
    """A turn's trace as lines that a writer reads.

    Args:
        trace: `turn_end.trace`.
        source: `turn_end.source`: who worded the reply.
    """
    lines = ["", f"said by: {source}"]
    lines += [f"  {stage}: {outcome}" for stage, outcome in trace["stages"].items()]
    premises = trace.get("premises", [])
    lines += ["", f"premises ({trace.get('num_candidates', 0)} could be used, {trace.get('num_hidden', 0)} hidden)"]
    lines += [f"  {one['score']:.2f}  {one['id']}: {one['text']}" for one in premises] or ["  none"]
    if trace.get("unknown_topic"):
        lines.append(f"  about {trace['unknown_topic']!r}, of which the character knows nothing")
    if judge := trace.get("judge"):
        lines += ["", f"judged by {judge['by']}"]
        lines += [line for sentence in judge["sentences"] for line in _verdict(sentence)] or ["  nothing to judge"]
    return lines


def _verdict(sentence: dict[str, Any]) -> list[str]:
    shown = {
        key: value for key, value in sentence.items() if key not in ("text", "sentence") and value not in (None, [], ())
    }
    text = sentence.get("text") or sentence.get("sentence") or "(withheld)"
    return [f"  {text}", *(f"      {key}: {value}" for key, value in shown.items())]


def _source(heard: HeardTurn) -> str:
    return heard.end.source if heard.end else "none"
