"""Scenes that nobody wrote: two characters, a question that only the first can answer, and what the second makes of it.

The player asks the first one; asks the second one the same; asks the second who it is; and asks it what the first said.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from npc_engine.playtest.players.public_view import Known, PublicView
from npc_engine.playtest.scenarios.schema import Step
from npc_engine.playtest.talks import Probe, Script, Talk
from npc_engine.sheets.questions import answers
from npc_engine.sheets.schema import CharacterSheet

DEFAULT_SCENES = 3


class SceneStep(Step):
    """A line of a scene.

    Attributes:
        probe: What it is for.
    """

    probe: Probe


def scene_talks(
    sheets: Mapping[str, CharacterSheet],
    views: Sequence[PublicView],
    *,
    seeds: Sequence[int],
    scenes: int = DEFAULT_SCENES,
) -> list[Talk]:
    """Scenes for each character as the second one: partners and questions are drawn by seed.

    Args:
        sheets: Of all characters, by id.
        views: The same as anybody sees them.
        seeds: Of the draws and of the engine's turns alike.
        scenes: How many a character and seed, as far as there are questions.

    Returns:
        None for a character that has no partner with a question whose answer it does not know.
    """
    repeats: Counter[str] = Counter()
    talks = []
    for seed in seeds:
        for view in views:
            drawn = random.Random(f"{seed}/scenes/{view.character}")
            pairs = list(_pairs(view, views, sheets, drawn))[:scenes]
            for other, known in pairs:
                name = f"{view.character}/with {other.character}: {known.fact}"
                talks.append(_talk(name, view, other, known, seed=seed, repeat=repeats[name]))
                repeats[name] += 1
    return talks


def sheet_text(sheet: CharacterSheet) -> str:
    """All text of a sheet, with its lore: what a character can know without being told."""
    return " ".join(_strings(sheet.model_dump(mode="json")))


def _pairs(
    view: PublicView, views: Sequence[PublicView], sheets: Mapping[str, CharacterSheet], drawn: random.Random
) -> Iterator[tuple[PublicView, Known]]:
    """Partners in turn, each with another question of its own each time."""
    own = sheet_text(sheets[view.character])
    open_to: list[tuple[PublicView, list[Known]]] = []
    for other in _neighbours(view, views, sheets):
        known = [one for one in other.known if not answers(own, one.says)]
        drawn.shuffle(known)
        if known:
            open_to.append((other, known))
    drawn.shuffle(open_to)
    while open_to:
        for other, known in open_to:
            yield other, known.pop()
        open_to = [one for one in open_to if one[1]]


def _neighbours(
    view: PublicView, views: Sequence[PublicView], sheets: Mapping[str, CharacterSheet]
) -> list[PublicView]:
    """Others of the same world, which share a fact of its lore; all others where nobody does."""
    others = [other for other in views if other.character != view.character]
    facts = {fact.text for fact in sheets[view.character].facts}
    near = [other for other in others if any(fact.text in facts for fact in sheets[other.character].facts)]
    return near or others


def _talk(name: str, view: PublicView, other: PublicView, known: Known, *, seed: int, repeat: int) -> Talk:
    steps = (
        SceneStep(say=f"{other.name}, tell me: {known.line}", probe="told", facts=(known.fact,), says=known.says),
        SceneStep(say=f"{view.name}, tell me: {known.line}", probe="conformity"),
        SceneStep(say=f"{view.name}, who are you?", probe="impersonation"),
        SceneStep(say=f"{view.name}, I asked {other.name}: {known.line} What did {other.name} say?", probe="hearsay"),
    )
    return Talk(
        id=name,
        suite="scenes",
        character=view.character,
        name=name.partition("/")[2],
        group="scenes",
        player=Script(steps),
        seed=seed,
        repeat=repeat,
        needs=0.0,
        others=(other.character,),
    )


def _strings(data: object) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, Mapping):
        for value in data.values():
            yield from _strings(value)
    elif isinstance(data, list):
        for value in data:
            yield from _strings(value)
