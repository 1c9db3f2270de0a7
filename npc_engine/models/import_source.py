"""What an import is built of: a path, a model of the catalogue, or a hub repository; and what that turns out to be."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from npc_engine.errors import ConfigError, InvalidModelFile
from npc_engine.inference.spec import Precision
from npc_engine.models.cache import ModelCache, delete, disk_errors, sha256_of
from npc_engine.models.catalogue import Licence, ModelEntry, ModelKind, load_catalogue
from npc_engine.models.fetch import Fetched, fetch, fetch_from_hub
from npc_engine.models.progress import ProgressSink, counting_from

_HUB_ID = re.compile(r"([\w.-]+/[\w.-]+)(?:/([\w./-]+\.gguf))?(?:@([\w./-]+))?")


@dataclass(frozen=True)
class ImportSource:
    """Source files on this machine, and what is known of them beyond themselves.

    Attributes:
        fetched: The files, and where they came from.
        licence: The catalogue's, or what the hub says.
        chat_template: The catalogue's, or None.
    """

    fetched: Fetched
    licence: Licence
    chat_template: str | None = None


@contextmanager
def import_source(
    source: str,
    name: str,
    cache: ModelCache,
    *,
    precision: Precision,
    keep_downloads: bool,
    lock_timeout_s: float,
    progress: ProgressSink,
) -> Iterator[ImportSource]:
    """The files of `source`, which stay where they are while the block runs.

    What was downloaded for this import is deleted after a block that ends well, unless `keep_downloads`; after an error
    it waits for the next try. Downloads of a catalogue model that were there before stay.

    Args:
        source: A path; else a catalogue model's name; else `org/name`, `org/name/file.gguf`, with `@revision` if need
            be.
        name: Of the import, whose download folder a hub repository goes to. The caller holds its lock.
        cache: The cache; the lock of a catalogue model is held while the block runs.
        precision: What will be built, for the disk check.
        keep_downloads: Keep what was fetched.
        lock_timeout_s: How long to wait for another process that works on the catalogue model.
        progress: Where to report.

    Raises:
        ConfigError: The catalogue model comes with the package, and has no source.
        InvalidModelFile: `source` is none of these, or holds nothing that can be built.
        DownloadFailed, HashMismatch, DiskFull, ModelBusy, ModelError: As `install.pull`.
    """
    path = Path(source)
    with disk_errors(path):
        local = _local_files(path, progress) if path.exists() else None
    entry = load_catalogue().find(source)
    if local is None and entry is not None:
        with _catalogue_files(entry, cache, precision, keep_downloads, lock_timeout_s, progress) as found:
            yield found
        return
    if local is None:
        repo, wanted, revision = _hub_id(source)
        local = fetch_from_hub(
            repo, wanted, cache.downloads(name), revision=revision, precision=precision, progress=progress
        )
    yield ImportSource(local, Licence(spdx=local.licence))
    clear_downloads(cache.downloads(name), keep=keep_downloads)


@contextmanager
def _catalogue_files(
    entry: ModelEntry,
    cache: ModelCache,
    precision: Precision,
    keep_downloads: bool,
    lock_timeout_s: float,
    progress: ProgressSink,
) -> Iterator[ImportSource]:
    if entry.builtin:
        raise ConfigError(f"{entry.name} comes with npc-engine: it has no source", hint="name a model with weights")
    folder = cache.downloads(entry.name)
    with cache.lock(entry.name, timeout_s=lock_timeout_s, progress=progress):
        were_kept = (folder / "files").is_dir()
        fetched = fetch(entry, folder, precision=precision, progress=progress)
        yield ImportSource(fetched, entry.licence, entry.chat_template)
        clear_downloads(folder, keep=keep_downloads or were_kept)


def clear_downloads(folder: Path, *, keep: bool) -> None:
    """Delete what was fetched into `folder`, unless `keep`.

    Raises:
        ModelError: The system refuses.
    """
    if not keep:
        with disk_errors(folder):
            delete(folder)


def kind_of(path: Path) -> ModelKind:
    """Tell what source files are: by config.json an encoder or a classifier; else, and of a GGUF, a decoder.

    Raises:
        InvalidModelFile: config.json does not say.
    """
    if path.is_file():
        return "decoder"
    config = path / "config.json"
    try:
        data = json.loads(config.read_text(encoding="utf-8"))
        model_type, architectures = data["model_type"], data.get("architectures") or []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidModelFile(f"{config}: cannot tell what model this is: {error!r}") from error
    if any(str(name).endswith("ForSequenceClassification") for name in architectures):
        return "classifier"
    return "encoder" if model_type == "bert" else "decoder"


def labels_of(path: Path, kind: ModelKind, given: Sequence[str] | None) -> tuple[str, ...]:
    """The labels of a classifier, checked before anything is converted; none of another kind.

    Raises:
        ConfigError: Labels were given for what is no classifier.
        InvalidModelFile: A classifier's source is a GGUF.
        UnsupportedLabels: As `classifier_export.read_labels`.
    """
    if kind != "classifier":
        if given is not None:
            raise ConfigError(f"{path} is of kind {kind}: it has no labels", hint="leave --labels out")
        return ()
    if path.is_file():
        raise InvalidModelFile(f"{path}: a classifier cannot be made of a GGUF", hint="give a safetensors folder")
    from npc_engine.models.classifier_export import read_labels

    return read_labels(path, given)


def _hub_id(source: str) -> tuple[str, str | None, str]:
    match = _HUB_ID.fullmatch(source)
    if match is None or match[1].endswith((".gguf", ".safetensors")) or source.startswith("."):
        raise InvalidModelFile(
            f"{source}: no such file or folder, and not a hub id",
            hint="give a .gguf file, a folder with safetensors and config.json, or org/name",
        )
    return match[1], match[2], match[3] or "main"


def _local_files(path: Path, progress: ProgressSink) -> Fetched:
    """The user's own files, used where they lie and hashed for the manifest."""
    files = [path] if path.is_file() else sorted(path.glob("*.safetensors"))
    if not files:
        ggufs = ", ".join(file.name for file in sorted(path.glob("*.gguf"))[:8])
        raise InvalidModelFile(
            f"{path}: a folder without .safetensors files",
            hint=f"name one of its GGUF files: {ggufs}" if ggufs else "see docs/models.md for what can be imported",
        )
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise InvalidModelFile(
                f"{path}: config.json is missing beside the weights",
                hint="copy the whole folder as it was published: weights, config.json, tokenizer.json",
            )
        files += [file for file in sorted(path.glob("*.json")) if file.is_file()]
    progress.stage("reading the source", sum(file.stat().st_size for file in files), unit="bytes")
    measured: dict[str, dict[str, Any]] = {}
    done = 0
    for file in files:
        size = file.stat().st_size
        measured[file.name] = {"bytes": size, "sha256": sha256_of(file, counting_from(progress, done))}
        done += size
    return Fetched(path, {"type": "local", "path": str(path.absolute()), "pinned": False, "files": measured})
