"""Each turn is had after gold's turns before it, and what was called is kept."""

import pytest

from npc_engine.actions.ranking import ChoiceWeights
from npc_engine.config import EngineConfig
from npc_engine.dialogue.offers import ALL_ACTIONS
from tests.talk import SETTINGS, talking
from tests.tools.tasks.recorded import write_data
from tools.tasks.cpdc import load_part
from tools.tasks.running import Refused, Run, called, give_past, have_episode
from tools.tasks.sheets import sheet_of

RUN = Run(
    part="dev-task1",
    model="stub",
    guard="off",
    calls_only=True,
    perturb=None,
    seed=1,
    has_procedures=True,
    has_examples=True,
    weights=ChoiceWeights(),
)


@pytest.fixture(scope="module")
def episode(tmp_path_factory):
    return load_part(write_data(tmp_path_factory.mktemp("data")), "dev-task1")[0]


@pytest.fixture(scope="module")
def sheet(episode):
    return sheet_of(episode, sheet_id="luna")


async def test_the_past_is_golds(episode, sheet, reciter, word_encoder):
    async with talking(sheet, model=reciter("Well."), encoder=word_encoder) as dialogue:
        conversation = dialogue.open_conversation("luna", player_id="p", actions=[ALL_ACTIONS])
        give_past(conversation, episode, 4, is_said=False)
        assert [one.reply for one in conversation.history.exchanges] == [turn.reply for turn in episode.turns[:4]]
        assert [(one.name, one.turn) for one in conversation.record.successes] == [
            ("check_price", -3),
            ("sell_request_confirm", -2),
            ("sell", -1),
        ]
        assert conversation.record.successes[-1].arguments == {"item_names": ["Long Bow"]}
        # The sale leads to the offer to equip, with what was sold.
        assert conversation.pending.action.name == "equip"
        assert conversation.pending.arguments == {"item_name": "Long Bow"}
        give_past(conversation, episode, 0, is_said=False)
        assert conversation.pending is None
        assert not conversation.history.exchanges
        assert not conversation.record.successes


async def test_a_yes_to_golds_offer_is_called_and_answered(episode, sheet, reciter, word_encoder):
    async with talking(sheet, model=reciter("Well."), encoder=word_encoder) as dialogue:
        turns = await have_episode(dialogue, "luna", episode, run=RUN, config=EngineConfig(**SETTINGS))
        assert dialogue.health()["conversations"] == 0
    assert [turn["line"] for turn in turns] == [turn.line for turn in episode.turns]
    assert turns[3]["calls"] == [{"name": "sell", "arguments": {"item_names": ["Long Bow"]}, "result": {}}]
    assert turns[4]["calls"] == [{"name": "equip", "arguments": {"item_name": "Long Bow"}, "result": {}}]
    assert all(turn["reply"] is None and turn["total_s"] > 0 for turn in turns)


async def test_with_speech_each_turn_has_a_reply(episode, sheet, reciter, word_encoder):
    spoken = Run(**(RUN.__dict__ | {"calls_only": False}))
    async with talking(sheet, model=reciter("Well", " met."), encoder=word_encoder) as dialogue:
        turns = await have_episode(dialogue, "luna", episode, run=spoken, config=EngineConfig(**SETTINGS))
    assert all(turn["reply"] for turn in turns)
    assert [call["name"] for call in turns[4]["calls"]] == ["equip"]


async def test_a_game_may_refuse(episode, sheet, reciter, word_encoder):
    async with talking(sheet, model=reciter("Well."), encoder=word_encoder) as dialogue:
        conversation = dialogue.open_conversation("luna", player_id="p", actions=[ALL_ACTIONS])
        give_past(conversation, episode, 4, is_said=False)
        config = EngineConfig(**SETTINGS)
        record = await called(conversation, "Yes.", config=config, game=lambda _: Refused(error="not now"))
        assert record["calls"][0]["result"] == {}
        assert "equip" not in [one.name for one in conversation.record.successes]


def test_another_run_is_another_record(episode):
    other = Run(**(RUN.__dict__ | {"weights": ChoiceWeights(floor=0.1)}))
    assert RUN.key(episode) != other.key(episode)
    assert RUN.key(episode)["weights"]["floor"] == ChoiceWeights().floor
