"""Talks over a real socket: had side by side, kept, gone on with; a server that dies, a disk that is full."""

import asyncio
import json
import os

import pytest

from npc_engine.client.asynchronous import AsyncClient
from npc_engine.config import EngineConfig
from npc_engine.dialogue.engine import build_dialogue
from npc_engine.errors import ConnectionLost, ReportNotWritten, ResultsUnusable
from npc_engine.playtest.results import Head, open_results, read_results
from npc_engine.playtest.running import Pace, have_talks
from npc_engine.playtest.scenarios.schema import Scenario
from npc_engine.playtest.seeds import turn_seed
from npc_engine.playtest.talks import scenario_talks
from npc_engine.server.background import BackgroundServer
from npc_engine.sheets.schema import CharacterSheet
from tests.talk import CALL_RING, RING, SETTINGS

LINES = (["What does a sword cost?"], ["Where do you live?", "Did a dragon come by?"], ["Hello.", "And you?", "Well."])


def head(sheet, **settings):
    return Head(schema="npc-engine/playtest@1", label="test", settings=settings, sheets={sheet.id: sheet})


def talks(*lines, seeds=(1,)):
    scenarios = [Scenario(name=f"talk {number}", lines=each) for number, each in enumerate(lines)]
    return [talk for one in scenarios for talk in scenario_talks("mara", one, seeds=seeds)]


def had(address, planned, results, *, at_once=2, on_pace=lambda pace: None):
    async def run():
        async with AsyncClient(address) as client:
            return await have_talks(client, planned, results=results, at_once=at_once, on_pace=on_pace)

    return asyncio.run(run())


def test_talks_are_had_and_kept_whole(serving, sheet, reciter, tmp_path):
    planned = talks(*LINES, seeds=(1, 2))
    results = open_results(tmp_path, head(sheet))
    paces = []
    with serving(sheet, model=reciter("Forty", " crowns.", " Good", " ones.")) as client:
        records = had(client.address, planned, results, on_pace=lambda pace: paces.append((pace.done, pace.total)))
        assert client.health().engine["conversations"] == 0
    assert [(record.talk, record.repeat, record.seed) for record in records] == [
        (f"mara/talk {number}", repeat, seed) for number in range(3) for repeat, seed in ((0, 1), (1, 2))
    ]
    assert [len(record.turns) for record in records] == [1, 1, 2, 2, 3, 3]
    first = records[0].turns[0]
    assert (first.reply, first.sentences) == ("Forty crowns. Good ones.", ("Forty crowns.", "Good ones."))
    assert 0 < first.first_sentence_s <= first.total_s
    assert first.trace["premises"][0]["id"] == "price-sword"
    assert "prompt" not in first.trace
    assert records[2].turns[1].source == "fallback"
    assert paces[-1] == (12, 12)
    assert {record.key: record for record in read_results(tmp_path).records} == {r.key: r for r in records}


def test_a_stopped_run_goes_on_and_changes_nothing(serving, sheet, reciter, tmp_path):
    planned = talks(*LINES)
    with serving(sheet, model=reciter("Forty", " crowns.")) as client:
        first = had(client.address, planned[:2], open_results(tmp_path, head(sheet)))
        before = (tmp_path / "results.jsonl").read_text(encoding="utf-8")
        with (tmp_path / "results.jsonl").open("a", encoding="utf-8") as file:
            file.write('{"talk": "torn')
        results = open_results(tmp_path, head(sheet))
        assert len(results.kept(planned)) == 2
        second = had(client.address, planned, results)
    assert second[:2] == first
    after = (tmp_path / "results.jsonl").read_text(encoding="utf-8")
    assert after.startswith(before)
    assert len(after.splitlines()) == 4


def test_a_changed_scenario_is_had_again(serving, sheet, reciter, tmp_path):
    with serving(sheet, model=reciter("Forty", " crowns.")) as client:
        had(client.address, talks(["Hello."]), open_results(tmp_path, head(sheet)))
        (record,) = had(client.address, talks(["Good day."]), open_results(tmp_path, head(sheet)))
    assert record.turns[0].line == "Good day."


def test_the_same_seed_gives_the_same_talk(serving, sheet, babbler, tmp_path):
    planned = talks(*LINES, seeds=(1, 2))
    with serving(sheet, model=babbler) as client:
        one = had(client.address, planned, open_results(tmp_path / "a", head(sheet)), at_once=1)
        other = had(client.address, planned, open_results(tmp_path / "b", head(sheet)), at_once=4)
    assert [[turn.reply for turn in record.turns] for record in one] == [
        [turn.reply for turn in record.turns] for record in other
    ]
    assert one[4].turns[0].reply != one[5].turns[0].reply


