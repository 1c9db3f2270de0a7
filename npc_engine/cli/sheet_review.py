"""Show proposals one by one and let the writer take, change or leave each: what `extract` and `expand` ask with."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import typer

from npc_engine.cli.console import err
from npc_engine.errors import NobodyToAsk
from npc_engine.sheets.fields import MAX_FACT_CHARS

BACK = "<"
Ask = Callable[[str, str], str]
"""Shows a question and its default; returns what was typed, white space stripped."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """Something to decide on.

    Attributes:
        text: What is proposed.
        notes: Lines that say where it comes from and what it changes.
    """

    text: str
    notes: tuple[str, ...] = ()


def check_somebody(*, is_settled: bool) -> None:
    """Refuse to go on where proposals would have to be shown and nobody is there.

    Args:
        is_settled: Whether nothing is going to be asked.

    Raises:
        NobodyToAsk: There is no terminal to ask at.
    """
    if not is_settled and not sys.stdin.isatty():
        raise NobodyToAsk(
            "each proposal waits for a yes, and this is no terminal",
            hint="run it in a terminal, or take everything with --yes, or only look with --dry-run",
        )


def at_terminal(question: str, default: str) -> str:
    """Ask on stderr."""
    answer: str = typer.prompt(question, default=default, show_default=False, err=True)
    return answer.strip()


def review(items: Sequence[Item], ask: Ask = at_terminal, say: Callable[[str], None] | None = None) -> list[str | None]:
    """Ask about each item.

    Args:
        items: In the order to show them.
        ask: Where questions go and answers come from.
        say: Where remarks go.

    Returns:
        For each item its text as it was taken, or None where it was dropped.
    """
    say = say or (lambda line: err.print(line, markup=False, soft_wrap=True))
    say(f"Enter takes it, d drops it, e changes it; a takes all that are left, q drops them, {BACK} goes back one.")
    taken: list[str | None] = [None] * len(items)
    at = 0
    while at < len(items):
        item = items[at]
        say(f"\n{at + 1} of {len(items)}  {taken[at] or item.text}")
        for note in item.notes:
            say(f"    {note}")
        answer = ask("  [take]", "").lower()
        if answer == BACK:
            at = max(0, at - 1)
            continue
        if answer in ("", "y"):
            taken[at] = taken[at] or item.text
        elif answer == "d":
            taken[at] = None
        elif answer == "e":
            taken[at] = _changed(item, ask, say)
        elif answer == "a":
            taken[at:] = [one or other.text for one, other in zip(taken[at:], items[at:], strict=True)]
            break
        elif answer == "q":
            taken[at:] = [None] * (len(items) - at)
            break
        else:
            say(f"  Enter, d, e, a, q or {BACK}")
            continue
        at += 1
    return taken


def _changed(item: Item, ask: Ask, say: Callable[[str], None]) -> str:
    """The writer's own wording."""
    while True:
        text = ask("  in your words (empty: as it is)", "") or item.text
        if len(text) <= MAX_FACT_CHARS:
            return text
        say(f"  {len(text)} characters, at most {MAX_FACT_CHARS} are allowed")
