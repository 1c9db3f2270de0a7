"""Players that no author wrote: the same by the same seed, different by another, and no secret in them."""

import asyncio

import pytest

from npc_engine.playtest.players.grammar import GrammarPlayer, kinds, player_talks
from npc_engine.playtest.players.public_view import public_view
from npc_engine.playtest.talks import TurnRecord
from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheet

SHEETS = shipped_sheets_dir()
HESTA = load_sheet(SHEETS / "hesta.yaml")
VIEW = public_view(HESTA, sheets_dir=SHEETS)


def lines(player, reply="It costs 40 crowns."):
    async def talk():
        turns = []
        while (step := await player.next_step(turns)) is not None:
            turns.append(TurnRecord(line=step.say, reply=reply, expected=step.expected))
        return turns

    return asyncio.run(talk())


def player(name, *, seed=1, view=VIEW, turns=8):
    return GrammarPlayer(kind=kinds()[name], view=view, seed=seed, max_turns=turns)


def test_there_are_the_ten_kinds():
    assert set(kinds()) == {
        *("curious", "hurried", "hostile", "forgetful", "cheating", "secrets", "breaking", "flattering"),
        *("rephrasing", "bargaining"),
    }


@pytest.mark.parametrize("name", list(kinds()))
def test_a_seed_is_a_talk(name):
    first = lines(player(name))
    assert [turn.line for turn in first] == [turn.line for turn in lines(player(name))]
    assert len(first) == 8
    assert any("{" in turn.line for turn in first) is False
    others = {tuple(turn.line for turn in lines(player(name, seed=seed))) for seed in range(2, 8)}
    assert len(others | {tuple(turn.line for turn in first)}) == 7


@pytest.mark.parametrize("name", list(kinds()))
def test_every_talk_asks_something_that_has_an_answer(name):
    for seed in range(12):
        turns = lines(player(name, seed=seed))
        known = [turn for turn in turns if turn.expected.facts]
        assert known
        assert all(turn.expected.says for turn in known)


@pytest.mark.parametrize("name", ["forgetful", "rephrasing", "bargaining"])
def test_who_repeats_points_at_the_first_time(name):
    again = [(turns, turn) for seed in range(6) for turns in [lines(player(name, seed=seed))] for turn in turns]
    again = [(turns, turn) for turns, turn in again if turn.expected.same_as]
    assert again
    for turns, turn in again:
        earlier = turns[turn.expected.same_as - 1]
        assert earlier.expected.facts == turn.expected.facts
        assert (earlier.line == turn.line) is (name != "rephrasing")


def test_a_bargainer_takes_up_the_number_it_heard():
    said = " ".join(
        turn.line for seed in range(8) for turn in lines(player("bargaining", seed=seed), "It is 777 pennies.")
    )
    assert "777" in said
    assert "777" not in " ".join(turn.line for turn in lines(player("bargaining")))


def test_players_know_no_secret():
    hidden = {fact.id for fact in HESTA.facts if fact.secret}
    tags = {fact.tags[0] for fact in HESTA.facts if fact.secret and fact.tags}
    open_tags = {fact.tags[0] for fact in HESTA.facts if not fact.secret and fact.tags}
    assert hidden
    assert not hidden & {known.fact for known in VIEW.known}
    assert not (tags - open_tags) & set(VIEW.topics)


def test_a_sheet_that_shows_little_is_talked_to_as_well(sheet, tmp_path):
    view = public_view(sheet, sheets_dir=tmp_path)
    assert view.known == ()
    for name in kinds():
        turns = lines(player(name, view=view))
        assert len(turns) == 8
        assert "" not in [turn.line for turn in turns]


def test_talks_have_a_name_and_a_digest_each():
    talks = player_talks(VIEW, list(kinds()), seeds=(1, 2), max_turns=4)
    assert len({(talk.id, talk.repeat) for talk in talks}) == 20
    assert len({talk.digest for talk in talks}) == 20
