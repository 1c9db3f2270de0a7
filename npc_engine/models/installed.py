"""The models in the cache: what is there, whether it is whole, and taking it away."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from npc_engine.errors import ConfigError, CorruptModel, InvalidModelName, ModelNotInstalled
from npc_engine.inference.spec import Precision
from npc_engine.models.cache import ModelCache, delete, disk_errors, sha256_of
from npc_engine.models.catalogue import Catalogue, FileName, Licence, ModelKind, Sha256, load_catalogue, unknown_model
from npc_engine.models.progress import SILENT, ProgressSink, counting_from

MANIFEST = "manifest.json"
# Raised whenever an older model no longer loads: with another number the next pull builds it anew.
MANIFEST_FORMAT = 1
LOCK_TIMEOUT_S = 3600.0

# Folders of models that come with the package, made by tools/package_nli.py.
BUILTIN_MODELS = Path(__file__).parent / "data"

ModelState = Literal["installed", "available", "corrupt", "missing"]


class ManifestFile(BaseModel):
    """One installed file as it was when the model was built."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes: int = Field(ge=0)
    sha256: Sha256


class Manifest(BaseModel):
    """`manifest.json`: what an installed model is, where it came from, and every file of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1]
    name: str
    kind: ModelKind
    architecture: str
    precision: Precision
    licence: Licence
    source: dict[str, Any]
    builder_version: str
    files: dict[FileName, ManifestFile] = Field(min_length=1)

    def save(self, folder: Path) -> None:
        """Write the manifest into `folder`."""
        (folder / MANIFEST).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class InstalledModel:
    """A model whose folder is complete."""

    name: str
    path: Path
    manifest: Manifest

    @property
    def kind(self) -> ModelKind:
        """What it does: decoder, encoder or classifier."""
        return self.manifest.kind

    @property
    def bytes(self) -> int:
        """Size on disk."""
        return sum(file.bytes for file in self.manifest.files.values())


@dataclass(frozen=True)
class ListedModel:
    """One row of `models list`.

    Attributes:
        bytes: Size on disk where installed, else what would be downloaded.
        exact: Whether `bytes` was measured; otherwise it is the publisher's round figure.
        pinned: Whether the project pins the source files by its own SHA-256; None for what a user imported.
        state: `missing` is a model that should have come with the package.
    """

    name: str
    kind: ModelKind | None
    title: str
    licence: str
    bytes: int
    exact: bool
    pinned: bool | None
    state: ModelState


def find_installed(name: str, cache_dir: Path) -> InstalledModel:
    """Find a model and check cheaply that it is whole: its manifest, every file, every size. Reads no weights.

    A model of the cache comes before one of the same name that comes with the package.

    Args:
        name: Folder name: `base`, `base-fp16`, or what an import was called.
        cache_dir: The cache folder.

    Raises:
        UnknownModel: Neither installed nor in the shipped catalogue.
        ModelNotInstalled: In the shipped catalogue, but neither in this cache nor in the package.
        CorruptModel: The folder is there, but its files are missing or cut short, or its manifest does not read.
        InvalidModelName: The name has characters that no model's name has.
        ModelError: The system refuses to read the folder.
    """
    cache = ModelCache(cache_dir)
    folder = _folder(name, cache)
    with disk_errors(folder):
        if not folder.is_dir():
            raise _absent(name, cache)
        manifest = _read_manifest(name, folder)
        for file_name, file in manifest.files.items():
            path = folder / file_name
            if not path.is_file():
                raise _corrupt(name, f"{path} is missing")
            if (size := path.stat().st_size) != file.bytes:
                raise _corrupt(name, f"{path} has {size} bytes instead of {file.bytes}")
    return InstalledModel(name, folder, manifest)


def verify(name: str, cache_dir: Path, *, progress: ProgressSink = SILENT) -> InstalledModel:
    """Check every file of an installed model against the SHA-256 of its manifest. Changes nothing.

    Raises:
        CorruptModel: As `find_installed`, or the content of a file was altered; the message names each.
        UnknownModel, ModelNotInstalled, InvalidModelName: As `find_installed`.
    """
    model = find_installed(name, cache_dir)
    progress.stage(f"verifying {name}", model.bytes, unit="bytes")
    done, altered = 0, []
    for file_name, file in model.manifest.files.items():
        with disk_errors(model.path):
            if sha256_of(model.path / file_name, counting_from(progress, done)) != file.sha256:
                altered.append(file_name)
        done += file.bytes
    if altered:
        raise _corrupt(name, f"altered since it was installed: {', '.join(altered)}")
    return model


def remove(name: str, cache_dir: Path, *, progress: ProgressSink = SILENT, timeout_s: float = LOCK_TIMEOUT_S) -> int:
    """Delete an installed model, whole or corrupt, and what was downloaded for it.

    The folder leaves `models/` by one rename before anything in it is deleted.

    Returns:
        Bytes freed.

    Raises:
        UnknownModel, ModelNotInstalled, InvalidModelName: As `find_installed`.
        ConfigError: It comes with the package.
        ModelBusy: Another process is installing it.
        ModelError: The system refused, for example because a program has the model open. It is still installed then.
    """
    cache = ModelCache(cache_dir)
    folder, staging, downloads = cache.model(name), cache.staging(name), cache.downloads(name)
    if not folder.is_dir() and not downloads.is_dir():
        if _is_builtin(name):
            raise ConfigError(
                f"{name} is a part of npc-engine and cannot be removed", hint="set nli to another classifier's name"
            )
        raise _absent(name, cache)
    with cache.lock(name, timeout_s=timeout_s, progress=progress), disk_errors(folder):
        freed = _size(folder) + _size(downloads)
        delete(staging)
        delete(downloads)
        if folder.is_dir():
            staging.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(staging)
            delete(staging)
    return freed


def list_models(cache_dir: Path, catalogue: Catalogue) -> list[ListedModel]:
    """Every model of the catalogue and every folder in the cache, with its state."""
    cache = ModelCache(cache_dir)
    folders = sorted(path.name for path in cache.models.iterdir() if path.is_dir()) if cache.models.is_dir() else []
    names = [*catalogue, *(name for name in folders if name not in catalogue)]
    return [_listed(name, cache_dir, catalogue, name in folders) for name in names]


def _listed(name: str, cache_dir: Path, catalogue: Catalogue, is_present: bool) -> ListedModel:
    entry = catalogue.find(name)
    is_builtin = entry is not None and entry.builtin
    if is_present or (is_builtin and (BUILTIN_MODELS / name).is_dir()):
        try:
            model = find_installed(name, cache_dir)
        except (CorruptModel, InvalidModelName):
            kind, size = (entry.kind, entry.download_bytes) if entry else (None, 0)
            title, licence = (entry.title, entry.licence.spdx) if entry else ("", "")
            return ListedModel(name, kind, title, licence, size, False, entry.pinned if entry else None, "corrupt")
        title = entry.title if entry else str(model.manifest.source.get("title", ""))
        pinned = bool(model.manifest.source.get("pinned"))
        return ListedModel(name, model.kind, title, model.manifest.licence.spdx, model.bytes, True, pinned, "installed")
    assert entry is not None
    size, licence = entry.download_bytes, entry.licence.spdx
    state: ModelState = "missing" if entry.builtin else "available"
    return ListedModel(name, entry.kind, entry.title, licence, size, entry.pinned, entry.pinned, state)


def _read_manifest(name: str, folder: Path) -> Manifest:
    path = folder / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise _corrupt(name, f"{path}: {error.strerror or error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        if first["loc"] == ("format",):
            raise _corrupt(name, "another version of npc-engine built it") from error
        place = ": ".join(part for part in (str(path), ".".join(map(str, first["loc"]))) if part)
        raise _corrupt(name, f"{place}: {first['msg']}") from error


def _corrupt(name: str, what: str) -> CorruptModel:
    return CorruptModel(
        f"{name}: {what}", hint=f"npc-engine models pull {name} builds it anew (an import: remove it, import it again)"
    )


def _is_builtin(name: str) -> bool:
    entry = load_catalogue().find(name)
    return entry is not None and entry.builtin


def _folder(name: str, cache: ModelCache) -> Path:
    folder = cache.model(name)
    return folder if folder.is_dir() or not _is_builtin(name) else BUILTIN_MODELS / name


def _absent(name: str, cache: ModelCache) -> ModelNotInstalled | Exception:
    catalogue = load_catalogue()
    if _is_builtin(name):
        return ModelNotInstalled(
            f"{name} should come with npc-engine, and {BUILTIN_MODELS / name} is not there",
            hint="install the package again, or import a classifier of your own (npc-engine models import --help) and "
            "set nli to its name",
        )
    if name in catalogue:
        return ModelNotInstalled(f"{name} is not installed in {cache.root}", hint=f"npc-engine models pull {name}")
    installed: Iterable[str] = (path.name for path in cache.models.iterdir()) if cache.models.is_dir() else ()
    return unknown_model(name, [*catalogue, *installed])


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0
