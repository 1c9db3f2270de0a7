"""Additions to a sheet's file: everything else stays as it was."""

import pytest

from npc_engine.sheets.adding import Addition, NewFact, NewPerson, fact_id, with_additions
from npc_engine.sheets.loader import load_sheet
from npc_engine.sheets.templates import template_names, template_path
from npc_engine.sheets.writing import rewrite


def added(path, addition):
    text = with_additions(path, addition, section="extracted", comment="From the texts")
    rewrite({path: text}, load_sheet)
    return load_sheet(path)


@pytest.fixture(params=template_names())
def path(request, tmp_path):
    path = tmp_path / f"{request.param}.yaml"
    path.write_text(template_path(request.param).read_text(encoding="utf-8"), encoding="utf-8")
    return path


def test_new_facts_stand_behind_the_others(path):
    before, text = load_sheet(path), path.read_text(encoding="utf-8")
    addition = Addition(
        facts=[
            NewFact(id="new-1", text="I fish: often, and well."),
            NewFact(id="new-2", text="I'm old.", tags=("age",)),
        ],
        people=[NewPerson(name="Anna Reed", kind="friend", attitude="She keeps bees.")],
        marks={"facts": {"new-1": "text.txt:3, characters 1-9"}},
    )
    after = added(path, addition)
    assert after.facts[: len(before.facts)] == before.facts
    assert [(fact.text, fact.tags) for fact in after.facts[len(before.facts) :]] == [
        ("I fish: often, and well.", ()),
        ("I'm old.", ("age",)),
    ]
    assert after.relationships[-1].name == "Anna Reed"
    assert after.extensions["extracted"] == {"facts": {"new-1": "text.txt:3, characters 1-9"}}
    now = path.read_text(encoding="utf-8")
    assert [line for line in now.splitlines() if line.lstrip().startswith("#") and line in text.splitlines()] == [
        line for line in text.splitlines() if line.lstrip().startswith("#")
    ]
    assert "  # From the texts\n  - id: new-1\n" in now


def test_a_changed_fact_keeps_its_place_and_id(path):
    before = load_sheet(path)
    changed = before.facts[0]
    after = added(path, Addition(facts=[], changed={changed.id: "I say something else."}))
    assert after.facts[0] == changed.model_copy(update={"text": "I say something else."})
    assert after.facts[1:] == before.facts[1:]
    assert after.extensions == before.extensions


def test_people_that_are_there_stay(path):
    before = load_sheet(path)
    if not before.relationships:
        return
    name = before.relationships[0].name
    after = added(path, Addition(facts=[], people=[NewPerson(name=name, kind="enemy", attitude="No.")]))
    assert after.relationships == before.relationships


def test_ids_are_made_of_words_that_say_something():
    taken = {"ferry-house-harrow-ford"}
    assert fact_id("I live in the ferry house at Harrow Ford.", taken) == "live-ferry-house-harrow"
    assert fact_id("I live in the ferry house at Harrow.", taken) == "live-ferry-house-harrow-2"
    assert fact_id("I am.", taken) == "character"
    assert {"live-ferry-house-harrow", "live-ferry-house-harrow-2", "character"} < taken
