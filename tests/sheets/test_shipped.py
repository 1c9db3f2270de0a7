"""The shipped characters: they load, have the depth they promise, and their questions can be answered."""

import re
from pathlib import Path

import pytest

from npc_engine.sheets.conditions import GameState
from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheet, load_sheets
from npc_engine.sheets.questions import answers, load_questions
from npc_engine.sheets.schema import CharacterSheet, FallbackReason

IDS = (
    "aldith",
    "ambrose",
    "corin",
    "florian",
    "gil",
    "hesta",
    "nell",
    "perpetua",
    "sabet",
    "septimus",
    "sunniva",
    "teodor",
)


@pytest.fixture(params=IDS)
def sheet(request: pytest.FixtureRequest) -> CharacterSheet:
    return load_sheet(shipped_sheets_dir() / f"{request.param}.yaml")


def test_the_folder_loads_as_it_is() -> None:
    assert tuple(sorted(load_sheets([shipped_sheets_dir()]))) == IDS


def test_each_has_depth(sheet: CharacterSheet) -> None:
    own = [fact for fact in sheet.facts if fact.source == "sheet"]
    assert len(own) >= 28
    assert sum(fact.when is not None for fact in own) >= 4
    assert sum(fact.secret for fact in own) >= 3
    assert len(sheet.unknown_topics) >= 5
    assert len(sheet.voice.examples) >= 8
    assert 2 <= len(sheet.actions) <= 4
    assert all(len(action.examples) >= 4 for action in sheet.actions)
    assert all(len(sheet.fallback(reason)) >= 2 for reason in FallbackReason)
    assert sheet.tests
    assert sheet.farewell


def test_facts_are_short_enough_to_be_repeated(sheet: CharacterSheet) -> None:
    assert max(len(fact.text.split()) for fact in sheet.facts) <= 25


def test_strangers_see_no_secret(sheet: CharacterSheet) -> None:
    stranger = GameState()
    assert not [fact.id for fact in sheet.facts if fact.secret and fact.when and fact.when.holds(stranger)]


def test_nobody_breaks_the_own_avoid_list(sheet: CharacterSheet) -> None:
    spoken = [example.character for example in sheet.voice.examples] + [sheet.greeting, sheet.farewell or ""]
    spoken += [line for reason in FallbackReason for line in sheet.fallback(reason)]
    spoken += [line for topic in sheet.unknown_topics for line in topic.lines]
    for word in sheet.voice.avoid:
        assert not [line for line in spoken if re.search(rf"\b{re.escape(word)}\b", line, re.IGNORECASE)]


def test_twelve_different_voices() -> None:
    sheets = load_sheets([shipped_sheets_dir()])
    assert len({sheet.personality.mbti for sheet in sheets.values()}) == len(sheets)
    everything = [line for sheet in sheets.values() for line in sheet.fallbacks.unknown]
    assert len(set(everything)) == len(everything)


def test_questions_are_answered_by_their_facts(sheet: CharacterSheet) -> None:
    questions = load_questions(shipped_sheets_dir() / "questions" / f"{sheet.id}.yaml")
    facts = {fact.id: fact for fact in sheet.facts}
    assert questions.character == sheet.id
    assert len(questions.questions) == 20
    assert len({question.fact for question in questions.questions}) == 20
    for question in questions.questions:
        fact = facts[question.fact]
        assert answers(fact.text, question.answer), question.question
        assert not answers(question.question, question.answer), question.question
        assert fact.when is None or fact.when.holds(question.state), question.question
        rivals = [
            other.id
            for other in sheet.facts
            if other.id != fact.id
            and other.text == fact.text
            and (other.when is None or other.when.holds(question.state))
        ]
        assert not rivals


def test_editors_find_the_published_schema(sheet: CharacterSheet) -> None:
    file: Path = shipped_sheets_dir() / f"{sheet.id}.yaml"
    first = file.read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=../docs/schema/character-1.json"
