"""Scenes that nobody wrote: drawn by seed, answerable by one alone, had over a socket, kept and gone on with."""

import asyncio
import dataclasses

import pytest

from npc_engine.client import AsyncClient
from npc_engine.errors import ConnectionLost
from npc_engine.playtest.players.public_view import public_view
from npc_engine.playtest.results import Head, open_results, read_results
from npc_engine.playtest.running import have_talks
from npc_engine.playtest.scene.addressing import address
from npc_engine.playtest.scene.plan import scene_talks, sheet_text
from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheet
from npc_engine.sheets.questions import answers
from tests.playtest.scene.cast import CastServer

FOLDER = shipped_sheets_dir()
NAMES = ("hesta", "corin", "nell", "sunniva")
SHEETS = {name: load_sheet(FOLDER / f"{name}.yaml") for name in NAMES}
VIEWS = [public_view(sheet, sheets_dir=FOLDER) for sheet in SHEETS.values()]
HERE = [view for view in VIEWS if view.character != "sunniva"]


def plan(seeds=(1,), scenes=3, views=HERE):
    return scene_talks(SHEETS, views, seeds=seeds, scenes=scenes)


def test_a_seed_is_a_plan():
    assert [talk.digest for talk in plan()] == [talk.digest for talk in plan()]
    assert [talk.digest for talk in plan((2,))] != [talk.digest for talk in plan()]
    talks = plan((1, 2, 3), scenes=15)
    assert len({(talk.id, talk.repeat) for talk in talks}) == len(talks)
    assert any(talk.repeat for talk in talks)


def test_each_has_its_scenes_and_partners_take_turns():
    talks = plan(scenes=4)
    assert [talk.character for talk in talks] == [name for name in ("hesta", "corin", "nell") for _ in range(4)]
    partners = [talk.others[0] for talk in talks if talk.character == "hesta"]
    assert sorted(partners) == ["corin", "corin", "nell", "nell"]
    assert all(talk.needs == 0 for talk in talks)


def test_the_second_one_knows_no_answer_and_every_line_calls_who_is_meant():
    for talk in plan(range(4), scenes=20):
        told, *rest = talk.player.steps
        assert not answers(sheet_text(SHEETS[talk.character]), told.says)
        names = {one: SHEETS[one].identity.name for one in talk.cast}
        assert address(told.say, names).members == talk.others
        for step in rest:
            found = address(step.say, names, last=talk.others[0])
            assert (found.how, found.members) == ("named", (talk.character,))


def test_partners_are_of_one_world_where_there_are_any():
    talks = plan(scenes=30, views=VIEWS)
    assert {talk.others[0] for talk in talks if talk.character == "hesta"} == {"corin", "nell"}
    # She has nobody of her own world here.
    assert {talk.others[0] for talk in talks if talk.character == "sunniva"} == {"hesta", "corin", "nell"}


def test_without_questions_there_is_nothing_to_ask():
    views = [dataclasses.replace(view, known=()) for view in HERE]
    assert plan(views=views) == []


@pytest.fixture
def server():
    with CastServer() as running:
        running.dialogue.answers = {"hesta": "Forty.", "corin": "I am Hesta.", "nell": "Oak."}
        yield running


def head():
    return Head(schema="npc-engine/playtest@1", label="test", settings={}, sheets=SHEETS)


def had(server, talks, results, **options):
    async def run():
        async with AsyncClient(server.address) as client:
            return await have_talks(client, talks, results=results, at_once=3, **options)

    return asyncio.run(run())


def test_scenes_are_had_and_kept(server, tmp_path):
    talks = plan(scenes=2)
    results = open_results(tmp_path, head())
    records = had(server, talks, results)
    assert [[turn.speaker for turn in one.turns] for one in records] == [
        [talk.others[0], *[talk.character] * 3] for talk in talks
    ]
    assert [turn.probe for turn in records[0].turns] == ["told", "conformity", "impersonation", "hearsay"]
    assert records[0].turns[0].expected.says
    assert records[0].others == talks[0].others
    assert read_results(tmp_path).records == results.records
    assert all(one.closed.is_set() for one in server.dialogue.conversations)
    # The second one has heard the question and the answer before it is asked.
    tested = next(one for one in server.dialogue.conversations if len(one.asked) == 3)
    assert any("tell me" in text for text, _ in tested.heard_events)
    assert len(had(server, talks, open_results(tmp_path, head()))) == len(talks)


def test_one_that_is_refused_is_a_broken_talk_and_had_again(server, tmp_path):
    server.dialogue.answers["corin"] = "busy"
    talks = [talk for talk in plan(scenes=1) if "corin" in talk.cast]
    results = open_results(tmp_path, head())
    records = had(server, talks, results)
    assert {one.error for one in records} == {"NPC306: no room"}
    assert results.kept(talks) == {}


def test_a_server_that_dies_leaves_what_was_finished(server, tmp_path):
    results = open_results(tmp_path, head())

    def die(pace):
        if results.records:
            server.stop()

    with pytest.raises(ConnectionLost):
        had(server, plan(range(8), scenes=6), results, on_pace=die)
    assert read_results(tmp_path).records
