"""Change sheet files: all of a change or nothing, checked before anything is replaced, line ends kept."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from npc_engine.errors import SheetError, SheetNotWritten
from npc_engine.sheets.yaml_reader import read_yaml

Check = Callable[[Path], object]


@dataclass(frozen=True)
class Source:
    """A file's text with plain line ends, and how it is written.

    Attributes:
        text: Without a byte order mark.
        newline: What ends its lines in the file.
        has_mark: Whether it begins with a byte order mark.
    """

    text: str
    newline: str = "\n"
    has_mark: bool = False

    def encoded(self, text: str) -> bytes:
        """Another text, written as this one is."""
        return text.replace("\n", self.newline).encode("utf-8-sig" if self.has_mark else "utf-8")


def read_source(path: Path) -> Source:
    """Read a file that is YAML of our kind.

    Raises:
        SheetError: As `read_yaml`.
    """
    read_yaml(path)
    raw = path.read_bytes()
    text = raw.decode("utf-8-sig")
    newline = "\r\n" if text.count("\r\n") * 2 > text.count("\n") else "\n"
    return Source(text.replace("\r\n", "\n"), newline, raw.startswith(b"\xef\xbb\xbf"))


def rewrite(texts: Mapping[Path, str], check: Check) -> list[Path]:
    """Replace the text of existing files.

    Each new text is first written beside its file and checked there; only when all are right are they renamed.

    Args:
        texts: New texts, lines ended by a line feed.
        check: Called with each file that is about to take the place of one; raises SheetError where it must not.

    Returns:
        The files that changed.

    Raises:
        SheetNotWritten: A file cannot be written, or its new text is not right. Every file is as it was, unless the
            disk fails between two renames.
    """
    sources = {path: read_source(path) for path in texts}
    changed = {path: sources[path].encoded(text) for path, text in texts.items() if sources[path].text != text}
    waiting: dict[Path, Path] = {}
    try:
        for path, content in changed.items():
            _check_writable(path)
            beside = path.with_name(f".{path.name}.{os.getpid()}.new")
            waiting[path] = beside
            _write(beside, content, instead_of=path)
            try:
                check(beside)
            except SheetError as error:
                raise SheetNotWritten(
                    f"the new text would be no sheet: {error.problem}",
                    path=path,
                    line=error.line,
                    hint="nothing was written; change it by hand, and report this as a bug",
                ) from error
        for path, beside in waiting.items():
            _move(beside, path)
    finally:
        for beside in waiting.values():
            with suppress(OSError):
                beside.unlink(missing_ok=True)
    return list(changed)


def create(path: Path, text: str, check: Check | None = None) -> None:
    """Write a file that is not there yet.

    Args:
        path: The file; its folder exists.
        text: Its text, lines ended by a line feed.
        check: As in `rewrite`.

    Raises:
        SheetNotWritten: The file is there already, its folder is not, or it cannot be written. Nothing is left.
    """
    check_free(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        _write(beside, text.encode("utf-8"), instead_of=path)
        if check is not None:
            check(beside)
        _move(beside, path)
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def check_free(path: Path) -> None:
    """Refuse a path at which something is, or at which nothing can be.

    Raises:
        SheetNotWritten: It is taken, or the system takes no such name.
    """
    try:
        is_there = path.exists()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SheetNotWritten(reason, path=path, hint="choose another name") from error
    if is_there:
        raise SheetNotWritten("the file is there already", path=path, hint="choose another name, or remove it first")


def _check_writable(path: Path) -> None:
    """A rename would replace a read-only file without asking, so ask."""
    if not path.stat().st_mode & stat.S_IWUSR:
        raise SheetNotWritten("the file is read-only", path=path, hint="make it writable, or work on a copy")


def _write(path: Path, content: bytes, *, instead_of: Path) -> None:
    try:
        path.write_bytes(content)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SheetNotWritten(reason, path=instead_of, hint="name a file in a folder that you can write to") from error


def _move(source: Path, target: Path) -> None:
    try:
        if target.exists():
            source.chmod(stat.S_IMODE(target.stat().st_mode))
        source.replace(target)
    except OSError as error:
        raise SheetNotWritten(error.strerror or str(error), path=target, hint="close what holds the file") from error
