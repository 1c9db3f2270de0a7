"""A talk as it is planned and as it was had: what players say, what came back, what was expected.

Records are whole by themselves: a report or a comparison needs nothing but them and the sheets in their file's head.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from npc_engine.client.asynchronous import AsyncClient
from npc_engine.playtest.scenarios.schema import Expected, Scenario, Step
from npc_engine.sheets.conditions import GameState

Suite = Literal["scenarios", "players", "redteam", "scenes"]
SUITES: tuple[Suite, ...] = ("scenarios", "players", "redteam", "scenes")
# What a line of a scene is for: to be answered by the other one; to see whether the character repeats that as its own,
# whether it takes itself for the other one, and what it makes of what it heard.
Probe = Literal["told", "conformity", "impersonation", "hearsay"]


class _Record(BaseModel):
    # A file of a later release may hold more.
    model_config = ConfigDict(frozen=True, extra="ignore")


class ActionRecord(_Record):
    """An action that the game was asked for."""

    name: str
    arguments: dict[str, Any] = {}


class TurnRecord(_Record):
    """One turn.

    Attributes:
        line: What the player said.
        expected: What the reply had to be like.
        reply: The whole reply.
        sentences: The same by sentence.
        source: Who worded it: model, fallback, none.
        finish_reason: Why it ended.
        first_sentence_s: From the line to the first whole sentence, at the client; 0 without a sentence.
        total_s: From the line to the turn's end.
        actions: What the game was asked for.
        state: Names of the state that changed before the line.
        event: What the character learnt before the line.
        trace: The turn's trace, without the prompt.
        speaker: In a scene, the id of who answered; empty for the talk's character.
        probe: In a scene, what the line is for.
    """

    line: str
    expected: Expected = Field(default_factory=Expected)
    reply: str
    sentences: tuple[str, ...] = ()
    source: str = "model"
    finish_reason: str = "stop"
    first_sentence_s: float = 0.0
    total_s: float = 0.0
    actions: tuple[ActionRecord, ...] = ()
    state: dict[str, Any] = {}
    event: str | None = None
    trace: dict[str, Any] = {}
    speaker: str = ""
    probe: Probe | None = None


class TalkRecord(_Record):
    """One talk.

    Attributes:
        talk: Names it: character and scenario, player or attack. Equal in two runs of the same plan.
        repeat: Which of its repeats, from 0; pairs talks of two runs whose seeds differ.
        seed: What it was played with.
        digest: Hex digits that change with anything planned.
        suite: scenarios, players, redteam or scenes.
        character: The character's id.
        others: Ids of the others who are there.
        name: For people.
        group: A scenario's group, a player's kind, an attack's family.
        needs: Share of its repeats that must come out right.
        state: The game's state at the beginning.
        turns: In order.
        error: Code and message of what the server answered instead of going on.
    """

    talk: str
    repeat: int = 0
    seed: int
    digest: str
    suite: Suite = "scenarios"
    character: str
    others: tuple[str, ...] = ()
    name: str
    group: str = ""
    needs: float = 1.0
    state: dict[str, Any] = {}
    turns: tuple[TurnRecord, ...] = ()
    error: str | None = None

    @property
    def key(self) -> tuple[str, int]:
        """What pairs it with a talk of another run."""
        return self.talk, self.repeat


class Planned(Protocol):
    """What is known of a player before it speaks."""

    @property
    def max_turns(self) -> int:
        """Most lines it says."""
        ...

    @property
    def plan(self) -> Any:
        """Plain data that tells two plans apart."""
        ...


class Player(Planned, Protocol):
    """Whoever speaks to the character."""

    async def next_step(self, turns: Sequence[TurnRecord]) -> Step | None:
        """The next line after these turns; None at the end. The same turns give the same line."""
        ...


@runtime_checkable
class VoicedPlayer(Planned, Protocol):
    """A player that a character of the server plays."""

    @property
    def played_by(self) -> str:
        """The character's id."""
        ...

    def voiced(self, client: AsyncClient, talk: Talk, *, greeting: str) -> AbstractAsyncContextManager[Player]:
        """The player over this connection, until the block ends; `greeting` is what the character said first."""
        ...


@dataclass(frozen=True)
class Script:
    """A player with fixed lines."""

    steps: tuple[Step, ...]

    @property
    def max_turns(self) -> int:
        """All lines."""
        return len(self.steps)

    @property
    def plan(self) -> Any:
        """The lines and what is expected."""
        return [step.model_dump(mode="json", exclude_defaults=True) for step in self.steps]

    async def next_step(self, turns: Sequence[TurnRecord]) -> Step | None:
        """The line after as many turns."""
        return self.steps[len(turns)] if len(turns) < len(self.steps) else None


@dataclass(frozen=True, kw_only=True)
class Talk:
    """A talk to be had. Fields are those of `TalkRecord`."""

    id: str
    suite: Suite
    character: str
    name: str
    group: str
    player: Player | VoicedPlayer
    seed: int
    repeat: int = 0
    needs: float = 1.0
    state: GameState = field(default_factory=GameState)
    others: tuple[str, ...] = ()

    @property
    def cast(self) -> tuple[str, ...]:
        """Ids of all who are there, the talk's character last."""
        return (*self.others, self.character)

    @property
    def characters(self) -> tuple[str, ...]:
        """Ids of all that the server needs for it: those who are there, and whoever plays the player."""
        return (*self.cast, self.player.played_by) if isinstance(self.player, VoicedPlayer) else self.cast

    @property
    def digest(self) -> str:
        """Hex digits that change with anything planned."""
        plan = [self.id, self.seed, self.state.model_dump(mode="json"), self.player.plan]
        return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()[:16]

    def record(self, turns: Sequence[TurnRecord], *, error: str | None = None) -> TalkRecord:
        """What came of it."""
        return TalkRecord(
            talk=self.id,
            repeat=self.repeat,
            seed=self.seed,
            digest=self.digest,
            suite=self.suite,
            character=self.character,
            others=self.others,
            name=self.name,
            group=self.group,
            needs=self.needs,
            state=self.state.model_dump(mode="json", exclude_defaults=True),
            turns=tuple(turns),
            error=error,
        )


def scenario_talks(character: str, scenario: Scenario, *, seeds: Sequence[int]) -> list[Talk]:
    """The talks of a scenario: one for each seed of its own, else of `seeds`."""
    return [
        Talk(
            id=f"{character}/{scenario.name}",
            suite="scenarios",
            character=character,
            name=scenario.name,
            group=scenario.group,
            player=Script(scenario.steps()),
            seed=seed,
            repeat=repeat,
            needs=scenario.needs,
            state=scenario.state,
        )
        for repeat, seed in enumerate(scenario.seeds or seeds)
    ]
