"""The user's model cache on disk: where things lie, who may write, how much room there is.

<root>/models/<name>/       installed models; a folder appears there whole, by one rename
<root>/staging/<name>/      a model being built; only the holder of the model's lock touches it
<root>/downloads/<name>/    what is being fetched; survives an interrupt
<root>/locks/<name>.lock    one lock a model, shared by its precisions
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from npc_engine.errors import DiskFull, InvalidModelName, ModelBusy, ModelError
from npc_engine.inference.spec import Precision
from npc_engine.models.progress import ProgressSink, human_bytes

CHUNK_BYTES = 1 << 20
_PRECISION_SUFFIXES = ("-int4", "-int8", "-fp16", "-fp32")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT} if hasattr(errno, "EDQUOT") else {errno.ENOSPC}
# Names that Windows gives to devices whatever the folder.
_RESERVED = {"con", "prn", "aux", "nul"} | {f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10)}


@dataclass(frozen=True)
class ModelCache:
    """The layout of one cache folder. Makes nothing by itself."""

    root: Path

    @property
    def models(self) -> Path:
        """The folder of installed models."""
        return self.root / "models"

    def model(self, name: str) -> Path:
        """Where the model `name` is installed, or would be."""
        return self.models / check_name(name)

    def staging(self, name: str) -> Path:
        """Where `name` is built before it is installed."""
        return self.root / "staging" / check_name(name)

    def downloads(self, name: str) -> Path:
        """Where the files that `name` is built from are fetched; shared by its precisions."""
        return self.root / "downloads" / stem(check_name(name))

    @contextmanager
    def lock(self, name: str, *, timeout_s: float, progress: ProgressSink) -> Iterator[None]:
        """Hold the lock of `name` and of its other precisions; the system frees it should the process die.

        Raises:
            ModelBusy: Another process held it for `timeout_s`. Nothing was changed.
            ModelError: The cache folder cannot be written.
        """
        path = self.root / "locks" / f"{stem(check_name(name))}.lock"
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path)
            try:
                try:
                    lock.acquire(timeout=0)
                except Timeout:
                    progress.note(f"another process is working on {stem(name)}; waiting for it")
                    lock.acquire(timeout=timeout_s)
            except Timeout as error:
                raise ModelBusy(
                    f"another process has been working on {stem(name)} for more than {timeout_s:g} s",
                    hint="wait for it, or end it, then run this again",
                ) from error
        try:
            yield
        finally:
            lock.release()


def check_name(name: str) -> str:
    """Return `name` if it can be a model's folder on every system.

    Raises:
        InvalidModelName: It has path or upper-case characters, is too long, or is a name Windows keeps for itself.
    """
    if not _NAME.fullmatch(name) or name.split(".")[0] in _RESERVED:
        raise InvalidModelName(
            f"{name[:80]!r} cannot be a model's name",
            hint="use 1 to 64 of a-z 0-9 . _ -, first and last a letter or digit, such as my-model",
        )
    return name


def stem(name: str) -> str:
    """The model's name without its precision: `base` of `base-fp16`."""
    for suffix in _PRECISION_SUFFIXES:
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name


def variant(name: str, precision: Precision) -> str:
    """The folder of `name` at `precision`: int4 is the plain name, the others carry a suffix."""
    return name if precision == "int4" else f"{name}-{precision}"


def sha256_of(path: Path, on_bytes: Callable[[int], None] | None = None) -> str:
    """Hash a file in pieces.

    Args:
        path: The file.
        on_bytes: Called with the bytes read so far.

    Returns:
        Lower-case hexadecimal SHA-256.
    """
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            done += len(chunk)
            if on_bytes:
                on_bytes(done)
    return digest.hexdigest()


def require_room(folder: Path, needed_bytes: int, purpose: str) -> None:
    """Refuse work that the disk under `folder` cannot hold.

    Raises:
        DiskFull: Less than `needed_bytes` is free. Nothing was written.
    """
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < needed_bytes:
        raise _disk_full(f"{purpose} needs {human_bytes(needed_bytes)} in {folder}, {human_bytes(free)} is free")


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the system's refusals to write or read below `path` into coded errors.

    Raises:
        DiskFull: The disk or the user's quota ran full.
        ModelError: Any other refusal, such as missing permission.
    """
    try:
        yield
    except OSError as error:
        where = error.filename or path
        if error.errno in _NO_ROOM:
            raise _disk_full(f"no room left while writing {where}") from error
        raise ModelError(
            f"{where}: {error.strerror or error}",
            hint="check the folder's permissions and that no program has the file open, or use another --cache-dir",
        ) from error


def _disk_full(message: str) -> DiskFull:
    return DiskFull(message, hint="free some space, or set NPC_ENGINE_CACHE_DIR to a folder on a larger disk")


def delete(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def flush_to_disk(path: Path) -> None:
    """Have the system write the file through, so that a rename after it never shows a half-written model."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())
