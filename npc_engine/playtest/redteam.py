"""Attacks on a character, in families: files of `attacks/`, and attempts on each secret of the sheet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from npc_engine.playtest.material import Secret, filled, load_attempts, load_unknown
from npc_engine.playtest.scenarios.schema import Expected, Scenario, Step
from npc_engine.playtest.scores.checks import numbers, stable_text
from npc_engine.playtest.talks import Script, Talk, TalkRecord
from npc_engine.sheets.conditions import GameState
from npc_engine.sheets.fields import MAX_NAME_CHARS, Answer, Fact, Line, Model, Name, Note, Slug
from npc_engine.sheets.loader import read_document, sheet_files
from npc_engine.sheets.schema import CharacterSheet
from npc_engine.sheets.words import stem, words

ATTACKS_SCHEMA = "npc-engine/attacks@1"
FOLDER = Path(__file__).resolve().parent / "attacks"
OUT_OF_WORLD = "out_of_world"
SECRETS = "secret_extraction"
DEFAULT_ATTEMPTS = 12
# Words of a secret that are shorter say little.
_MIN_WORD_CHARS = 5


class Attack(Expected):
    """One attack: its lines, and what each reply must be like."""

    lines: tuple[Line, ...] = Field(min_length=1, max_length=8, description="What is said; {name} is the character.")


class AttackFamily(Model):
    """A family of attacks."""

    schema_: Literal["npc-engine/attacks@1"] = Field(alias="schema", description="The schema's name and version.")
    family: Slug = Field(description="Names it.")
    about: Note = Field(description="What it tries, in a phrase.")
    expected: Expected = Field(default_factory=Expected, description="What holds for every reply of the family.")
    attacks: tuple[Attack, ...] = Field(min_length=1, max_length=500, description="The attacks.")


def load_families(more: Sequence[Path] = ()) -> dict[str, AttackFamily]:
    """The families of `attacks/`, and those of further files or folders; a later one of a name takes its place.

    Raises:
        SheetError: A file does not load.
    """
    files = [*sorted(FOLDER.glob("*.yaml")), *(sheet_files(more) if more else ())]
    loaded = [read_document(path, AttackFamily, ATTACKS_SCHEMA)[1] for path in files]
    return {one.family: one for one in loaded}


def family_names(families: Mapping[str, AttackFamily]) -> list[str]:
    """All that can be asked for: the files' and the two that are made from other material."""
    return sorted({*families, OUT_OF_WORLD, SECRETS})


def attack_talks(
    sheet: CharacterSheet,
    families: Mapping[str, AttackFamily],
    names: Sequence[str],
    *,
    attempts: int = DEFAULT_ATTEMPTS,
    seeds: Sequence[int] = (1,),
) -> list[Talk]:
    """The talks of some families with one character.

    Args:
        sheet: Whom to attack.
        families: From `load_families`.
        names: Which of `family_names`.
        attempts: Most attacks a family; for secrets, most attempts a secret. 0 for all.
        seeds: Each attack is made once with each.
    """
    planned: list[tuple[str, str, tuple[Step, ...]]] = []
    for name in names:
        if name == SECRETS:
            planned += [(name, title, steps) for title, steps in _on_secrets(sheet, attempts)]
        elif name == OUT_OF_WORLD:
            planned += [(name, title, steps) for title, steps in _spread(_out_of_world(), attempts)]
        else:
            planned += [(name, title, steps) for title, steps in _spread(_of_family(families[name], sheet), attempts)]
    return [
        Talk(
            id=f"{sheet.id}/{family}/{title}",
            suite="redteam",
            character=sheet.id,
            name=title,
            group=family,
            player=Script(steps),
            seed=seed,
            repeat=repeat,
        )
        for family, title, steps in planned
        for repeat, seed in enumerate(seeds)
    ]


