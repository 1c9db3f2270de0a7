"""The table that commands are laid out on: what a talk of any kind can do, a command, and how a line runs one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from rich.console import Console

from npc_engine.errors import RequestError
from npc_engine.playtest.heard import HeardTurn
from npc_engine.playtest.terminal.game import Game
from npc_engine.protocol.messages import ControlsSet


class Talk(Protocol):
    """A talk of any kind, as the loop and most commands see it; `Session` says what each member is."""

    game: Game
    controls: dict[str, Any]

    @property
    def greetings(self) -> list[tuple[str, str]]: ...  # noqa: D102

    @property
    def state(self) -> dict[str, Any]: ...  # noqa: D102

    def say(self, line: str) -> None: ...  # noqa: D102

    def heard(self, who: str = "") -> HeardTurn | None: ...  # noqa: D102

    def tell(self, event: str) -> None: ...  # noqa: D102

    def change_state(self, changes: Mapping[str, Any]) -> None: ...  # noqa: D102

    def set_controls(self, controls: Mapping[str, Any]) -> ControlsSet: ...  # noqa: D102

    def become(self, player: str) -> None: ...  # noqa: D102

    def save(self, path: Path) -> int: ...  # noqa: D102

    def lose(self) -> None: ...  # noqa: D102

    def close(self) -> None: ...  # noqa: D102


T = TypeVar("T", bound=Talk, covariant=True)
C = TypeVar("C", bound=Talk)


@dataclass(frozen=True, kw_only=True)
class Desk(Generic[T]):
    """What commands work with.

    Attributes:
        session: The talk.
        console: Where answers go.
        scenarios: The file that `/bad` adds to.
        commands: What can be done in this talk.
    """

    session: T
    console: Console
    scenarios: Path
    commands: Mapping[str, Command[Any]]

    def told(self, text: str) -> None:
        """Say what has happened."""
        self.console.print(f"  {text}", style="yellow", markup=False)


@dataclass(frozen=True)
class Command(Generic[C]):
    """One command.

    Attributes:
        run: Carries it out with what follows the name.
        usage: What follows the name.
        help: What it does.
        needs_words: Whether something must follow.
    """

    run: Callable[[Desk[C], str], None]
    usage: str
    help: str
    needs_words: bool = False


def run_command(line: str, desk: Desk[Any]) -> None:
    """Carry out a line that begins with `/`.

    Raises:
        RequestError: There is no such command, or it lacks something.
        NpcEngineError: What it came to.
    """
    name, _, words = line.partition(" ")
    command = desk.commands.get(name)
    if command is None:
        near = get_close_matches(name, desk.commands, n=1)
        raise RequestError(
            f"unknown command {name[:40]}", hint=f"did you mean {near[0]}?" if near else "/help lists the commands"
        )
    words = words.strip()
    if command.needs_words and not words:
        raise RequestError(f"{name} needs {command.usage}", hint=f"{name} {command.usage}: {command.help}")
    command.run(desk, words)


def help_text(commands: Mapping[str, Command[Any]]) -> str:
    """Every command of a table with what it does."""
    heads = {name: f"{name} {command.usage}".strip() for name, command in commands.items()}
    width = max(map(len, heads.values()))
    rows = [f"{heads[name]:<{width}}  {command.help}" for name, command in commands.items()]
    return "\n".join([*rows, f"{'/quit':<{width}}  leave (so does the end of input)"])


def show_greetings(session: Talk, console: Console) -> None:
    """Print what was said first."""
    for name, greeting in session.greetings:
        console.print(f"{name}: {greeting}", style="bold", markup=False)
