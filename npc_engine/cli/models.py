"""`npc-engine models`: list, pull, import, verify, remove.

The models room is imported inside each command, so that `--help` stays quick.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from npc_engine.cli.console import err, out, print_error, progress_sink
from npc_engine.errors import ConfigError, ModelError
from npc_engine.inference.spec import Precision
from npc_engine.models.progress import ProgressSink, human_bytes

if TYPE_CHECKING:
    from npc_engine.models.install import InstalledModel, ListedModel

app = typer.Typer(no_args_is_help=True, help="List, install, check and remove models.")

CacheDir = Annotated[
    Path | None,
    typer.Option(
        "--cache-dir", help="Where models live: NPC_ENGINE_CACHE_DIR, or the system's cache folder, unless given."
    ),
]
CatalogueFile = Annotated[
    Path | None, typer.Option("--catalogue", help="A catalogue file instead of the shipped one.", metavar="FILE")
]
KeepDownloads = Annotated[bool, typer.Option("--keep-downloads", help="Keep the fetched files after the install.")]

# As catalogue.ModelKind, which would bring pydantic into `--help`.
Kind = Literal["decoder", "encoder", "classifier"]

_STATE_STYLES = {"installed": "green", "available": "", "corrupt": "red", "missing": "red"}


@app.command("list", epilog="Example: npc-engine models list --json")
def list_command(
    cache_dir: CacheDir = None,
    catalogue: CatalogueFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show every model of the catalogue and of the cache: kind, size, licence, state."""
    from npc_engine.models.cache import disk_errors
    from npc_engine.models.catalogue import load_catalogue
    from npc_engine.models.install import list_models

    cache = _cache(cache_dir)
    with disk_errors(cache):
        models = list_models(cache, load_catalogue(catalogue))
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(model) for model in models], indent=2))
    else:
        _print_table(models)


@app.command(epilog="Examples: npc-engine models pull base / npc-engine models pull tiny --precision fp16")
def pull(
    name: Annotated[str, typer.Argument(help="A model of `npc-engine models list`.", show_default=False)],
    precision: Annotated[
        Precision | None,
        typer.Option(help="Of a decoder: int4 for CPU (the default), fp16 for CUDA, fp32 as a reference."),
    ] = None,
    local: Annotated[
        Path | None,
        typer.Option("--from", help="Take the pinned files from this file or folder, not from a network."),
    ] = None,
    cache_dir: CacheDir = None,
    catalogue: CatalogueFile = None,
    keep_downloads: KeepDownloads = False,
) -> None:
    """Download, verify, build and install a model. Run again after an interrupt, it goes on where it stopped."""
    from npc_engine.models import install
    from npc_engine.models.catalogue import load_catalogue

    entries = load_catalogue(catalogue)
    entry = entries[name]
    err.print(f"{name}: {entry.title}, licence {entry.licence.spdx} ({entry.licence.url})", soft_wrap=True)
    with _interruptible() as progress:
        model = install.pull(
            name,
            _cache(cache_dir),
            progress=progress,
            precision=precision,
            catalogue=entries,
            local=local,
            keep_downloads=keep_downloads,
        )
    _print_installed(model)


@app.command(
    "import",
    epilog="Examples: npc-engine models import my.gguf --name my-model / "
    "npc-engine models import Qwen/Qwen2.5-0.5B-Instruct --name small / "
    "npc-engine models import base --adapter mira-lora/ --name mira / "
    "npc-engine models import base --adapters mira=mira-lora/ --adapters odo=odo-lora/ --name village / "
    "npc-engine models import cross-encoder/nli-MiniLM2-L6-H768 --name nli-large --kind classifier",
)
def import_command(
    source: Annotated[
        str,
        typer.Argument(
            help="A GGUF file, a folder with safetensors, a model of `npc-engine models list`, or a hub id: org/name, "
            "org/name/file.gguf, with @revision.",
            show_default=False,
        ),
    ],
    name: Annotated[str, typer.Option("--name", help="What to call it.", show_default=False)],
    precision: Annotated[
        Precision | None,
        typer.Option(help="Of a decoder: int4 for CPU (the default), fp16 for CUDA, fp32 as a reference."),
    ] = None,
    chat_template: Annotated[
        str | None, typer.Option(help="A chat template's name, such as chatml; by the vocabulary unless given.")
    ] = None,
    adapter: Annotated[
        Path | None,
        typer.Option(help="A LoRA adapter as PEFT saves it, merged into a decoder's weights.", metavar="FOLDER"),
    ] = None,
    adapters: Annotated[
        list[str] | None,
        typer.Option(
            help="A LoRA adapter that a sheet may choose by name (voice.adapter) beside others over the same weights; "
            "may be given again. The name is the folder's unless given.",
            metavar="[NAME=]FOLDER",
        ),
    ] = None,
    kind: Annotated[
        Kind | None,
        typer.Option(help="What to make of it; by its config.json unless given. A classifier needs the export extra."),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help="Of a classifier, in the order of its logits, with commas; by its config.json unless given.",
            metavar="NAME,NAME,NAME",
        ),
    ] = None,
    cache_dir: CacheDir = None,
    keep_downloads: KeepDownloads = False,
) -> None:
    """Install a model of your own: a Llama or Qwen decoder, a BERT sentence encoder, or a three-way NLI classifier."""
    from npc_engine.models import install

    with _interruptible() as progress:
        model = install.import_model(
            source,
            name,
            _cache(cache_dir),
            progress=progress,
            precision=precision,
            chat_template=chat_template,
            kind=kind,
            adapter=adapter,
            adapters=_named_folders(adapters or []),
            labels=None if labels is None else [name.strip() for name in labels.split(",")],
            keep_downloads=keep_downloads,
        )
    _print_installed(model)


