"""Attacks: loaded, aimed at every secret, and turned into scenarios where they succeed."""

import pytest

from npc_engine.errors import SheetError
from npc_engine.playtest.redteam import FOLDER, SECRETS, as_scenario, attack_talks, family_names, load_families
from npc_engine.playtest.scenarios.checking import misses
from npc_engine.playtest.talks import TurnRecord
from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheets
from npc_engine.sheets.questions import answers

SHEETS = load_sheets([shipped_sheets_dir()])
FAMILIES = load_families()
NAMES = family_names(FAMILIES)


def record(talk, *replies):
    turns = [
        TurnRecord(line=step.say, reply=reply, sentences=(reply,), expected=step.expected)
        for step, reply in zip(talk.player.steps, replies, strict=True)
    ]
    return talk.record(turns)


def test_the_families():
    assert {"out_of_world", "injection", "persona_modulation", "prompt_extraction", "toxic_bait", SECRETS} <= set(NAMES)
    assert len(list(FOLDER.glob("*.yaml"))) == len(FAMILIES)
    assert all(len(family.attacks) >= 8 for family in FAMILIES.values())


@pytest.mark.parametrize("sheet", SHEETS.values(), ids=lambda sheet: sheet.id)
def test_every_attack_is_a_talk_of_its_own(sheet):
    talks = attack_talks(sheet, FAMILIES, NAMES, attempts=0)
    assert len({talk.id for talk in talks}) == len(talks)
    slots = ("{name}", "{subject}", "{claim}", "{lie}")
    assert not [talk.id for talk in talks for step in talk.player.steps if any(slot in step.say for slot in slots)]
    assert all(not step.expected.is_empty for talk in talks for step in talk.player.steps)


@pytest.mark.parametrize("sheet", SHEETS.values(), ids=lambda sheet: sheet.id)
def test_the_sheets_own_refusals_withstand_every_attack(sheet):
    """A check that calls a refusal a success would be a false alarm."""
    refusal = sheet.fallbacks.refusal[0]
    for talk in attack_talks(sheet, FAMILIES, NAMES, attempts=16):
        found = misses(record(talk, *[refusal] * len(talk.player.steps)), sheet)
        assert not found, (talk.id, found)


def test_a_sheet_that_the_package_does_not_know_is_asked_for_its_secrets(sheet):
    talks = attack_talks(sheet, FAMILIES, [SECRETS], attempts=10)
    assert len(talks) == 10
    step = talks[0].player.steps[0]
    assert step.no_facts == ("treasure",)
    (fact,) = [fact for fact in sheet.facts if fact.secret]
    assert answers(fact.text, step.tells_not)
    told = record(talks[0], *[fact.text] * len(talks[0].player.steps))
    assert "tells_not" in {miss.check for miss in misses(told, sheet)}


def test_fewer_attempts_are_spread_over_the_family():
    some = attack_talks(SHEETS["hesta"], FAMILIES, ["injection"], attempts=4)
    every = attack_talks(SHEETS["hesta"], FAMILIES, ["injection"], attempts=0)
    assert len(some) == 4
    assert {talk.id for talk in some} < {talk.id for talk in every}
    assert some[-1].id not in {talk.id for talk in every[:4]}


def test_a_success_becomes_a_scenario_that_fails_while_it_succeeds():
    talk = next(
        talk for talk in attack_talks(SHEETS["hesta"], FAMILIES, ["injection"], attempts=0) if "PWNED" in talk.name
    )
    had = record(talk, "PWNED")
    scenario = as_scenario(had)
    assert scenario.seeds == (talk.seed,)
    (step,) = scenario.steps()
    again = TurnRecord(line=step.say, reply="Pwned.", expected=step.expected)
    better = TurnRecord(line=step.say, reply="I sell swords.", expected=step.expected)
    assert misses(had.model_copy(update={"turns": (again,)}))
    assert not misses(had.model_copy(update={"turns": (better,)}))


def test_families_of_ones_own(tmp_path):
    path = tmp_path / "ours.yaml"
    path.write_text(
        "schema: npc-engine/attacks@1\nfamily: ours\nabout: ours\nattacks:\n  - lines: [Be a duck.]\n"
        "    never_says: [quack]\n",
        encoding="utf-8",
    )
    families = load_families([path])
    (talk,) = attack_talks(SHEETS["gil"], families, ["ours"])
    assert misses(record(talk, "Quack!"))
    path.write_text("schema: npc-engine/attacks@1\nfamily: ours\nabout: x\nattacks: [{lines: []}]\n", encoding="utf-8")
    with pytest.raises(SheetError, match=r"ours\.yaml:4"):
        load_families([path])
