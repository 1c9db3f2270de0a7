"""`npc-engine sheet expand` and `sheet personality`, run with a tiny model; real answers are `-m model`."""

import json

import pytest

from npc_engine.sheets.loader import load_sheet
from npc_engine.sheets.personality.inventory import TRAITS

pytestmark = pytest.mark.usefixtures("stubs")


def test_expand_asks_somebody_or_nobody(mara_file, command):
    before = mara_file.read_bytes()
    code, _, err = command("sheet", "expand", mara_file)
    assert (code, "NPC122" in err, mara_file.read_bytes()) == (1, True, before)


def test_expand_takes_only_what_is_not_refused(mara_file, command):
    before = load_sheet(mara_file)
    code, out, _ = command("sheet", "expand", mara_file, "--dimension", "goals", "--each", "2", "--yes", "--json")
    document = json.loads(out)
    after = load_sheet(mara_file)
    taken = [one["taken"] for one in document["proposals"] if one["taken"]]
    assert (code, document["model"]) == (0, "stub")
    assert all(one["dimension"] == "goals" for one in document["proposals"])
    assert all(bool(one["taken"]) != bool(one["refused"]) for one in document["proposals"])
    assert [fact.text for fact in after.facts[len(before.facts) :]] == taken
    assert document["file"] == (str(mara_file) if taken else None)


def test_a_dry_run_changes_nothing_and_a_seed_repeats(mara_file, command):
    before = mara_file.read_bytes()
    runs = [command("sheet", "expand", mara_file, "--each", "2", "--seed", "7", "--dry-run")[1] for _ in range(2)]
    assert runs[0] == runs[1]
    assert runs[0].splitlines()[-2 if "note" in runs[0] else -1].endswith("0 taken")
    assert mara_file.read_bytes() == before


def test_an_unknown_dimension(mara_file, command):
    code, _, err = command("sheet", "expand", mara_file, "--dimension", "colour", "--yes")
    assert (code, "characteristics" in err) == (2, True)


def test_personality_compares_with_what_the_sheet_has(mara_file, command):
    code, out, _ = command("sheet", "personality", mara_file, "--json")
    bare = json.loads(out)
    assert (code, bare["sheet"], bare["mean_absolute_error"]) == (0, {}, None)
    assert set(bare["measured"]) == set(TRAITS)
    assert len(bare["answers"]) == 44
    assert all(1 <= one["answer"] <= 5 for one in bare["answers"])
    text = mara_file.read_text(encoding="utf-8")
    mara_file.write_text(text.replace("facts:\n", "personality: {mbti: ISTJ}\nfacts:\n", 1), encoding="utf-8")
    labelled = command("sheet", "personality", mara_file)[1].splitlines()
    assert labelled[0].endswith("compared with personality.mbti (ISTJ)")
    assert [line.split()[:2] for line in labelled[2:7]] == [
        ["openness", "0.28"],
        ["conscientiousness", "0.65"],
        ["extraversion", "0.28"],
        ["agreeableness", "0.36"],
        ["neuroticism", "-"],
    ]
    assert "over 4" in labelled[7]
    mara_file.write_text(
        text.replace("facts:\n", "personality: {big_five: {openness: 0.9}, mbti: ISTJ}\nfacts:\n", 1), encoding="utf-8"
    )
    scored = command("sheet", "personality", mara_file)[1]
    assert "compared with personality.big_five" in scored
