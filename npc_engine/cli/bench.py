"""`npc-engine models bench`: does a model answer from the sheets on this machine, and how fast?"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer


def bench(
    names: Annotated[list[str], typer.Argument(help="Installed dialogue models.", show_default=False)],
    *,
    questions: Annotated[
        list[Path] | None, typer.Option(help="Question file [default: the shipped characters'].", metavar="FILE")
    ] = None,
    sheets: Annotated[list[Path] | None, typer.Option(help="Sheet file or folder for the questions.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    threads: Annotated[int | None, typer.Option(help="Inference threads.")] = None,
    temperature: Annotated[float | None, typer.Option(help="Of replies; the server's default is 0.4.")] = None,
    seed: Annotated[int, typer.Option(help="Makes replies repeatable.")] = 1,
    as_json: Annotated[
        Path | None, typer.Option("--json", help="Write everything to this file.", metavar="FILE")
    ] = None,
) -> None:
    """Ask the shipped characters their questions over ZeroMQ; print answers missed, latency, speed and memory."""
    from npc_engine.cli.console import out
    from npc_engine.config import load_config
    from npc_engine.errors import ConfigError
    from npc_engine.sheets.library import shipped_sheets_dir
    from npc_engine.sheets.questions import load_questions

    if as_json is not None and (as_json.is_dir() or not as_json.parent.is_dir()):
        raise ConfigError(f"{as_json} cannot be written", hint="name a file in a folder that exists")
    files = questions or sorted((shipped_sheets_dir() / "questions").glob("*.yaml"))
    sets = [load_questions(file) for file in files]
    results = []
    for name in names:
        settings = load_config(
            model=name,
            device=device,
            threads=threads,
            temperature=temperature,
            seed=seed,
            sheets=tuple(sheets) if sheets else None,
        )
        results.append(_bench(settings, sets))
    _print(results)
    if as_json is not None:
        as_json.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        out.print(f"written to {as_json}", markup=False)


def _bench(settings: Any, sets: Any) -> dict[str, Any]:
    from npc_engine.cli.console import progress_sink
    from npc_engine.cli.local import local_client, wait_until_warm
    from npc_engine.cli.memory import peak_memory_bytes
    from npc_engine.playtest.questions import as_rows, ask_all, summary

    with local_client(settings, ask=True) as client:
        wait_until_warm(client)
        with progress_sink() as progress:
            progress.stage(settings.model, sum(len(one.questions) for one in sets), unit="questions")
            asked = ask_all(client, sets, on_asked=progress.update)
        engine = client.health().engine
    return {
        "model": settings.model,
        "machine": f"{platform.system()} {platform.machine()}, {_processor()}",
        "engine": {key: engine[key] for key in ("provider", "precision", "threads", "engine_version")},
        "temperature": settings.temperature,
        "seed": settings.seed,
        "summary": summary(asked) | {"peak_memory_bytes": peak_memory_bytes()},
        "questions": as_rows(asked),
    }


def _print(results: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from npc_engine.cli.console import out

    table = Table("", *(result["model"] for result in results), show_edge=False, pad_edge=False)
    for label, cell in _ROWS.items():
        table.add_row(label, *(cell(result["summary"]) for result in results))
    out.print(table)
    for result in results:
        missed = [one for one in result["questions"] if not one["is_right"]]
        misses = Table(
            "character",
            "question",
            "wanted",
            "reply",
            "fact shown",
            title=f"{result['model']}: missed",
            show_edge=False,
        )
        for one in missed:
            cells = (one["character"], one["question"], one["wanted"], one["reply"])
            misses.add_row(*map(Text, cells), "yes" if one["is_grounded"] else "no")
        if missed:
            out.print(misses)


def _pair(value: dict[str, float]) -> str:
    return f"{value['p50']:.2f} / {value['p95']:.2f} s"


_ROWS: dict[str, Callable[[dict[str, Any]], str]] = {
    "replies with the fact's answer": lambda s: f"{s['right']} of {s['questions']} ({s['right_share']:.0%})",
    "fact among the premises": lambda s: f"{s['grounded_share']:.0%}",
    "time to first token, p50 / p95": lambda s: _pair(s["time_to_first_token_s"]),
    "time to first sentence, p50 / p95": lambda s: _pair(s["time_to_first_sentence_s"]),
    "whole turn, p50 / p95": lambda s: _pair(s["total_s"]),
    "tokens/s, median": lambda s: f"{s['tokens_per_s']:.1f}" if s["tokens_per_s"] else "-",
    "prompt tokens, median (cached)": lambda s: f"{s['prompt_tokens']:.0f} ({s['cached_tokens']:.0f})",
    "peak memory": lambda s: f"{s['peak_memory_bytes'] / 1e9:.2f} GB",
}


def _processor() -> str:
    return platform.processor() or platform.machine()
