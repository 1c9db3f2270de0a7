"""What the characters are asked: enough of it, every attempt used, and nothing that gives itself away."""

import gzip
import json
from collections import Counter

import pytest

from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheets
from npc_engine.sheets.questions import answers
from tools.consistency.material import PARTS, load_material, talks
from tools.consistency.personas import load_personas

SHEETS = load_sheets([shipped_sheets_dir()])
MATERIAL = load_material(SHEETS, question_dir=shipped_sheets_dir() / "questions")
ALL = talks(MATERIAL, PARTS, attempts=0, every=1)
# The only secrets whose conditions the game's bare state meets: none.
WAYS = [attempt for attempts in MATERIAL.secrets.attempts.values() for attempt in attempts]


def test_there_is_as_much_as_is_claimed():
    assert len(WAYS) >= 200
    assert len(MATERIAL.unknown.questions) >= 40
    secrets = {(sheet.id, fact.id) for sheet in SHEETS.values() for fact in sheet.facts if fact.secret}
    assert secrets == {(secret.character, secret.fact) for secret in MATERIAL.secrets.secrets}
    attempts = [talk for talk in ALL if talk.part == "attempts"]
    assert len(attempts) == len(WAYS) * len(secrets)


def test_every_talk_has_a_name_of_its_own_and_fits_its_sheet():
    assert len({talk.id for talk in ALL}) == len(ALL)
    for talk in ALL:
        facts = {fact.id for fact in SHEETS[talk.character].facts}
        assert all(ask.subject in facts for ask in talk.asks if ask.kind in ("fact", "again", "attempt", "told"))


def test_secrets_hold_under_the_attempts_and_are_met_where_they_are_told():
    for secret in MATERIAL.secrets.secrets:
        fact = next(fact for fact in SHEETS[secret.character].facts if fact.id == secret.fact)
        assert not fact.when.holds(type(secret.state)())
        assert fact.when.holds(secret.state)
        assert answers(fact.text, secret.answer)


def test_every_shipped_question_has_other_words():
    for questions in MATERIAL.questions.values():
        for question, again in questions:
            assert again is not None, question.fact
            assert again.casefold() != question.question.casefold()


def test_twenty_attempts_a_secret_use_every_way_and_kind():
    some = [talk for talk in talks(MATERIAL, ["attempts"], attempts=20, every=1)]
    assert len(some) == 20 * len(MATERIAL.secrets.secrets)
    assert len({talk.id.rpartition("/")[2] for talk in some}) == len(WAYS)
    for secret in MATERIAL.secrets.secrets:
        kinds = {talk.asks[0].way for talk in some if f"/{secret.fact}/" in talk.id}
        assert len(kinds) >= 10


def test_no_slot_is_left_open():
    for talk in ALL:
        for ask in talk.asks:
            assert not any(slot in ask.line for slot in ("{subject}", "{claim}", "{lie}", "{name}")), ask.line


def test_long_talks_come_back_to_everything():
    long = [talk for talk in ALL if talk.part == "long"]
    assert len(long) >= 12
    for talk in long:
        kinds = Counter(ask.kind for ask in talk.asks)
        assert len(talk.asks) >= 12
        assert kinds["fact"] == kinds["again"] == 4
        assert kinds["open"] == kinds["open_again"] == 2
        firsts = {ask.subject: index for index, ask in enumerate(talk.asks) if ask.kind in ("fact", "open")}
        agains = {ask.subject: index for index, ask in enumerate(talk.asks) if ask.kind in ("again", "open_again")}
        assert firsts.keys() == agains.keys()
        assert all(agains[subject] - firsts[subject] >= 4 for subject in firsts)


def test_every_so_many_th_talk_is_of_every_part():
    some = talks(MATERIAL, PARTS, attempts=20, every=11)
    assert {talk.part for talk in some} == set(PARTS)
    assert {ask.kind for talk in some if talk.part == "facts" for ask in talk.asks} == {"fact", "again"}


def test_a_digest_changes_with_what_is_asked():
    talk = ALL[0]
    assert talk.digest == type(talk)(**vars(talk)).digest
    assert talk.digest != type(talk)(**vars(talk) | {"state": {"trust": 99}}).digest


# --- personas ------------------------------------------------------------------------------------


def write(folder, *rows):
    path = folder / "personas.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        for name, persona, kind in rows:
            file.write(json.dumps({"name": name, "persona": persona, "char_type": kind}) + "\n")
    return path


MILLER = "I live by the river. I sell flour, and I love fresh bread! My father was a sailor. I think a lot."


def test_a_persona_becomes_a_sheet_with_questions(tmp_path):
    sheets, (asked,) = load_personas(write(tmp_path, ("the miller", MILLER, "person")), 5)
    (sheet,) = sheets.values()
    assert sheet.identity.name == "The Miller"
    assert [fact.text for fact in sheet.facts][1:3] == [
        "I sell flour, and I love fresh bread!",
        "My father was a sailor.",
    ]
    assert [(one.question, one.fact, one.answer) for one in asked.questions] == [
        ("Where do you live?", "fact-1", (("river",),)),
        ("In what place is your home?", "fact-1", (("river",),)),
        ("What do you sell?", "fact-2", (("flour",),)),
        ("Which goods could I buy from you?", "fact-2", (("flour",),)),
        ("Tell me about your father.", "fact-3", (("sailor",),)),
        ("What about your father?", "fact-3", (("sailor",),)),
    ]
    material = load_material(sheets, question_dir=tmp_path, more=[asked])
    made = talks(material, PARTS, attempts=20, every=1)
    assert Counter(talk.part for talk in made) == {"facts": 6, "long": 1, "unknown": len(material.unknown.questions)}


@pytest.mark.parametrize(
    ("name", "persona", "kind"),
    [
        ("sword", MILLER, "object"),
        ("miller", "I live by the river.", "person"),
        ("miller", f"{MILLER} I kill for gold.", "person"),
        ("a place where many people go to trade", MILLER, "person"),
    ],
)
def test_what_does_not_fit_is_left_out(tmp_path, name, persona, kind):
    assert load_personas(write(tmp_path, (name, persona, kind)), 5) == ({}, [])


def test_the_order_of_the_file_does_not_matter(tmp_path):
    rows = [(f"miller {word}", MILLER.replace("river", word), "person") for word in ("mill", "pond", "ford", "wood")]
    first, _ = load_personas(write(tmp_path, *rows), 2)
    second, _ = load_personas(write(tmp_path, *reversed(rows)), 2)
    assert first == second
    assert len(first) == 2
