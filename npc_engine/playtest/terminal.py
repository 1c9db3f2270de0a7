"""A talk in the terminal: streaming, what each reply used and took, and commands that play the game's part.

Reads lines from standard input, so that pipes work; on a terminal there is a prompt and line editing.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from npc_engine.client.blocking import Client, Conversation
from npc_engine.client.turn import ActionFailed
from npc_engine.errors import ConnectionLost, ProtocolError, RequestError
from npc_engine.playtest.heard import HeardTurn, hear
from npc_engine.playtest.market import Market
from npc_engine.protocol.messages import ActionCall, Token

HELP = """\
/why              what the last reply used, what each stage did, and where the time went
/event TEXT       the character learns that something happened
/state KEY=VALUE  change the game's state: trust=60 place=smithy hour=9 flags=rain,fair factions=guild quests=siege:2
/actions          what the actions have changed: your purse and satchel
/quit             leave (so does the end of input)"""
PURSE = 100


def talk(client: Client, character: str, *, player: str, console: Console | None = None) -> None:
    """Talk until the input ends.

    Raises:
        NpcEngineError: The character is not loaded, or the server is gone.
    """
    console = console or Console(highlight=False)
    market = Market(purse=PURSE)
    names = {entry.id: entry.name for entry in client.characters()}

    def run_action(call: ActionCall) -> dict[str, Any]:
        arguments = ", ".join(f"{key}={value}" for key, value in call.arguments.items())
        try:
            result = market.run(call)
        except ActionFailed as failure:
            console.print(f"  [game] {call.name}({arguments}) refused: {failure.reason}", style="yellow", markup=False)
            raise
        console.print(f"  [game] {call.name}({arguments}) -> {result}", style="yellow", markup=False)
        return result

    with client.open(character, player_id=player, player_name=player, on_action=run_action) as conversation:
        console.print(f"{names[character]}: {conversation.greeting}", style="bold", markup=False)
        last: HeardTurn | None = None
        for line in _lines():
            try:
                if line.startswith("/"):
                    if line.split()[0] in ("/quit", "/exit"):
                        return
                    _command(line, conversation, console, last=last, market=market)
                else:
                    last = _turn(line, conversation, console, name=names[character])
            except ConnectionLost:
                raise
            except (RequestError, ProtocolError) as error:
                console.print(str(error), style="red", markup=False)


def _turn(line: str, conversation: Conversation, console: Console, *, name: str) -> HeardTurn:
    heard = HeardTurn(line=line)
    console.print(f"{name}: ", style="bold", end="", markup=False)
    for event in hear(conversation, heard):
        if isinstance(event, Token):
            console.out(event.text, end="", highlight=False)
        elif isinstance(event, ActionCall):
            console.print()
    console.print()
    console.print(f"  {figures(heard)}", style="dim", markup=False)
    return heard


def figures(heard: HeardTurn) -> str:
    """One line: what the reply used and what it took."""
    premises = [premise["id"] for premise in heard.trace.get("premises", ())]
    speed = f", {heard.tokens_per_s:.1f} tokens/s" if heard.tokens_per_s else ""
    who = "" if heard.end is None or heard.end.source == "model" else f", {heard.end.source}"
    return (
        f"first word {heard.time_to_first_token_s:.2f} s, whole {heard.total_s:.2f} s{speed}{who}; "
        f"facts: {', '.join(premises) or 'none'}"
    )


def _command(
    line: str, conversation: Conversation, console: Console, *, last: HeardTurn | None, market: Market
) -> None:
    command, _, rest = line.partition(" ")
    if command == "/why":
        _why(last, console)
    elif command == "/event" and rest.strip():
        conversation.world_event(rest.strip())
        console.print("  [game] the character knows", style="yellow", markup=False)
    elif command == "/state" and rest.strip():
        conversation.set_state(parse_state(rest))
        console.print("  [game] the state has changed", style="yellow", markup=False)
    elif command == "/actions":
        satchel = ", ".join(f"{count} {item}" for item, count in market.satchel.items() if count) or "nothing"
        console.print(f"  [game] purse {market.purse} crowns, satchel: {satchel}", style="yellow", markup=False)
    else:
        console.print(HELP, markup=False)


def parse_state(text: str) -> dict[str, Any]:
    """State changes from `key=value` words.

    Raises:
        RequestError: A word is not of that form.
    """
    changes: dict[str, Any] = {}
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise RequestError(f"state: {error}", hint="close the quote, or leave it out") from error
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise RequestError(f"state: {word!r} is not KEY=VALUE", hint="for example: /state trust=60 place=smithy")
        if key in ("flags", "factions"):
            changes[key] = [item for item in value.split(",") if item]
        elif key == "quests":
            stages = (item.partition(":") for item in value.split(",") if item)
            changes[key] = {name: _number(stage) for name, _, stage in stages}
        else:
            changes[key] = _number(value)
    return changes


def _number(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:
        return text


def _why(last: HeardTurn | None, console: Console) -> None:
    if last is None or last.end is None:
        console.print("  nothing has been said yet", markup=False)
        return
    trace = last.trace
    stages = Table("stage", "what it did", show_edge=False, pad_edge=False, header_style="dim")
    for stage, outcome in trace["stages"].items():
        stages.add_row(stage, Text(str(outcome)))
    console.print(stages)
    premises = Table("score", "premise", "text", show_edge=False, pad_edge=False, header_style="dim")
    for premise in trace.get("premises", ()):
        premises.add_row(f"{premise['score']:.2f}", Text(premise["id"]), Text(premise["text"]))
    console.print(premises)
    for key in ("unknown_topic", "action", "tokens", "latency", "controls", "error"):
        if trace.get(key):
            console.print(f"{key}: {trace[key]}", markup=False, style="dim")


def _lines() -> Iterator[str]:
    """Lines of the input without outer white space; empty ones are skipped."""
    is_terminal = sys.stdin.isatty()
    if is_terminal:
        with suppress(ImportError):
            import readline  # noqa: F401 - gives input() line editing and history where the system has it
    while True:
        try:
            line = input("> " if is_terminal else "").strip()
        except (EOFError, KeyboardInterrupt):
            return
        if line:
            yield line
