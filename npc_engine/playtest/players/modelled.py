"""Players whose lines the dialogue model words: a second character, run by the same server, speaks to the first.

The player has a conversation of its own, in which the tested character is the one who speaks to it: what that one says
is said to the player, and what the player answers is the next line.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from npc_engine.client.asynchronous import AsyncClient, AsyncConversation
from npc_engine.playtest.players.public_view import PublicView
from npc_engine.playtest.scenarios.schema import Step
from npc_engine.playtest.seeds import turn_seed
from npc_engine.playtest.talks import Player, Talk, TurnRecord
from npc_engine.sheets.fields import MAX_LINE_CHARS
from npc_engine.sheets.schema import CharacterSheet

# The player sheet that comes with the package.
TRAVELLER = Path(__file__).resolve().parent / "traveller.yaml"
# Things that a player has come for.
NUM_WISHES = 2
# Said to a player in the place of a reply that was empty.
_SILENCE = "..."
# The player's turns draw by other seeds than the character's.
_SEED_OFFSET = 1 << 31


@dataclass(frozen=True, kw_only=True)
class ModelPlayer:
    """A player that a sheet describes and the model plays.

    Attributes:
        sheet: The player's sheet; its id is loaded by the server.
        view: What it may know of the character.
        seed: What it draws by: with equal replies it says the same lines.
        max_turns: Most lines it says.
    """

    sheet: CharacterSheet
    view: PublicView
    seed: int
    max_turns: int

    @property
    def played_by(self) -> str:
        """The sheet's id."""
        return self.sheet.id

    @property
    def plan(self) -> Any:
        """What it draws from."""
        return [self.sheet.content_hash, self.view.digest, self.seed, self.max_turns]

    @property
    def wishes(self) -> tuple[str, ...]:
        """What it has come to learn, in its own words: questions that anybody may ask."""
        drawn = random.Random(f"{self.seed}/{self.sheet.id}/{self.view.character}")
        lines = [known.line for known in self.view.known]
        return tuple(drawn.sample(lines, min(NUM_WISHES, len(lines))))

    @asynccontextmanager
    async def voiced(self, client: AsyncClient, talk: Talk, *, greeting: str) -> AsyncIterator[Player]:
        """Open the player's conversation; closed with the block.

        Args:
            client: Connected to the server that runs both.
            talk: The talk that it speaks in.
            greeting: What the character said first.

        Raises:
            NpcEngineError: It was not opened: the server lacks the sheet, or is gone.
        """
        conversation = await client.open(
            self.sheet.id, player_id=f"playtest {talk.digest} {talk.repeat}", player_name=self.view.name
        )
        async with conversation:
            for wish in self.wishes:
                await conversation.world_event(f"I have come to ask {self.view.name}: {wish}")
            yield _Voice(player=self, conversation=conversation, greeting=greeting)


@dataclass(frozen=True, kw_only=True)
class _Voice:
    """A model player that can speak."""

    player: ModelPlayer
    conversation: AsyncConversation
    greeting: str

    @property
    def max_turns(self) -> int:
        return self.player.max_turns

    @property
    def plan(self) -> Any:
        return self.player.plan

    async def next_step(self, turns: Sequence[TurnRecord]) -> Step | None:
        """What the player answers to the last reply; None after `max_turns`, or where it has nothing to say."""
        number = len(turns)
        if number >= self.max_turns:
            return None
        heard = turns[-1].reply if turns else self.greeting
        seed = turn_seed(self.player.seed + _SEED_OFFSET, number)
        end = await self.conversation.say(heard.strip() or _SILENCE, seed=seed).finish()
        line = " ".join(end.text.split())
        return Step(say=_shortened(line), in_character=True) if line else None


def _shortened(line: str) -> str:
    """A line that a scenario can hold: cut after a word."""
    if len(line) <= MAX_LINE_CHARS:
        return line
    return line[:MAX_LINE_CHARS].rpartition(" ")[0] or line[:MAX_LINE_CHARS]


def model_talks(view: PublicView, sheet: CharacterSheet, *, seeds: Sequence[int], max_turns: int) -> list[Talk]:
    """A talk for each seed.

    Args:
        view: Of the character.
        sheet: The player's.
        seeds: Of the player and of the engine's turns alike.
        max_turns: Lines a talk.
    """
    return [
        Talk(
            id=f"{view.character}/player {sheet.id}",
            suite="players",
            character=view.character,
            name=f"{sheet.id}, played by the model",
            group="played by the model",
            player=ModelPlayer(sheet=sheet, view=view, seed=seed, max_turns=max_turns),
            seed=seed,
            repeat=repeat,
            needs=0.0,
        )
        for repeat, seed in enumerate(seeds)
    ]
