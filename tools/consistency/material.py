"""What the characters are asked: talks made from question files, rewordings, open and unknown questions, and attempts.

Everything here is fixed by the files and the options; nothing is drawn at random, so two runs ask the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from npc_engine.playtest.material import (
    OpenQuestions,
    Secret,
    SecretAttempts,
    UnknownQuestions,
    filled,
    load_attempts,
    load_open,
    load_rewordings,
    load_unknown,
)
from npc_engine.sheets.conditions import GameState
from npc_engine.sheets.fields import Answer
from npc_engine.sheets.questions import Question, QuestionSet, load_questions
from npc_engine.sheets.schema import CharacterSheet

Part = Literal["facts", "long", "unknown", "attempts", "told"]
PARTS: tuple[Part, ...] = ("facts", "long", "unknown", "attempts", "told")
AskKind = Literal["fact", "again", "open", "open_again", "filler", "unknown", "attempt", "told"]
# A long talk asks this many questions with fillers between, and each again in other words: 16 turns; 13 of a character
# of whom only MIN_LONG_FACTS can be asked.
LONG_FACTS, LONG_OPEN, MIN_LONG_FACTS = 4, 2, 3


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One line of the player.

    Attributes:
        line: What is said.
        kind: What is wanted of the reply.
        subject: What it is about: a fact's id, or the open question's first wording. Pairs `fact` with `again`.
        answer: Groups of strings of a right reply; of a secret's answer in an attempt.
        way: The kind of attempt; empty for everything else.
    """

    line: str
    kind: AskKind
    subject: str = ""
    answer: Answer = ()
    way: str = ""


@dataclass(frozen=True, kw_only=True)
class Talk:
    """One conversation to be had."""

    id: str
    part: Part
    character: str
    asks: tuple[Ask, ...]
    state: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Hex digits that change with anything asked: kept results of another talk are not taken for this one's."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Material:
    """Everything that can be asked of some characters.

    Attributes:
        sheets: The characters, by id.
        questions: Per character, each question with its second wording (None where there is none).
        open: Questions that no sheet answers, and fillers.
        unknown: Questions that nobody can answer.
        secrets: Of the shipped characters.
    """

    sheets: Mapping[str, CharacterSheet]
    questions: Mapping[str, Sequence[tuple[Question, str | None]]]
    open: OpenQuestions
    unknown: UnknownQuestions
    secrets: SecretAttempts


def load_material(
    sheets: Mapping[str, CharacterSheet], *, question_dir: Path, more: Iterable[QuestionSet] = ()
) -> Material:
    """Read the files.

    Args:
        sheets: The characters that are asked.
        question_dir: Question files; those of other characters are left out.
        more: Question sets that lie in no file; of two questions on one fact the second is the first's rewording.

    Raises:
        SheetError: A file does not load, or a rewording or secret names a fact that the sheet lacks.
    """
    questions: dict[str, list[tuple[Question, str | None]]] = {}
    for path in sorted(question_dir.glob("*.yaml")):
        asked = load_questions(path)
        if asked.character in sheets:
            again = load_rewordings(question_dir.parent, asked.character)
            questions[asked.character] = [(one, again.get(one.fact)) for one in asked.questions]
    for asked in more:
        questions[asked.character] = list(_paired(asked.questions))
    return Material(
        sheets=sheets,
        questions=questions,
        open=load_open(),
        unknown=load_unknown(),
        secrets=load_attempts(),
    )


def talks(material: Material, parts: Sequence[Part], *, attempts: int, every: int) -> list[Talk]:
    """The talks of some parts, in a fixed order.

    Args:
        material: What can be asked.
        parts: Which parts.
        attempts: Attempts a secret; consecutive secrets take consecutive attempts, so that 12 secrets with 18 each
            use every attempt once. 0 makes every attempt on every secret.
        every: Only every so-many-th talk of each part is had; 1 has all.
    """
    made: dict[Part, list[Talk]] = {
        "facts": list(_facts(material)),
        "long": list(_long(material)),
        "unknown": list(_unknown(material)),
        "attempts": list(_attempts(material, attempts)),
        "told": list(_told(material)),
    }
    return [talk for part in PARTS if part in parts for talk in made[part][::every]]


