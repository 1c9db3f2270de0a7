"""What the tables of bad input share: a command line run in this process, what was seen of it, what a folder holds."""

import contextlib
import hashlib
import io
import re
from dataclasses import dataclass

import pytest

from npc_engine.cli.main import main
from npc_engine.errors import NpcEngineError

_ERROR = re.compile(r"^(?:(?P<place>.*): )?(?P<code>NPC\d{3}): (?P<message>.*)$", re.MULTILINE)
_HINT = re.compile(r"^ *hint: (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Seen:
    """An error as whoever must act sees it."""

    code: str
    message: str
    hint: str
    place: str = ""

    @classmethod
    def of(cls, error: NpcEngineError) -> "Seen":
        return cls(error.code, error.message, error.hint)


@dataclass(frozen=True)
class Printed:
    """A finished command line."""

    exit_code: int
    out: str
    err: str

    @property
    def error(self) -> Seen:
        """The first coded error in what was printed."""
        text = self.out + self.err
        assert "Traceback" not in text
        found = _ERROR.search(text)
        assert found, text
        hint = _HINT.search(text, found.end())
        return Seen(found["code"], text[found.start("message") :], hint[1] if hint else "", found["place"] or "")


def run(*arguments: object) -> Printed:
    """Run `npc-engine` with these arguments."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return Printed(ended.value.code or 0, out.getvalue(), err.getvalue())


def refused(*arguments: object) -> Seen:
    """Run a command line that must end with a coded error and exit code 1."""
    printed = run(*arguments)
    assert printed.exit_code == 1, printed
    return printed.error


def tree(root) -> dict[str, str]:
    """Every file below a folder with its SHA-256, but for lock files."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }
