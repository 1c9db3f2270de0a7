"""An asyncio game server whose characters talk while the game goes on: python game_server.py [ADDRESS].

Players' lines come on standard input, `ada: What does the sword cost?`, as they would come from their connections. The
world ticks all the while; whoever speaks does so in a task of their own.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from npc_engine.client.asynchronous import AsyncClient, AsyncConversation
from npc_engine.client.turn import DEFAULT_ADDRESS, ActionFailed
from npc_engine.errors import NpcEngineError
from npc_engine.protocol.messages import ActionCall

TICK_S = 0.05
CHARACTER = "mara"


class World:
    """What the game knows. The character may ask for things; only this class decides whether they happen."""

    def __init__(self) -> None:
        self.ticks = 0
        self.gold = {"ada": 40, "bob": 5}

    async def run(self) -> None:
        """Tick for ever; nothing that a character does holds this up."""
        while True:
            self.ticks += 1
            await asyncio.sleep(TICK_S)

    def sell(self, player: str, call: ActionCall) -> dict[str, Any]:
        """Carry out a sale, or say why not in words the character may use."""
        price = 12 * call.arguments["quantity"]
        if self.gold.get(player, 0) < price:
            raise ActionFailed(f"{player} has only {self.gold.get(player, 0)} gold")
        self.gold[player] -= price
        return {"sold": call.arguments["item"], "price": price}


async def open_talk(client: AsyncClient, world: World, player: str) -> AsyncConversation:
    """One conversation a player, with the actions that this game runs."""

    async def on_action(call: ActionCall) -> dict[str, Any]:
        return world.sell(player, call)

    state = {"trust": 40}
    return await client.open(CHARACTER, player_id=player, state=state, on_action=on_action, actions=["sell_item"])


async def speak(talk: AsyncConversation, player: str, line: str) -> None:
    """One turn, sentence by sentence, as a game would send it to the player's screen."""
    try:
        async for sentence in talk.say(line).sentences():
            print(f"{CHARACTER} to {player}: {sentence}", flush=True)
    except NpcEngineError as error:
        print(f"{player} is not answered: {error.code}", flush=True)


async def main(address: str) -> None:
    """Serve the players until their lines end."""
    world, talks = World(), {}
    async with AsyncClient(address) as client, asyncio.TaskGroup() as tasks:
        ticking = tasks.create_task(world.run())
        speaking = []
        while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
            player, _, words = line.partition(": ")
            if player not in talks:
                talks[player] = await open_talk(client, world, player)
            speaking.append(tasks.create_task(speak(talks[player], player, words)))
        await asyncio.gather(*speaking)
        ticking.cancel()
    print(f"{world.ticks} ticks, gold {world.gold}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else DEFAULT_ADDRESS))
