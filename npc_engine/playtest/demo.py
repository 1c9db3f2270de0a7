"""The demonstration: a scripted talk with the blacksmith over ZeroMQ, with a little game behind it.

The script shows what the engine is for: a fact of her life, a fact of her trade, something the game tells her while
they talk, something she does not know, and a sale that really happens in the game.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.console import Console

from npc_engine.client.blocking import Client, Conversation
from npc_engine.client.turn import ActionFailed
from npc_engine.playtest.heard import HeardTurn, figures, hear
from npc_engine.playtest.market import Market
from npc_engine.protocol.messages import ActionCall, Token

CHARACTER = "hesta"
PLAYER = "Ada"
PURSE = 60


@dataclass(frozen=True)
class Step:
    """One line of the script, with what the game tells the character before it."""

    line: str
    event: str = ""


SCRIPT = (
    Step("Good morning. Are you the smith here?"),
    Step("Who is the boy helping you at the forge?"),
    Step("Where does your iron come from?"),
    Step("What is the news from the mill?", event="The flood took the bridge at the mill this morning."),
    Step("Can you put a spell on a blade for me?"),
    Step("I'll take the short sword, please."),
    Step("Yes, deal."),
)


def play_demo(client: Client, *, console: Console | None = None) -> list[HeardTurn]:
    """Play the script and print the transcript.

    Returns:
        What was heard, turn by turn.

    Raises:
        NpcEngineError: The server refused a line, or is gone.
    """
    console = console or Console(highlight=False)
    market = Market(purse=PURSE)

    def run_action(call: ActionCall) -> dict[str, Any]:
        console.print()
        _game(console, f"action_call {call.name} {call.arguments}")
        try:
            result = market.run(call)
        except ActionFailed as failure:
            _game(console, f"action_result refused: {failure.reason}")
            raise
        _game(console, f"action_result {result}")
        return result

    with client.open(
        CHARACTER, player_id="ada", player_name=PLAYER, state={"place": "smithy", "hour": 9}, on_action=run_action
    ) as talk:
        _game(console, f"{PLAYER} walks into the smithy with {PURSE} crowns")
        console.print(f"Hesta: {talk.greeting}\n", style="bold", markup=False)
        heard = [_step(step, talk, console) for step in SCRIPT]
    _game(console, f"{PLAYER} leaves with {market.purse} crowns and {market.carried}")
    return heard


def _step(step: Step, talk: Conversation, console: Console) -> HeardTurn:
    if step.event:
        talk.world_event(step.event)
        _game(console, f"world_event: {step.event}")
    console.print(f"{PLAYER}: {step.line}", style="cyan", markup=False)
    heard = HeardTurn(line=step.line)
    console.print("Hesta: ", style="bold", end="", markup=False)
    for event in hear(talk, heard):
        if isinstance(event, Token):
            console.out(event.text, style="bold", end="", highlight=False)
    console.print()
    console.print(f"  {figures(heard)}\n", style="dim", markup=False)
    return heard


def _game(console: Console, text: str) -> None:
    console.print(f"  [game] {text}", style="yellow", markup=False)
