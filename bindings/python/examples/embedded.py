"""The engine inside a Python game, without a socket: python embedded.py [MODEL].

The game's own event loop runs the turns; the model computes in a thread of the engine's.
"""

from __future__ import annotations

import asyncio
import sys

from npc_engine.config import load_config
from npc_engine.dialogue.engine import load_dialogue
from npc_engine.dialogue.events import ActionCall, Sentence
from npc_engine.server.dialogue_port import DialoguePort

LINES = ("Good day!", "What do you sell?")


async def play(dialogue: DialoguePort, *, character: str, lines: tuple[str, ...] = LINES) -> None:
    """Talk to a character and print what is said."""
    await dialogue.start()
    try:
        talk = dialogue.open_conversation(
            character, player_id="ada", player_name="Ada", state={"trust": 40}, actions=["sell_item"]
        )
        print(f"{character}: {talk.greeting}")
        for line in lines:
            print(f"Ada: {line}")
            async for event in talk.say(line):
                if isinstance(event, Sentence):
                    print(f"{character}: {event.text}")
                elif isinstance(event, ActionCall):
                    # What really happened; the character speaks of nothing else.
                    talk.action_result(event.call_id, {"sold": event.arguments.get("item"), "price": 12}, None)
        talk.close()
    finally:
        await dialogue.aclose()


def main() -> None:
    """Load the model and the shipped characters, and talk."""
    dialogue = load_dialogue(load_config(model=sys.argv[1] if len(sys.argv) > 1 else "tiny"))
    asyncio.run(play(dialogue, character="hesta"))


if __name__ == "__main__":
    main()
