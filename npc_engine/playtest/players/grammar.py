"""Simulated players: what a kind of player says next, from `kinds.toml` and a character's public view, by a seed."""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from npc_engine.playtest.material import filled
from npc_engine.playtest.players.public_view import Known, PublicView
from npc_engine.playtest.scenarios.schema import Step
from npc_engine.playtest.scores.checks import numbers
from npc_engine.playtest.talks import Talk, TurnRecord

DEFAULT_TURNS = 8
# Share of the lines that ask what has a known answer.
_ASK_SHARE = 0.6
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of player.

    Attributes:
        name: Names it.
        about: What it does, in a phrase.
        ask: Wordings of a question with a known answer.
        between: Lines without one.
    """

    name: str
    about: str
    ask: tuple[str, ...]
    between: tuple[str, ...]


@lru_cache(maxsize=1)
def kinds() -> Mapping[str, Kind]:
    """Every kind of player, by name."""
    text = resources.files("npc_engine.playtest.players").joinpath("kinds.toml").read_text(encoding="utf-8")
    return {
        name: Kind(name=name, about=one["about"], ask=tuple(one["ask"]), between=tuple(one["between"]))
        for name, one in tomllib.loads(text).items()
    }


@dataclass(frozen=True, kw_only=True)
class GrammarPlayer:
    """A player that follows its kind's grammar.

    Attributes:
        kind: What it is like.
        view: What it may know.
        seed: What it draws by: with equal replies it says the same lines.
        max_turns: Lines it says.
    """

    kind: Kind
    view: PublicView
    seed: int
    max_turns: int = DEFAULT_TURNS

    @property
    def plan(self) -> Any:
        """What it draws from."""
        return [self.kind.name, self.kind.ask, self.kind.between, self.view.digest, self.seed, self.max_turns]

    async def next_step(self, turns: Sequence[TurnRecord]) -> Step | None:
        """The next line with what it must lead to; None after `max_turns`."""
        number = len(turns)
        if number >= self.max_turns:
            return None
        # A text as a seed: Random takes all of it, the same in each Python.
        rng = random.Random(f"{self.seed}/{self.kind.name}/{self.view.character}/{number}")
        if step := self._again(number):
            return step
        if self._asks(number) and (known := self._known(number)):
            return self._question(rng, known, number)
        return self._between(rng, turns)

    def _asks(self, number: int) -> bool:
        """Whether a line asks what has a known answer: each talk has its own pattern, and begins no later than at 2."""
        rng = random.Random(f"{self.seed}/{self.kind.name}/{self.view.character}/asks")
        pattern = [rng.random() < _ASK_SHARE for _ in range(self.max_turns)]
        return pattern[number] or (number == 1 and not pattern[0])

    def _known(self, number: int) -> Known | None:
        """The question of a line: each seed has its own order, none comes twice before all have come."""
        if not self.view.known:
            return None
        order = list(self.view.known)
        random.Random(f"{self.seed}/{self.view.character}").shuffle(order)
        if self.kind.name == "bargaining":
            order.sort(key=lambda one: not any(numbers(option) for group in one.says for option in group))
        return order[sum(self._asks(earlier) for earlier in range(number)) % len(order)]

    def _again(self, number: int) -> Step | None:
        """The second half of a talk of those who repeat: the questions of the first half, in order."""
        half = self.max_turns // 2
        if self.kind.name not in ("forgetful", "rephrasing", "bargaining") or number < half:
            return None
        earlier = number - half
        known = self._known(earlier)
        if not self._asks(earlier) or known is None:
            return None
        line = known.again if self.kind.name == "rephrasing" and known.again else known.line
        return Step(say=line, same_as=earlier + 1, facts=(known.fact,), says=known.says)

    def _question(self, rng: random.Random, known: Known, number: int) -> Step:
        wording = self.kind.ask[(self.seed + number) % len(self.kind.ask)]
        line = self._filled(wording, rng, question=known.line, again=known.again or known.line)
        in_character = self.kind.name in ("hostile", "breaking", "cheating")
        given = {"in_character": True} if in_character else {}
        return Step(say=line, facts=(known.fact,), says=known.says, **given)

    def _between(self, rng: random.Random, turns: Sequence[TurnRecord]) -> Step:
        heard = sorted(value for turn in turns for value in numbers(turn.reply))
        usable = [line for line in self.kind.between if self._has_slots(line, heard)]
        number = f"{heard[-1]:g}" if heard else ""
        said = {turn.line for turn in turns}
        lines = [self._filled(wording, rng, number=number) for wording in usable]
        line = rng.choice([one for one in lines if one not in said] or lines)
        is_unknown = line in self.view.unknown
        given: dict[str, Any] = {"in_character": True}
        if is_unknown:
            given["unknown"] = True
        return Step(say=line, **given)

    def _has_slots(self, line: str, heard: Sequence[float]) -> bool:
        has = {
            "name": True,
            "topic": bool(self.view.topics),
            "person": bool(self.view.people),
            "unknown": bool(self.view.unknown),
            "want": bool(self.view.wants),
            "number": bool(heard),
        }
        return all(has.get(slot, False) for slot in _SLOT.findall(line))

    def _filled(self, line: str, rng: random.Random, **given: str) -> str:
        slots = {"name": self.view.name, **given}
        for slot, choices in (
            ("topic", self.view.topics),
            ("person", self.view.people),
            ("unknown", self.view.unknown),
            ("want", [want for want, _ in self.view.wants]),
        ):
            if f"{{{slot}}}" in line and choices:
                slots[slot] = rng.choice(choices)
        return filled(line, slots)


def player_talks(
    view: PublicView, names: Sequence[str], *, seeds: Sequence[int], max_turns: int = DEFAULT_TURNS
) -> list[Talk]:
    """A talk for each kind of player and each seed.

    Args:
        view: Of the character.
        names: Kinds of `kinds()`.
        seeds: Of the players and of the engine's turns alike.
        max_turns: Lines a talk.
    """
    return [
        Talk(
            id=f"{view.character}/player {name}",
            suite="players",
            character=view.character,
            name=f"{name} player",
            group=name,
            player=GrammarPlayer(kind=kinds()[name], view=view, seed=seed, max_turns=max_turns),
            seed=seed,
            repeat=repeat,
            needs=0.0,
        )
        for name in names
        for repeat, seed in enumerate(seeds)
    ]