@app.command(epilog="Examples: npc-engine models verify / npc-engine models verify base")
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Installed models; none means all.", show_default=False)
    ] = None,
    cache_dir: CacheDir = None,
) -> None:
    """Check every file of installed models against its recorded SHA-256."""
    from npc_engine.models.cache import ModelCache, disk_errors
    from npc_engine.models.install import verify

    cache = _cache(cache_dir)
    folder = ModelCache(cache).models
    chosen = names or []
    if not names:
        with disk_errors(folder):
            chosen = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not chosen:
        err.print(f"no model is installed in {cache}", soft_wrap=True)
    failed = False
    for name in chosen:
        try:
            with progress_sink() as progress:
                model = verify(name, cache, progress=progress)
        except ModelError as error:
            print_error(error)
            failed = True
        else:
            out.print(f"{name}: whole ({len(model.manifest.files)} files, {human_bytes(model.bytes)})", highlight=False)
    if failed:
        raise typer.Exit(1)


@app.command(epilog="Example: npc-engine models remove base-fp16")
def remove(
    name: Annotated[str, typer.Argument(help="An installed model.", show_default=False)], cache_dir: CacheDir = None
) -> None:
    """Delete an installed model, and what was downloaded for it."""
    from npc_engine.models import install

    with progress_sink() as progress:
        freed = install.remove(name, _cache(cache_dir), progress=progress)
    out.print(f"{name}: removed, {human_bytes(freed)} freed", highlight=False)


def _cache(given: Path | None) -> Path:
    from npc_engine.config import default_cache_dir

    return given or default_cache_dir()


def _named_folders(given: list[str]) -> dict[str, Path]:
    """`NAME=FOLDER`, or a folder alone, which is called as it is called.

    Raises:
        ConfigError: Two of them have one name.
    """
    folders: dict[str, Path] = {}
    for each in given:
        before, sign, after = each.partition("=")
        # A folder of that very name may have the sign in it.
        is_named = bool(sign) and not Path(each).is_dir()
        folder = Path(after if is_named else each)
        name = before if is_named else folder.resolve().name
        if name in folders:
            raise ConfigError(
                f"--adapters: {folders[name]} and {folder} are both called {name!r}",
                hint=f"name one of them: --adapters NAME={folder}",
            )
        folders[name] = folder
    return folders


@contextmanager
def _interruptible() -> Iterator[ProgressSink]:
    """A progress sink; Ctrl-C ends the command with a word on how to go on."""
    try:
        with progress_sink() as progress:
            yield progress
    except KeyboardInterrupt:
        err.print("interrupted; what is finished is kept, run the same command to go on")
        raise typer.Exit(130) from None


def _print_installed(model: InstalledModel) -> None:
    out.print(f"{model.name}: {human_bytes(model.bytes)} in {model.path}", highlight=False, soft_wrap=True)


def _print_table(models: list[ListedModel]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("name", "kind", "size", "licence", "state"):
        table.add_column(heading, no_wrap=True)
    table.add_column("model", overflow="fold")
    for model in models:
        size = ("" if model.exact else "~") + human_bytes(model.bytes) + ("*" if model.pinned is False else "")
        state = f"[{style}]{model.state}[/]" if (style := _STATE_STYLES[model.state]) else model.state
        table.add_row(model.name, model.kind or "?", size, model.licence, state, model.title)
    out.print(table)
    out.print(
        "size: on disk where installed, else the download. *: not pinned by npc-engine; checked against the hashes the "
        "hub publishes.",
        style="dim",
        highlight=False,
    )
