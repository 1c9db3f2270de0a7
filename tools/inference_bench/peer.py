"""A peer in a process of its own Python, over pipes: one JSON object a line each way."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from pathlib import Path
from typing import IO, Any

WORKERS = Path(__file__).parent / "workers"
_TAIL_CHARS = 300


class PeerFailed(Exception):
    """The peer cannot do what was asked; the text says why. Its column shows it."""


class Peer:
    """A running peer.

    Args:
        name: Its column.
        python: The Python that has it installed.
        worker: The script in `workers/` that serves it.
        options: What the worker opens the model with.

    Attributes:
        about: What the worker says of itself.

    Raises:
        PeerFailed: It does not start.
    """

    def __init__(self, name: str, python: Path, worker: str, options: dict[str, Any]) -> None:
        self.name = name
        # The peer's chatter; shown only where it ends badly.
        self._log: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                [str(python), str(WORKERS / worker)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                text=True,
                encoding="utf-8",
            )
        except OSError as error:
            self._log.close()
            raise PeerFailed(f"{python}: {error.strerror}") from error
        try:
            self.about: dict[str, Any] = self.ask("open", **options)
        except PeerFailed:
            self.close()
            raise

    def ask(self, operation: str, **fields: Any) -> Any:
        """One operation's result.

        Raises:
            PeerFailed: It failed, or the process ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"op": operation, **fields}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = ""
        if not line:
            raise PeerFailed(f"{operation}: the worker ended: {self._last_words()}")
        answer = json.loads(line)
        if "error" in answer:
            raise PeerFailed(f"{operation}: {answer['error']}")
        return answer["result"]

    def close(self) -> None:
        """End the process. Idempotent."""
        if self._process.stdin and not self._process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._log.close()

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().strip().splitlines()
        return lines[-1][-_TAIL_CHARS:] if lines else "it said nothing"


def llama_cpp(python: Path, gguf: Path, *, threads: int) -> Peer:
    """llama.cpp on the same GGUF file that our model was built from."""
    return Peer("llama.cpp", python, "llama_worker.py", {"gguf": str(gguf), "threads": threads})


def onnxruntime_genai(python: Path, folder: Path, *, threads: int) -> Peer:
    """onnxruntime-genai on a folder that `genai_export` made of the same file."""
    return Peer("onnxruntime-genai", python, "genai_worker.py", {"folder": str(folder), "threads": threads})