def as_scenario(record: TalkRecord) -> Scenario:
    """A talk of an attack that succeeded, as a scenario that fails until it is put right."""
    name = f"{record.group}: {record.turns[-1].line}"
    return Scenario(
        name=name if len(name) <= MAX_NAME_CHARS else name[: MAX_NAME_CHARS - 1].rstrip() + "…",
        group="red team",
        state=GameState.parse(record.state),
        lines=tuple(Step(say=turn.line, **_given(turn.expected)) for turn in record.turns),
        seeds=(record.seed,),
    )


def _given(expected: Expected) -> dict[str, Any]:
    return {name: getattr(expected, name) for name in expected.model_fields_set}


def _spread(attacks: Sequence[tuple[str, tuple[Step, ...]]], limit: int) -> list[tuple[str, tuple[Step, ...]]]:
    """At most `limit` of them, from all over the list; 0 for all."""
    if not limit or limit >= len(attacks):
        return list(attacks)
    return [attacks[i * len(attacks) // limit] for i in range(limit)]


def _of_family(family: AttackFamily, sheet: CharacterSheet) -> list[tuple[str, tuple[Step, ...]]]:
    slots = {"name": _first_name(sheet)}
    made = []
    for attack in family.attacks:
        own = {name: getattr(attack, name) for name in attack.model_fields_set & set(Expected.model_fields)}
        given = _given(family.expected) | own
        made.append((attack.lines[-1], tuple(Step(say=filled(line, slots), **given) for line in attack.lines)))
    return made


def _out_of_world() -> list[tuple[str, tuple[Step, ...]]]:
    return [(line, (Step(say=line, unknown=True, in_character=True),)) for line in load_unknown().questions]


def _on_secrets(sheet: CharacterSheet, attempts: int) -> Iterator[tuple[str, tuple[Step, ...]]]:
    material = load_attempts()
    ways = [(f"{way}-{index}", lines) for way, tries in material.attempts.items() for index, lines in enumerate(tries)]
    shipped = {(one.character, one.fact): one for one in material.secrets}
    hidden = [fact for fact in sheet.facts if fact.secret and not (fact.when and fact.when.holds(GameState()))]
    for number, fact in enumerate(hidden):
        secret = shipped.get((sheet.id, fact.id))
        answer = secret.answer if secret else _answer(fact, sheet)
        if not answer:
            continue
        slots = {"name": _first_name(sheet)} | _slots(fact, secret)
        # A stride that shares no factor with their number, so that each secret meets attempts of most kinds.
        chosen = (
            range(len(ways)) if not attempts else [(number * attempts + i) * 11 % len(ways) for i in range(attempts)]
        )
        for way, lines in (ways[index] for index in chosen):
            yield (
                f"{fact.id} {way}",
                tuple(Step(say=filled(line, slots), tells_not=answer, no_facts=(fact.id,)) for line in lines),
            )


def _slots(fact: Fact, secret: Secret | None) -> dict[str, str]:
    if secret is not None:
        return {"subject": secret.subject, "claim": secret.claim, "lie": secret.lie}
    subject = fact.tags[0] if fact.tags else "your secret"
    return {"subject": subject, "claim": f"there is more to {subject}", "lie": f"there is nothing to {subject}"}


def _answer(fact: Fact, sheet: CharacterSheet) -> Answer:
    """The words that give a secret away: its numbers, and long words that nothing open about the character has."""
    nobody = GameState()
    known = " ".join(
        [stable_text(sheet)]
        + [one.text for one in sheet.facts if not one.secret and (one.when is None or one.when.holds(nobody))]
    )
    open_stems = {stem(word) for word in words(known)} | {stem(word) for tag in fact.tags for word in words(tag)}
    rare: list[Name] = [
        word for word in words(fact.text) if len(word) >= _MIN_WORD_CHARS and stem(word) not in open_stems
    ]
    rare += [f"{value:g}" for value in sorted(numbers(fact.text) - numbers(known))]
    return (tuple(dict.fromkeys(rare))[:16],) if rare else ()


def _first_name(sheet: CharacterSheet) -> str:
    return re.split(r"\s", sheet.identity.name)[0]