def test_turns_of_a_talk_have_seeds_of_their_own():
    seeds = {turn_seed(seed, turn) for seed in range(20) for turn in range(20)}
    assert len(seeds) == 400
    assert all(0 <= seed < 1 << 32 for seed in seeds)


def test_the_game_answers_as_the_step_says(serving, sheet, reciter, tmp_path):
    planned = talks(
        [{"say": RING, "result": {"rung": 3}}], [{"say": RING, "refused": "the rope is torn"}], [RING],
    )  # fmt: skip
    with serving(sheet, model=reciter("Done.", call=CALL_RING)) as client:
        records = had(client.address, planned, open_results(tmp_path, head(sheet)))
    assert [[action.name for action in one.turns[0].actions] for one in records] == [["ring_bell"]] * 3
    told = [json.dumps(one.turns[0].trace) for one in records]
    assert "3" in told[0]
    assert "the rope is torn" in told[1]


def test_what_the_server_refuses_is_a_wrong_talk_and_had_again(sheet, reciter, word_encoder, tmp_path):
    planned = talks(["a" * 300])
    results = open_results(tmp_path, head(sheet))
    config = EngineConfig(**SETTINGS, address="tcp://127.0.0.1:*", max_text_chars=100)
    dialogue = build_dialogue([sheet], model_folder=reciter("Forty."), encoder_folder=word_encoder, config=config)
    with BackgroundServer(dialogue, config=config) as server:
        (record,) = had(server.address, planned, results)
    assert record.error.startswith("NPC305")
    assert results.kept(planned) == {}


def test_a_server_that_dies_leaves_what_was_finished(sheet, reciter, word_encoder, tmp_path):
    planned = talks(*LINES)
    config = EngineConfig(**SETTINGS, address="tcp://127.0.0.1:*", shutdown_grace_s=0)
    dialogue = build_dialogue([sheet], model_folder=reciter("Forty."), encoder_folder=word_encoder, config=config)
    results = open_results(tmp_path, head(sheet))
    server = BackgroundServer(dialogue, config=config)

    def die(pace):
        if len(results.records) == 1:
            server.__exit__(None, None, None)

    server.__enter__()
    with pytest.raises(ConnectionLost):
        had(server.address, planned, results, at_once=1, on_pace=die)
    assert len(read_results(tmp_path).records) == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_keeps_the_file_readable(sheet, tmp_path):
    results = open_results(tmp_path, head(sheet))
    results.path = type(results.path)("/dev/full")
    with pytest.raises(ReportNotWritten, match="No space left on device"):
        results.add(talks(["Hi."])[0].record([]))
    assert read_results(tmp_path).records == []


def test_another_run_is_not_written_over(sheet, tmp_path):
    open_results(tmp_path, head(sheet, model="base"))
    with pytest.raises(ResultsUnusable, match="a run that was stopped lies here"):
        open_results(tmp_path, head(sheet, model="tiny"))
    assert open_results(tmp_path, head(sheet, model="tiny"), fresh=True).head.settings == {"model": "tiny"}
    assert read_results(tmp_path / "previous.jsonl").head.settings == {"model": "base"}


def test_a_finished_run_makes_room_and_is_kept(sheet, tmp_path):
    open_results(tmp_path, head(sheet)).finish()
    assert not open_results(tmp_path, head(sheet)).is_finished
    assert read_results(tmp_path / "previous.jsonl").is_finished


def test_a_changed_sheet_is_another_run(sheet, tmp_path):
    changed = CharacterSheet.model_validate(sheet.model_dump(mode="json", by_alias=True) | {"greeting": "Ho."})
    open_results(tmp_path, head(sheet))
    with pytest.raises(ResultsUnusable):
        open_results(tmp_path, head(changed))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        ("nonsense\n", ":1: not JSON"),
        ("[]\n", ":1: no line of npc-engine/playtest@1"),
        ('{"schema": "npc-engine/playtest@1"}\n', ":1: label"),
    ],
)
def test_what_is_no_results_file(tmp_path, text, problem):
    path = tmp_path / "r.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ResultsUnusable, match=problem):
        read_results(path)


def test_the_time_left_goes_by_the_pace():
    pace = Pace(total=10)
    assert pace.left_s() is None
    pace.done, pace.begun = 5, pace.begun - 20
    assert pace.left_s() == pytest.approx(20, abs=1)