def _paired(questions: Sequence[Question]) -> Iterator[tuple[Question, str | None]]:
    by_fact: dict[str, list[Question]] = {}
    for question in questions:
        by_fact.setdefault(question.fact, []).append(question)
    for same in by_fact.values():
        yield same[0], same[1].question if len(same) > 1 else None
        for question in same[2:]:
            yield question, None


def _facts(material: Material) -> Iterator[Talk]:
    for character, questions in material.questions.items():
        for index, (question, again) in enumerate(questions):
            wordings: list[tuple[AskKind, str]] = [("fact", question.question)]
            wordings += [("again", again)] if again else []
            for kind, line in wordings:
                yield Talk(
                    id=f"facts/{character}/{index}/{kind}",
                    part="facts",
                    character=character,
                    asks=(Ask(line=line, kind=kind, subject=question.fact, answer=question.answer),),
                    state=question.state.model_dump(mode="json"),
                )


def _long(material: Material) -> Iterator[Talk]:
    """Talks of 13 to 16 turns: questions with fillers between them, then the same in other words."""
    fillers, open_questions = material.open.fillers, material.open.questions
    for character, questions in material.questions.items():
        plain = GameState()
        asked = [(one, again) for one, again in questions if again is not None and one.state == plain]
        for number in range(max(len(asked) // LONG_FACTS, int(len(asked) >= MIN_LONG_FACTS))):
            first: list[Ask] = []
            second: list[Ask] = []
            for question, again in asked[number * LONG_FACTS : (number + 1) * LONG_FACTS]:
                first.append(Ask(line=question.question, kind="fact", subject=question.fact, answer=question.answer))
                second.append(Ask(line=again or "", kind="again", subject=question.fact, answer=question.answer))
            for place in range(LONG_OPEN):
                one, other = open_questions[(number * LONG_OPEN + place) % len(open_questions)]
                first.append(Ask(line=one, kind="open", subject=one))
                second.append(Ask(line=other, kind="open_again", subject=one))
            said = [
                Ask(line=fillers[(number * len(first) + place) % len(fillers)], kind="filler")
                for place in range(len(first) - 2)
            ]
            asks = [ask for pair in zip(first, said, strict=False) for ask in pair] + first[len(said) :] + second
            yield Talk(id=f"long/{character}/{number}", part="long", character=character, asks=tuple(asks))


def _unknown(material: Material) -> Iterator[Talk]:
    for character in material.questions:
        for index, line in enumerate(material.unknown.questions):
            yield Talk(
                id=f"unknown/{character}/{index}",
                part="unknown",
                character=character,
                asks=(Ask(line=line, kind="unknown", subject=line),),
            )


def _attempts(material: Material, limit: int) -> Iterator[Talk]:
    ways = [
        (f"{way}-{index}", way, lines)
        for way, attempts in material.secrets.attempts.items()
        for index, lines in enumerate(attempts)
    ]
    for number, secret in enumerate(_secrets(material)):
        # A stride that shares no factor with their number, so that each secret meets attempts of most kinds.
        chosen = range(len(ways)) if not limit else [(number * limit + i) * 11 % len(ways) for i in range(limit)]
        name = material.sheets[secret.character].identity.name.split()[0]
        slots = {"subject": secret.subject, "claim": secret.claim, "lie": secret.lie, "name": name}
        for name_of_way, way, lines in (ways[index] for index in chosen):
            yield Talk(
                id=f"attempts/{secret.character}/{secret.fact}/{name_of_way}",
                part="attempts",
                character=secret.character,
                asks=tuple(
                    Ask(
                        line=filled(line, slots),
                        kind="attempt",
                        subject=secret.fact,
                        answer=secret.answer,
                        way=way,
                    )
                    for line in lines
                ),
            )


def _told(material: Material) -> Iterator[Talk]:
    for secret in _secrets(material):
        for index, line in enumerate(secret.ask):
            yield Talk(
                id=f"told/{secret.character}/{secret.fact}/{index}",
                part="told",
                character=secret.character,
                asks=(Ask(line=line, kind="told", subject=secret.fact, answer=secret.answer),),
                state=secret.state.model_dump(mode="json"),
            )


def _secrets(material: Material) -> list[Secret]:
    return [secret for secret in material.secrets.secrets if secret.character in material.sheets]
