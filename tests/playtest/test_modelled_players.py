"""Players that the model plays: what each side hears, the same by the same seed, bounded, kept and gone on with."""

import asyncio
import dataclasses

import pytest

from npc_engine.client import AsyncClient
from npc_engine.playtest.players.modelled import TRAVELLER, model_talks
from npc_engine.playtest.players.public_view import public_view
from npc_engine.playtest.results import Head, open_results
from npc_engine.playtest.running import have_talks
from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheet
from tests.playtest.scene.cast import CastServer

FOLDER = shipped_sheets_dir()
HESTA, CORIN = (load_sheet(FOLDER / f"{name}.yaml") for name in ("hesta", "corin"))
VIEW = public_view(HESTA, sheets_dir=FOLDER)


def plan(*, seeds=(1,), turns=3, sheet=CORIN, view=VIEW):
    return model_talks(view, sheet, seeds=seeds, max_turns=turns)


def head(*sheets):
    return Head(schema="npc-engine/playtest@1", label="test", settings={}, sheets={one.id: one for one in sheets})


def had(address, talks, folder, *, at_once=2):
    async def run():
        async with AsyncClient(address) as client:
            return await have_talks(client, talks, results=open_results(folder, head(HESTA)), at_once=at_once)

    return asyncio.run(run())


@pytest.fixture
def server():
    with CastServer() as running:
        running.dialogue.answers = {"hesta": "Forty crowns.", "corin": "What is a sword?"}
        yield running


def of(server, character):
    return [one for one in server.dialogue.conversations if one.character.id == character]


def test_each_side_hears_the_other(server, tmp_path):
    (record,) = had(server.address, plan(), tmp_path)
    (player,), (asked,) = of(server, "corin"), of(server, "hesta")
    assert [line for line, _ in player.asked] == ["Hesta here.", "Forty crowns.", "Forty crowns."]
    assert [line for line, _ in asked.asked] == ["What is a sword?"] * 3
    assert [turn.line for turn in record.turns] == ["What is a sword?"] * 3
    assert (record.group, record.needs) == ("played by the model", 0)
    assert (player.player_name, list(player.actions)) == ("Hesta", [])
    # It has come for something, which anybody may ask.
    wishes = [text for text, _ in player.heard_events]
    assert len(set(wishes)) == 2
    assert all(text.removeprefix("I have come to ask Hesta: ") in {one.line for one in VIEW.known} for text in wishes)
    assert len({seed for one in (player, asked) for _, seed in one.asked}) == 6
    assert all(one.closed.is_set() for one in server.dialogue.conversations)


def test_a_talk_that_is_had_is_not_had_again(server, tmp_path):
    talks = plan(seeds=(1, 2))
    had(server.address, talks[:1], tmp_path)
    had(server.address, talks, tmp_path)
    assert len(of(server, "hesta")) == 2
    changed = CORIN.model_copy(update={"content_hash": "another"})
    assert plan(sheet=changed)[0].digest != plan()[0].digest
    assert len({talk.digest for talk in (*talks, *plan(turns=4))}) == 3


def test_a_player_that_is_refused_is_a_broken_talk(server, tmp_path):
    server.dialogue.answers["corin"] = "busy"
    (record,) = had(server.address, plan(), tmp_path)
    assert (record.error, record.turns) == ("NPC306: no room", ())


def test_a_server_without_the_sheet_is_a_broken_talk(server, tmp_path):
    (record,) = had(server.address, plan(sheet=load_sheet(TRAVELLER)), tmp_path)
    assert record.error.startswith("NPC301")
    assert all(one.closed.is_set() for one in server.dialogue.conversations)


def test_a_long_line_is_cut_after_a_word(server, tmp_path):
    server.dialogue.answers["corin"] = "what " * 100
    (record,) = had(server.address, plan(turns=1), tmp_path)
    assert len(record.turns[0].line) <= 300
    assert record.turns[0].line.endswith("what")


def test_who_has_nothing_to_ask_comes_for_nothing(server, tmp_path):
    had(server.address, plan(view=dataclasses.replace(VIEW, known=())), tmp_path)
    assert of(server, "corin")[0].heard_events == []


def test_the_same_seed_gives_the_same_talk(serving, sheet, babbler, tmp_path):
    other = sheet.model_copy(update={"id": "tobin"})
    view = public_view(sheet, sheets_dir=tmp_path)
    talks = model_talks(view, other, seeds=(1, 2), max_turns=3)
    with serving(sheet, other, model=babbler) as client:
        one = had(client.address, talks, tmp_path / "a", at_once=1)
        again = had(client.address, talks, tmp_path / "b", at_once=2)
    said = [[(turn.line, turn.reply) for turn in record.turns] for record in one]
    assert said == [[(turn.line, turn.reply) for turn in record.turns] for record in again]
    assert said[0] != said[1]
    assert [record.error for record in one] == [None, None]


def test_the_packages_player_loads_and_is_no_shipped_character():
    traveller = load_sheet(TRAVELLER)
    assert traveller.id == "traveller"
    assert not (FOLDER / "traveller.yaml").exists()
