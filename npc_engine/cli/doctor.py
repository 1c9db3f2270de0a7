"""`npc-engine doctor`: what this machine has, what the sessions really got, and what to do about each problem."""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from npc_engine.errors import NpcEngineError

if TYPE_CHECKING:
    from npc_engine.config import EngineConfig

Level = Literal["ok", "note", "problem"]
_STYLES: dict[Level, str] = {"ok": "green", "note": "yellow", "problem": "red"}
# The build of `base` needs its download, the model and room to work: see docs/models.md.
_ROOM_BYTES = 4_000_000_000


@dataclass(frozen=True)
class Finding:
    """One line of the report. `hint` is the next step; empty where there is nothing to do."""

    level: Level
    subject: str
    finding: str
    hint: str = ""


def doctor(
    *,
    model: Annotated[str | None, typer.Option(help="Open this model's session [default: every installed one].")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda; cuda that cannot be had is a problem.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Report hardware, versions, models, the provider each session really got, and what to do about problems."""
    from rich.markup import escape
    from rich.table import Table

    from npc_engine.cli.console import out

    findings = list(_findings(model, device))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        table = Table("", "what", "finding", show_edge=False, pad_edge=False)
        for finding in findings:
            text = finding.finding + (f"\n-> {finding.hint}" if finding.hint else "")
            style = _STYLES[finding.level]
            table.add_row(f"[{style}]{finding.level}[/]", escape(finding.subject), escape(text), style=None)
        out.print(table)
    if any(finding.level == "problem" for finding in findings):
        raise typer.Exit(1)


def _findings(model: str | None, device: str | None) -> Iterator[Finding]:
    import npc_engine
    from npc_engine.config import load_config

    yield Finding("ok", "npc-engine", f"{npc_engine.__version__}, Python {platform.python_version()}")
    try:
        settings = load_config(device=device)
    except NpcEngineError as error:
        yield Finding("problem", "configuration", f"{error.code}: {error.message}", error.hint)
        return
    yield Finding("ok", "machine", f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors")
    yield Finding("ok", "threads", f"{settings.threads} for inference")
    yield from _runtime()
    try:
        yield from _disk(settings.cache_dir)
        yield _prefix_files(settings)
        names = yield from _models(settings.cache_dir)
    except NpcEngineError as error:
        yield Finding("problem", "cache", f"{error.code}: {error.message}", error.hint)
        names = []
    for name in [model] if model else names:
        yield _session(name, settings.cache_dir, device)
    yield from _sheets()


def _runtime() -> Iterator[Finding]:
    from npc_engine.inference.onnx_session import runtime_info

    info = runtime_info()
    both = "," in info["packages"]
    yield Finding(
        "problem" if both else "ok",
        "onnxruntime",
        f"{info['packages']}; providers in this build: {info['providers']}",
        "two packages share one folder: uninstall both, then install the project again" if both else "",
    )
    has_cuda = info["cuda"] == "available"
    yield Finding(
        "ok" if has_cuda else "note",
        "cuda",
        info["cuda"],
        "" if has_cuda else "the CPU is used; for a GPU see docs/operations.md",
    )


def _disk(cache_dir: Path) -> Iterator[Finding]:
    from npc_engine.models.cache import disk_errors

    with disk_errors(cache_dir):
        folder = next(parent for parent in (cache_dir, *cache_dir.absolute().parents) if parent.exists())
        is_writable = folder.is_dir() and os.access(folder, os.W_OK)
        free = shutil.disk_usage(folder).free
    is_short = free < _ROOM_BYTES
    yield Finding(
        "note" if is_short else "ok",
        "cache",
        f"{cache_dir}, {free / 1e9:.1f} GB free",
        "installing `base` needs more; set NPC_ENGINE_CACHE_DIR to a larger disk" if is_short else "",
    )
    if not is_writable:
        yield Finding(
            "problem",
            "cache",
            f"{folder} is not a folder that can be written",
            "set NPC_ENGINE_CACHE_DIR to a folder of yours",
        )


def _prefix_files(settings: EngineConfig) -> Finding:
    from npc_engine.inference.snapshot_files import open_snapshot_files

    files = open_snapshot_files(settings, fingerprint="")
    if files is None:
        return Finding("note", "prefix files", "off: characters' prefixes are computed at each start")
    taken = f"{files.nbytes / 1e9:.1f} of {files.max_bytes / 1e9:.1f} GB"
    files.close()
    return Finding("ok", "prefix files", f"{files.folder}, {taken}")


def _models(cache_dir: Path) -> Generator[Finding, None, list[str]]:
    from npc_engine.models.cache import disk_errors
    from npc_engine.models.catalogue import load_catalogue
    from npc_engine.models.install import list_models

    catalogue = load_catalogue()
    with disk_errors(cache_dir):
        listed = list_models(cache_dir, catalogue)
    installed = [model.name for model in listed if model.state == "installed"]
    for model in listed:
        if model.state == "corrupt":
            yield Finding(
                "problem",
                f"model {model.name}",
                "files are missing or cut short",
                f"npc-engine models pull {model.name}"
                if model.name in catalogue
                else f"delete {cache_dir / 'models' / model.name}; import it again if it was yours",
            )
    for name in ("base", "encoder"):
        if any(model.name == name and model.state == "available" for model in listed):
            yield Finding("note", f"model {name}", "not installed", f"npc-engine models pull {name}")
    return installed


def _session(name: str, cache_dir: Path, device: str | None) -> Finding:
    from npc_engine.config import load_config
    from npc_engine.inference.classifier import PairClassifier
    from npc_engine.inference.decoder import Decoder
    from npc_engine.inference.encoder import SentenceEncoder
    from npc_engine.models.install import find_installed

    kinds: dict[str, type[Decoder] | type[SentenceEncoder] | type[PairClassifier]] = {
        "decoder": Decoder,
        "encoder": SentenceEncoder,
        "classifier": PairClassifier,
    }

    try:
        model = find_installed(name, cache_dir)
        settings = load_config(device=device, num_slots=1, max_context_tokens=256)
        opened = kinds[model.kind].load(model.path, config=settings)
    except NpcEngineError as error:
        return Finding("problem", f"model {name}", f"{error.code}: {error.message}", error.hint)
    reason = f" because {opened.fallback_reason}" if opened.fallback_reason else ""
    return Finding("ok", f"model {name}", f"{model.manifest.precision}, runs on {opened.provider}{reason}")


def _sheets() -> Iterator[Finding]:
    from npc_engine.sheets.library import shipped_sheets_dir
    from npc_engine.sheets.loader import load_sheets

    try:
        sheets = load_sheets((shipped_sheets_dir(),))
    except NpcEngineError as error:
        yield Finding("problem", "sheets", f"{error.code}: {error.message}", error.hint)
        return
    yield Finding("ok", "sheets", f"shipped: {', '.join(sheets)}")
