"""Prefix snapshots as checked files, so that a restart is warm. Knows nothing of slots or characters.

A file is: magic, length of the header, header (JSON), token ids, arrays of each piece, SHA-256 of all before it. Its
name is the SHA-256 of everything that keys and values depend on. Several processes may share a folder: files appear
whole by one rename, and whoever finds one wrong deletes it and computes it again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from npc_engine.config import EngineConfig
from npc_engine.errors import CorruptSnapshot, PrefixFilesUnavailable
from npc_engine.inference.snapshot_codec import CODECS, Encoded, KvLayout, SnapshotCodec

SUFFIX = ".kv"
# Bump when the layout of the file, or what keys and values depend on beyond the model, changes.
VERSION = 2
_MAGIC = b"NPCKV\x00\x00\x01"
_MAX_HEADER_BYTES = 1 << 16
_DIGEST_BYTES = hashlib.sha256().digest_size
_STALE_TEMPORARY_S = 3600.0

_log = logging.getLogger(__name__)


def open_snapshot_files(config: EngineConfig, *, fingerprint: str) -> SnapshotFiles | None:
    """The prefix files that the settings ask for; None where they ask for none, or nothing is kept in memory either."""
    if config.prefix_store_disk_bytes == 0 or config.prefix_store_bytes == 0:
        return None
    return SnapshotFiles(
        config.prefix_store_dir or config.cache_dir / "prefixes",
        max_bytes=config.prefix_store_disk_bytes,
        fingerprint=fingerprint,
        codec=CODECS[config.kv_snapshot_dtype],
    )


def model_fingerprint(folder: Path, *conditions: str) -> str:
    """What keys and values depend on beside the tokens: the model's files, and the conditions it runs under.

    Args:
        folder: An installed model. Its manifest names every file's SHA-256 and the builder's version, so hashing the
            manifest is enough; a folder without one is hashed whole.
        *conditions: Such as the provider and the runtime's version, whose kernels round in their own way.
    """
    manifest = folder / "manifest.json"
    digest = hashlib.sha256()
    for path in [manifest] if manifest.is_file() else sorted(each for each in folder.iterdir() if each.is_file()):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    digest.update("\0".join(conditions).encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class _Kind:
    """What a file must say of itself."""

    fingerprint: str
    codec: SnapshotCodec
    layout: KvLayout
    adapter: int
    token_ids: NDArray[np.int64]

    def header(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "fingerprint": self.fingerprint,
            "codec": self.codec.name,
            "parts": self.layout.parts,
            "heads": self.layout.heads,
            "head_dim": self.layout.head_dim,
            "dtype": self.layout.dtype.str,
            "adapter": self.adapter,
            "num_tokens": len(self.token_ids),
        }

    def file_name(self) -> str:
        said = json.dumps(self.header(), sort_keys=True).encode()
        return hashlib.sha256(said + b"\0" + self.token_ids.tobytes()).hexdigest() + SUFFIX


class SnapshotFiles:
    """A folder of prefix files under a byte budget; the least recently loaded or saved leave first.

    `load` runs on the caller's thread, `save` on one of its own. What the system refuses is logged once, as NPC141, and
    nothing is written from then on.

    Args:
        folder: Made when first written to.
        max_bytes: Most bytes of all files, also those of other models.
        fingerprint: See `model_fingerprint`.
        codec: How snapshots are kept, in memory and so in files.
        wall_clock: Seconds since the epoch, as the file system stamps files.

    Attributes:
        problem: Why nothing is written any more; empty while all is well.
        num_loaded: Prefixes that came from a file.
        num_corrupt: Files that were found wrong and deleted.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int,
        fingerprint: str,
        codec: SnapshotCodec,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self.problem = ""
        self.num_loaded = 0
        self.num_corrupt = 0
        self._fingerprint = fingerprint
        self._codec = codec
        self._wall_clock = wall_clock
        self._nbytes: int | None = None
        self._lock = threading.Lock()
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefix-files")
        self._pending: Future[None] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all files, as this process saw them last."""
        if self._nbytes is None:
            self._nbytes = sum(size for _, size, _ in self._listed())
        return self._nbytes

    def load(self, token_ids: Sequence[int], layout: KvLayout, *, adapter: int = 0) -> tuple[Encoded, ...] | None:
        """The prefix's keys and values, or None when there is no file, or only a wrong one, which is then deleted.

        Args:
            token_ids: The prefix.
            layout: Of its keys and values.
            adapter: The number of the adapter that computes it; which one that is, the fingerprint says.
        """
        kind = self._kind(token_ids, layout, adapter)
        path = self.folder / kind.file_name()
        try:
            with path.open("rb") as file:
                pieces = _read(file, kind)
            with contextlib.suppress(OSError):  # it only marks the file as used
                now_s = self._wall_clock()
                os.utime(path, (now_s, now_s))
        except FileNotFoundError:
            return None
        except CorruptSnapshot as error:
            self.num_corrupt += 1
            _log.warning("%s: %s: %s; deleted, the prefix is computed again", error.code, path, error.message)
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        except OSError as error:
            self._give_up(error)
            return None
        self.num_loaded += 1
        return pieces

    def save(self, token_ids: Sequence[int], layout: KvLayout, pieces: Sequence[Encoded], *, adapter: int = 0) -> None:
        """Write the prefix's file in the background, unless it is there or larger than the budget.

        Args:
            token_ids: The prefix.
            layout: Of its keys and values.
            pieces: Them, in order; the last may go on beyond the prefix. Must not change.
            adapter: As in `load`.
        """
        if self.problem:
            return
        kind = self._kind(token_ids, layout, adapter)
        self._pending = self._writer.submit(self._save, kind, _cut(pieces, len(kind.token_ids)))

    def close(self) -> None:
        """Finish what is being written. Idempotent."""
        self._writer.shutdown()

    def wait(self) -> None:
        """Wait until everything handed to `save` is written or given up."""
        if self._pending is not None:
            self._pending.result()

    def _kind(self, token_ids: Sequence[int], layout: KvLayout, adapter: int) -> _Kind:
        return _Kind(self._fingerprint, self._codec, layout, adapter, np.array(token_ids, np.int64))

    def _save(self, kind: _Kind, pieces: Sequence[Encoded]) -> None:
        path = self.folder / kind.file_name()
        temporary: Path | None = None
        try:
            if self.problem or path.exists():
                return
            size = sum(len(chunk) for chunk in _chunks(kind, pieces)) + _DIGEST_BYTES
            if size > self.max_bytes:
                return
            self.folder.mkdir(parents=True, exist_ok=True)
            self._make_room(size)
            handle, name = tempfile.mkstemp(dir=self.folder, suffix=".tmp")
            temporary = Path(name)
            with open(handle, "wb") as file:
                digest = hashlib.sha256()
                for chunk in _chunks(kind, pieces):
                    digest.update(chunk)
                    file.write(chunk)
                file.write(digest.digest())
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            self._make_room(0)  # another process may have written meanwhile
        except OSError as error:
            self._give_up(error)
            if temporary is not None:
                with contextlib.suppress(OSError):
                    temporary.unlink()

    def _make_room(self, nbytes: int) -> None:
        """Delete the least recently used files until so many more bytes fit, and what a crash left half-written."""
        now_s = self._wall_clock()
        for path in self.folder.glob("*.tmp"):
            with contextlib.suppress(OSError):
                if now_s - path.stat().st_mtime > _STALE_TEMPORARY_S:
                    path.unlink()
        files = sorted(self._listed(), key=lambda each: each[0])
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total + nbytes <= self.max_bytes:
                break
            with contextlib.suppress(OSError):  # another process was first, or has it open (Windows)
                path.unlink()
            total -= size
        self._nbytes = total + nbytes

    def _listed(self) -> Iterator[tuple[float, int, Path]]:
        """When each file was used last, its size, where it is."""
        with contextlib.suppress(OSError):
            for path in self.folder.glob(f"*{SUFFIX}"):
                with contextlib.suppress(FileNotFoundError):
                    status = path.stat()
                    yield status.st_mtime, status.st_size, path

    def _give_up(self, error: OSError) -> None:
        with self._lock:
            if self.problem:
                return
            self.problem = f"{self.folder}: {error.strerror or error}"
        _log.warning(
            "%s",
            PrefixFilesUnavailable(
                f"{self.problem}; prefixes are computed at each start",
                hint="free some space or set prefix_store_dir; prefix_store_disk_bytes = 0 turns prefix files off",
            ),
        )


def _cut(pieces: Sequence[Encoded], num_tokens: int) -> list[Encoded]:
    """Pieces of exactly so many tokens."""
    kept: list[Encoded] = []
    for piece in pieces:
        if num_tokens == 0:
            break
        kept.append(piece if piece.num_tokens <= num_tokens else piece.split(num_tokens)[0])
        num_tokens -= kept[-1].num_tokens
    return kept


def _chunks(kind: _Kind, pieces: Sequence[Encoded]) -> Iterator[bytes | memoryview]:
    """The file but for its digest."""
    header = json.dumps(kind.header() | {"pieces": [piece.num_tokens for piece in pieces]}).encode()
    yield _MAGIC + len(header).to_bytes(4, "little") + header + kind.token_ids.tobytes()
    for piece in pieces:
        for array in piece.arrays():
            yield _bytes_of(array)


def _read(file: BinaryIO, kind: _Kind) -> tuple[Encoded, ...]:
    """Read and check a file.

    Raises:
        CorruptSnapshot: It is not what its name says.
        OSError: The system does not read it.
    """
    digest = hashlib.sha256()

    def take(num_bytes: int) -> bytes:
        data = file.read(num_bytes)
        if len(data) != num_bytes:
            raise CorruptSnapshot("cut short")
        digest.update(data)
        return data

    if take(len(_MAGIC)) != _MAGIC:
        raise CorruptSnapshot("not a prefix file of this version")
    length = int.from_bytes(take(4), "little")
    if length > _MAX_HEADER_BYTES:
        raise CorruptSnapshot("its header is too long")
    try:
        header = json.loads(take(length))
        lengths = [int(each) for each in header.pop("pieces")]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CorruptSnapshot("its header is not JSON") from error
    ids = take(kind.token_ids.nbytes) if header == kind.header() else b""
    if ids != kind.token_ids.tobytes():
        raise CorruptSnapshot("not of this model, format and prefix")
    if min(lengths, default=0) < 1 or sum(lengths) != len(kind.token_ids):
        raise CorruptSnapshot("its pieces do not make up the prefix")
    pieces = tuple(kind.codec.empty(kind.layout, each) for each in lengths)
    for array in (array for piece in pieces for array in piece.arrays()):
        view = _bytes_of(array)
        if file.readinto(view) != len(view):  # type: ignore[attr-defined]
            raise CorruptSnapshot("cut short")
        digest.update(view)
    if file.read(_DIGEST_BYTES + 1) != digest.digest():
        raise CorruptSnapshot("its SHA-256 is not the one it carries")
    return pieces


def _bytes_of(array: NDArray[Any]) -> memoryview:
    """A C-contiguous array's own memory."""
    return array.reshape(-1).view(np.uint8).data
