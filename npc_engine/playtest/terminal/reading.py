"""Where lines come from: a pipe, a line each; or a terminal, with history, editing and lines over several rows."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.key_binding import KeyBindings

PROMPT = "> "


class Lines(Protocol):
    """What the player types.

    Attributes:
        is_interactive: Whether somebody sits there who can go on after a loss.
    """

    is_interactive: bool

    def __iter__(self) -> Iterator[str]:
        """Lines without outer white space; empty ones are skipped."""
        ...

    def ask(self, question: str) -> str | None:
        """One answer; None at the end of the input."""
        ...


class PipedLines:
    """Lines of a file or pipe.

    Args:
        source: Standard input where none is given.
    """

    is_interactive = False

    def __init__(self, source: TextIO | None = None) -> None:
        self._source = source or sys.stdin

    def __iter__(self) -> Iterator[str]:
        """Each line that says something."""
        while line := self._source.readline():
            if line.strip():
                yield line.strip()

    def ask(self, question: str) -> str | None:
        """The next line, whatever it is."""
        line = self._source.readline()
        return line.strip() if line else None


class PromptLines:
    """A prompt: Enter sends, Alt+Enter begins another row, the arrows go through what was said before.

    Args:
        commands: What Tab completes.
        history: File of earlier lines; None keeps them for this talk only.
        options: Of the prompt, for tests: its input and output.
    """

    is_interactive = True

    def __init__(self, commands: Sequence[str], history: Path | None = None, **options: Any) -> None:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.completion import WordCompleter
        from prompt_toolkit.history import FileHistory, History, InMemoryHistory

        kept: History = InMemoryHistory()
        if history is not None:
            # A talk can be had without its history.
            with suppress(OSError):
                history.parent.mkdir(parents=True, exist_ok=True)
                history.touch()
                kept = FileHistory(str(history))
        self._session: PromptSession[str] = PromptSession(
            history=kept,
            completer=WordCompleter(list(commands), sentence=True),
            complete_while_typing=False,
            multiline=True,
            key_bindings=_keys(),
            prompt_continuation="  ",
            **options,
        )
        self._answers: PromptSession[str] = PromptSession(history=InMemoryHistory(), **options)

    def __iter__(self) -> Iterator[str]:
        """What is sent, until Ctrl+D or Ctrl+C."""
        while True:
            try:
                line = self._session.prompt(PROMPT).strip()
            except (EOFError, KeyboardInterrupt):
                return
            if line:
                yield line

    def ask(self, question: str) -> str | None:
        """What is answered; None for Ctrl+D or Ctrl+C."""
        try:
            return self._answers.prompt(question).strip()
        except (EOFError, KeyboardInterrupt):
            return None


def standard_input(commands: Sequence[str], history: Path | None = None) -> Lines:
    """A prompt where standard input and output are a terminal, else its plain lines."""
    if sys.stdin.isatty() and sys.stdout.isatty():
        return PromptLines(commands, history)
    return PipedLines()


def _keys() -> KeyBindings:
    from prompt_toolkit.key_binding import KeyBindings

    keys = KeyBindings()

    @keys.add("enter")
    def _send(event: Any) -> None:
        event.current_buffer.validate_and_handle()

    # Terminals send Alt+Enter as Escape and Enter.
    @keys.add("escape", "enter")
    def _new_row(event: Any) -> None:
        event.current_buffer.insert_text("\n")

    return keys
