"""Installing a model: fetch, build in a staging folder, and one rename into the cache.

Whatever goes wrong before the rename leaves nothing installed, and finished downloads for the next try.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import npc_engine
from npc_engine.errors import (
    ConfigError,
    CorruptModel,
    InvalidModelName,
    ModelNotInstalled,
    UnknownModel,
)
from npc_engine.inference.spec import Precision
from npc_engine.models.cache import (
    ModelCache,
    check_name,
    delete,
    disk_errors,
    flush_to_disk,
    require_room,
    sha256_of,
    stem,
    variant,
)
from npc_engine.models.catalogue import (
    Catalogue,
    Licence,
    LocalSource,
    ModelEntry,
    ModelKind,
    load_catalogue,
)
from npc_engine.models.fetch import Fetched, estimate_build, fetch
from npc_engine.models.import_source import clear_downloads, import_source, kind_of, labels_of
from npc_engine.models.installed import (
    LOCK_TIMEOUT_S,
    MANIFEST_FORMAT,
    InstalledModel,
    ListedModel,
    Manifest,
    ManifestFile,
    find_installed,
    list_models,
    remove,
    verify,
)
from npc_engine.models.progress import SILENT, ProgressSink, counting_from

__all__ = [
    "InstalledModel",
    "ListedModel",
    "find_installed",
    "import_model",
    "list_models",
    "pull",
    "remove",
    "verify",
]


@dataclass(frozen=True)
class _Recipe:
    """What is built and what its manifest will say."""

    kind: ModelKind
    precision: Precision
    chat_template: str | None
    licence: Licence
    title: str
    labels: tuple[str, ...] = ()
    adapter: Path | None = None
    adapter_record: dict[str, Any] | None = None
    adapters: Mapping[str, Path] = field(default_factory=dict)
    adapter_records: Mapping[str, dict[str, Any]] = field(default_factory=dict)


def pull(
    name: str,
    cache_dir: Path,
    *,
    progress: ProgressSink = SILENT,
    precision: Precision | None = None,
    catalogue: Catalogue | None = None,
    local: Path | None = None,
    keep_downloads: bool = False,
    lock_timeout_s: float = LOCK_TIMEOUT_S,
) -> InstalledModel:
    """Install a model of the catalogue. One that is installed and whole is returned at once; a corrupt one is rebuilt.

    Two processes may pull the same model: the second waits, then finds it installed.

    Args:
        name: The model's name in the catalogue.
        cache_dir: The cache folder.
        progress: Where to report.
        precision: A decoder's int4 (default, and the plain folder name), fp16 or fp32; an encoder has one build, int8.
        catalogue: The catalogue, or None for the shipped one.
        local: A file or folder to take the pinned files from, instead of the catalogue's sources.
        keep_downloads: Keep what was fetched after the install.
        lock_timeout_s: How long to wait for another process.

    Raises:
        UnknownModel: The catalogue has no such model.
        ConfigError: A precision was asked of what is no decoder, or local files of a model without pinned files.
        DownloadFailed, HashMismatch: No source delivered the files (see `fetch`).
        DiskFull: There is not enough room.
        ModelBusy: Another process held the model's lock for `lock_timeout_s`.
        ModelError: The files cannot be built, or the cache folder cannot be written.
    """
    entry = (load_catalogue() if catalogue is None else catalogue)[name]
    if entry.kind != "decoder" and precision is not None:
        raise ConfigError(f"{name} is of kind {entry.kind}: it has one build", hint="leave --precision out")
    if entry.builtin:
        model = find_installed(name, cache_dir)
        progress.note(f"{name} comes with npc-engine: there is nothing to pull")
        return model
    if local is not None:
        entry = _from_local_only(entry, local)
    built: Precision = precision or ("int4" if entry.kind == "decoder" else "int8")
    target = variant(name, built) if entry.kind == "decoder" else name
    recipe = _Recipe(entry.kind, built, entry.chat_template, entry.licence, entry.title)

    cache = ModelCache(cache_dir)
    with cache.lock(target, timeout_s=lock_timeout_s, progress=progress):
        try:
            installed = find_installed(target, cache_dir)
        except CorruptModel as error:
            progress.note(f"{error.message}; building it anew")
        except (ModelNotInstalled, UnknownModel):
            pass
        else:
            progress.note(f"{target} is already installed")
            return installed
        fetched = fetch(entry, cache.downloads(name), precision=built, progress=progress)
        require_room(cache.staging(target), entry.installed_bytes_at(built), f"building {target}")
        model = _install(target, fetched, recipe, cache=cache, progress=progress)
        clear_downloads(cache.downloads(name), keep=keep_downloads)
        return model


def import_model(
    source: str,
    name: str,
    cache_dir: Path,
    *,
    progress: ProgressSink = SILENT,
    precision: Precision | None = None,
    chat_template: str | None = None,
    kind: ModelKind | None = None,
    labels: Sequence[str] | None = None,
    adapter: Path | None = None,
    adapters: Mapping[str, Path] = MappingProxyType({}),
    keep_downloads: bool = False,
    lock_timeout_s: float = LOCK_TIMEOUT_S,
) -> InstalledModel:
    """Install a model of the user's own choice: files, a hub repository, or a catalogue model under another name.

    Args:
        source: A path; a catalogue name; or `org/name`, `org/name/file.gguf`, each with `@revision` if need be.
        name: What to call it.
        cache_dir: The cache folder.
        progress: Where to report.
        precision: A decoder's int4 (default, and the plain folder name), fp16 or fp32; the others have one build, int8.
        chat_template: A template's name; None takes the catalogue's, or picks by vocabulary.
        kind: What to build; None tells it from config.json.
        labels: Of a classifier, in the order of its logits; None reads them from config.json.
        adapter: A LoRA adapter's folder, merged into a decoder's weights.
        adapters: LoRA adapters' folders by the names that sheets will have for them, each chosen at run time.
        keep_downloads: Keep what was fetched; downloads of a catalogue model that were there before stay anyway.
        lock_timeout_s: How long to wait for another process.

    Raises:
        InvalidModelName: The name cannot be a folder, ends in a precision, belongs to the catalogue, or is installed.
        ConfigError: A precision, a chat template or an adapter was given for what is no decoder, or labels for what is
            no classifier.
        InvalidAdapter, UnsupportedAdapter, AdapterMismatch: The adapter; see `lora`.
        UnsupportedLabels, ExportExtraMissing, ExportFailed: A classifier's; see `classifier_export`.
        InvalidModelFile: `source` is neither there nor a hub id, or holds nothing that can be built.
        DownloadFailed, HashMismatch, DiskFull, ModelBusy, ModelError: As `pull`.
    """
    _check_import_name(name)
    cache = ModelCache(cache_dir)
    built: Precision = precision or "int4"
    target = variant(name, built)
    with cache.lock(target, timeout_s=lock_timeout_s, progress=progress):
        if cache.model(target).exists():
            raise InvalidModelName(
                f"{target} is already installed", hint=f"npc-engine models remove {target}, or choose another --name"
            )
        record = None if adapter is None else _read_adapter(adapter, progress)
        records = _read_adapters(adapters, progress)
        with import_source(
            source,
            name,
            cache,
            precision=built,
            keep_downloads=keep_downloads,
            lock_timeout_s=lock_timeout_s,
            progress=progress,
        ) as found:
            fetched = found.fetched
            kind = kind or kind_of(fetched.path)
            if kind != "decoder":
                if precision or chat_template or adapter or adapters:
                    raise ConfigError(
                        f"{source} is of kind {kind}: it has one build, no chat template and no adapters",
                        hint="leave --precision, --chat-template, --adapter and --adapters out",
                    )
                built = "int8"
            names = labels_of(fetched.path, kind, labels)
            source_bytes = sum(file["bytes"] for file in fetched.source["files"].values())
            room = estimate_build(fetched.path, source_bytes, built)
            if kind == "classifier":
                room += estimate_build(fetched.path, source_bytes, "fp32")  # the graph that is quantized
            added = [*([adapter.name] if adapter else ()), *adapters]
            # Stacks are float32, of what may be bfloat16, and most lie there for both graphs.
            room += 4 * sum(file["bytes"] for record in records.values() for file in record["files"].values())
            require_room(cache.staging(target), room, f"building {target}")
            recipe = _Recipe(
                kind,
                built,
                chat_template or found.chat_template,
                found.licence,
                " with ".join(filter(None, (source, ", ".join(added)))),
                names,
                adapter,
                record,
                adapters,
                records,
            )
            return _install(target, fetched, recipe, cache=cache, progress=progress)


def _read_adapter(folder: Path, progress: ProgressSink) -> dict[str, Any]:
    """Check an adapter before anything is fetched for it; returns what the manifest says of it."""
    from npc_engine.models.lora import read_adapter

    with disk_errors(folder):
        record = read_adapter(folder).describe()
    modules = ", ".join(record["modules"])
    trained_on = record["base_model"] or "an unnamed base model"
    progress.note(f"adapter of rank {record['rank']} on {modules}; trained on {trained_on}")
    return record


def _read_adapters(folders: Mapping[str, Path], progress: ProgressSink) -> dict[str, dict[str, Any]]:
    """Likewise those that will be chosen at run time, by name."""
    if not folders:
        return {}
    from npc_engine.models.adapters import describe, read_runtime_adapter

    records = {}
    for name, folder in folders.items():
        with disk_errors(folder):
            adapter = read_runtime_adapter(name, folder)
        progress.note(f"adapter {name}: {describe(adapter)}")
        records[name] = adapter.describe()
    return records


def _install(
    target: str, fetched: Fetched, recipe: _Recipe, *, cache: ModelCache, progress: ProgressSink
) -> InstalledModel:
    """Build into the staging folder and rename it into place. The caller holds the model's lock.

    The lock's holder is the only process that may have a staging folder, so one that is found is a dead process's.
    """
    staging, folder = cache.staging(target), cache.model(target)
    # A `~` is in no model's name, so this is nobody's staging folder.
    aside = staging.with_name(f"{target}~corrupt")
    adapter: dict[str, Any] = {} if recipe.adapter_record is None else {"adapter": recipe.adapter_record}
    if recipe.adapter_records:
        adapter["adapters"] = dict(recipe.adapter_records)
    with disk_errors(staging):
        delete(staging)
        delete(aside)
        staging.mkdir(parents=True)
        try:
            architecture = _build(fetched.path, staging, recipe, progress)
            manifest = Manifest(
                format=MANIFEST_FORMAT,
                name=target,
                kind=recipe.kind,
                architecture=architecture,
                precision=recipe.precision,
                licence=recipe.licence,
                source={"title": recipe.title, **fetched.source, **adapter},
                builder_version=npc_engine.__version__,
                files=_measure(staging, progress),
            )
            manifest.save(staging)
            for path in staging.iterdir():
                flush_to_disk(path)
            folder.parent.mkdir(parents=True, exist_ok=True)
            if folder.exists():
                folder.rename(aside)  # a rename does not replace a folder, least of all on Windows
            staging.rename(folder)
        finally:
            delete(staging)
            delete(aside)
    return InstalledModel(target, folder, manifest)


def _build(source: Path, out: Path, recipe: _Recipe, progress: ProgressSink) -> str:
    """Run the graph builder; returns the architecture it found."""
    # Here and not above: the builder brings onnx and gguf, which `models list` does not need.
    weights_done = _weights_done(progress)
    if recipe.kind == "encoder":
        from npc_engine.models.build import build_encoder

        return build_encoder(source, out, progress=weights_done).architecture
    if recipe.kind == "classifier":
        from npc_engine.models.classifier_export import export_classifier

        progress.note("converting with torch and optimum, which takes a minute")
        classifier, agreement = export_classifier(source, out, labels=recipe.labels)
        progress.note(f"labels in the order of its logits: {', '.join(classifier.labels)}")
        progress.note(str(agreement))
        return classifier.architecture
    from npc_engine.models.build import build_decoder
    from npc_engine.models.prefill_gate import MAX_KL_NATS

    spec = build_decoder(
        source,
        out,
        precision=recipe.precision,
        chat_template=recipe.chat_template,
        adapter=recipe.adapter,
        adapters=recipe.adapters,
        progress=weights_done,
    )
    if spec.prefill_kl_nats is not None:
        said = "prompts run in int8" if spec.prefill_precision == "w8a8" else "no int8 prefill graph: it is too far off"
        progress.note(f"{said}; {spec.prefill_kl_nats:.4f} nats from the decode graph (at most {MAX_KL_NATS})")
    return spec.architecture


def _weights_done(progress: ProgressSink) -> Callable[[int, int], None]:
    """The builder's `(weights done, weights in all)` callback; its first call knows the total and begins the stage."""
    begun = False

    def step(done: int, total: int) -> None:
        nonlocal begun
        if not begun:
            progress.stage("building the graph", total, unit="weights")
            begun = True
        progress.update(done)

    return step


def _measure(folder: Path, progress: ProgressSink) -> dict[str, ManifestFile]:
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    progress.stage("recording hashes", sum(path.stat().st_size for path in paths), unit="bytes")
    files, done = {}, 0
    for path in paths:
        size = path.stat().st_size
        files[path.name] = ManifestFile(bytes=size, sha256=sha256_of(path, counting_from(progress, done)))
        done += size
    return files


def _from_local_only(entry: ModelEntry, local: Path) -> ModelEntry:
    if not entry.pinned:
        raise ConfigError(
            f"{entry.name} has no pinned files to compare {local} with",
            hint=f"npc-engine models import {local} --name NAME",
        )
    return entry.model_copy(update={"sources": (LocalSource(type="local", path=local.absolute()),)})


def _check_import_name(name: str) -> None:
    if stem(check_name(name)) != name:
        raise InvalidModelName(f"{name!r} ends in a precision", hint=f"--name {stem(name)} --precision int4|fp16|fp32")
    if name in load_catalogue():
        raise InvalidModelName(f"{name!r} is the name of a catalogue model", hint="choose another --name")
