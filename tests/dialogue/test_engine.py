"""Many characters and conversations over one engine."""

import json

import pytest

from npc_engine.config import load_config
from npc_engine.dialogue.character import MAX_WARM_SETS
from npc_engine.dialogue.engine import load_dialogue
from npc_engine.errors import ConfigError, InvalidState, ModelError, UnknownAction, UnknownCharacter
from npc_engine.models.installed import find_installed
from tests.talk import at_once, mara, say, seen_by_model, talking


@pytest.fixture
def other(tmp_path):
    changes = (("id: mara", "id: tobin"), ("Mara Holt", "Tobin Reed"), ("greeting: Come in.", "greeting: Sit down."))
    return mara(tmp_path, *changes)


@pytest.fixture
def model(reciter):
    return reciter("Well", " met.")


async def test_everyone_is_listed_and_warm(sheet, other, model, word_encoder):
    async with talking(sheet, other, model=model, encoder=word_encoder) as dialogue:
        listed = [(one.id, one.name, one.role) for one in dialogue.characters()]
        health = json.loads(json.dumps(dialogue.health()))
        first = await say(dialogue.open_conversation("tobin", player_id="p"), "Hello.")
    assert listed == [("mara", "Mara Holt", "weapon seller"), ("tobin", "Tobin Reed", "weapon seller")]
    assert (health["characters"], health["characters_warm"], health["is_warming"]) == (2, 2, False)
    assert health["provider"] == health["encoder_provider"] == "CPUExecutionProvider"
    # The prefix was computed before anybody spoke.
    assert first.trace["tokens"]["cached"] >= first.trace["prompt"]["stable_tokens"]


@pytest.mark.parametrize("actions", [["*"], ["ring_bell"]])
async def test_what_the_game_offers_is_read_before_anybody_speaks(actions, sheet, model, word_encoder):
    async with talking(sheet, model=model, encoder=word_encoder) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p", actions=actions)
        await dialogue.warmed()
        character = conversation.character
        assert character.prompts.listed(conversation.actions)
        num_before = dialogue.health()["prefix_entries"]
        first = await say(conversation, "Hello.")
        # Another game with the same actions finds all of it there.
        dialogue.open_conversation("mara", player_id="q", actions=actions)
        await dialogue.warmed()
        assert dialogue.health()["prefix_entries"] <= num_before + 1
    assert first.trace["tokens"]["cached"] >= first.trace["prompt"]["stable_tokens"]
    assert first.trace["prompt"]["stable_tokens"] > len(character.prompts.stable_ids)


async def test_of_ever_new_sets_of_actions_the_last_stay_warm(sheet, model, word_encoder):
    async with talking(sheet, model=model, encoder=word_encoder) as dialogue:
        before = dialogue.health()["prefix_entries"]
        for number in range(2 * MAX_WARM_SETS):
            wave = {"name": f"wave_{number}", "description": "waves", "parameters": {"type": "object"}}
            dialogue.open_conversation("mara", player_id="p", declare_actions=[wave]).close()
            await dialogue.warmed()
        after = dialogue.health()["prefix_entries"]
    assert after <= before + MAX_WARM_SETS - 1


async def test_a_prefix_that_does_not_fit_the_store_costs_only_time(sheet, model, word_encoder):
    async with talking(sheet, model=model, encoder=word_encoder, prefix_store_bytes=0) as dialogue:
        assert (await say(dialogue.open_conversation("mara", player_id="p"), "Hello.")).end.text == "Well met."


async def test_opening_refuses_what_it_cannot_do(sheet, model, word_encoder):
    async with talking(sheet, model=model, encoder=word_encoder) as dialogue:
        with pytest.raises(UnknownCharacter) as caught:
            dialogue.open_conversation("maria", player_id="p")
        assert "mara" in caught.value.hint
        with pytest.raises(UnknownAction) as caught:
            dialogue.open_conversation("mara", player_id="p", actions=["ring_bell", "fly"])
        assert "'fly'" in caught.value.message
        assert "sell_sword" in caught.value.hint
        with pytest.raises(InvalidState):
            dialogue.open_conversation("mara", player_id="p", state={"trust": -1})
        assert dialogue.health()["conversations"] == 0


@pytest.mark.parametrize(
    ("offered", "names"),
    [
        ((), []),
        (("*",), ["ring_bell", "sell_sword", "open_vault"]),
        (("open_vault", "ring_bell"), ["ring_bell", "open_vault"]),
        (("ring_bell", "*"), ["ring_bell", "sell_sword", "open_vault"]),
    ],
)
async def test_a_game_offers_the_actions_it_runs(sheet, model, word_encoder, offered, names):
    async with talking(sheet, model=model, encoder=word_encoder) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p", actions=offered)
        assert [action.name for action in conversation.actions] == names


async def test_two_talks_do_not_mix(sheet, model, word_encoder):
    async with talking(sheet, model=model, encoder=word_encoder) as dialogue:
        talks = {name: dialogue.open_conversation("mara", player_id=name) for name in ("ada", "bob")}
        for name, talk in talks.items():
            talk.world_event(f"The mill of {name} burned.")
        for round_ in range(2):
            lines = {name: f"What of the mill, {name} {round_}?" for name in talks}
            heard = await at_once(*(say(talk, lines[name]) for name, talk in talks.items()))
            assert all(each.premises[0] == "event:1" for each in heard)
        for name, stranger in (("ada", "bob"), ("bob", "ada")):
            seen = seen_by_model(talks[name])
            assert f"The mill of {name} burned." in seen
            assert f"What of the mill, {name} 0?" in seen
            assert stranger not in seen
            assert [exchange.reply for exchange in talks[name].history.exchanges] == ["Well met."] * 2


async def test_eight_talks_share_four_slots(sheet, babbler, word_encoder):
    async with talking(sheet, model=babbler, encoder=word_encoder, num_slots=4) as dialogue:
        talks = [dialogue.open_conversation("mara", player_id=str(number)) for number in range(8)]
        for round_ in range(3):
            heard = await at_once(*(say(talk, f"I am {n}, round {round_}.") for n, talk in enumerate(talks)))
            assert all(each.end.source == "model" for each in heard)
            assert all(each.end.text == each.spoken == " ".join(each.sentences) for each in heard)
        for number, talk in enumerate(talks):
            assert [e.player for e in talk.history.exchanges] == [f"I am {number}, round {r}." for r in range(3)]
        stats = dialogue.health()
        assert (stats["slots"], stats["waiting"], stats["conversations"]) == (4, 0, 8)


async def test_batched_talks_say_what_they_say_alone(sheet, babbler, word_encoder):
    async def talk(number, dialogue):
        conversation = dialogue.open_conversation("mara", player_id=str(number))
        return [(await say(conversation, f"{line} {number}")).end.text for line in ("Hello", "Where")]

    settings = {"seed": 3, "temperature": 1.0}
    async with talking(sheet, model=babbler, encoder=word_encoder, **settings) as dialogue:
        alone = [await talk(number, dialogue) for number in range(4)]
    async with talking(sheet, model=babbler, encoder=word_encoder, **settings) as dialogue:
        together = await at_once(*(talk(number, dialogue) for number in range(4)))
    assert together == alone


async def test_closing_frees_the_slot(sheet, model, word_encoder):
    async with talking(sheet, model=model, encoder=word_encoder) as dialogue:
        talks = [dialogue.open_conversation("mara", player_id=str(number)) for number in range(3)]
        await at_once(*(say(talk, "Hello.") for talk in talks))
        assert dialogue.health()["slots_parked"] == 3
        for talk in talks[:2]:
            talk.close()
        await say(talks[2], "Still here.")  # the engine's thread has been round since
        health = dialogue.health()
        assert (health["slots_parked"], health["conversations"]) == (1, 1)
        held = {slot.conversation_id for slot in talks[2].character.engine.decoder.kv.slots}
        assert held == {talks[2].id, None}


async def test_closing_the_engine_ends_a_running_turn(sheet, reciter, word_encoder):
    model = reciter("Well", " la", " di", again_from=1)
    async with talking(sheet, model=model, encoder=word_encoder) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p")
        turn = conversation.say("Hello.")
        await anext(turn)
        await dialogue.aclose()
        rest = [event async for event in turn]
        assert rest[-1].finish_reason == "cancelled"
        await dialogue.aclose()


async def test_metrics_count_turns(sheet, model, word_encoder):
    async with talking(sheet, model=model, encoder=word_encoder) as dialogue:
        await say(dialogue.open_conversation("mara", player_id="p"), "Hello.")
        text = dialogue.metrics_text()
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert any("requests" in name and float(value) >= 1 for name, value in samples.items())


async def test_a_sheet_that_fills_the_context_is_the_operators_error(sheet, model, word_encoder):
    with pytest.raises(ConfigError, match="mara"):
        async with talking(sheet, model=model, encoder=word_encoder, max_context_tokens=512):
            pass


# --- real models -----------------------------------------------------------------------------------


@pytest.mark.model
async def test_she_talks_on_real_models(tmp_path):
    mara(tmp_path)
    settings = {"model": "tiny", "device": "cpu", "seed": 1, "num_slots": 1, "max_context_tokens": 1024}
    config = load_config(sheets=(tmp_path / "mara.yaml",), **settings)
    try:
        for name in ("tiny", "encoder"):
            find_installed(name, config.cache_dir)
    except ModelError as error:
        pytest.skip(f"a model is not usable: {error.message}")
    dialogue = load_dialogue(config)
    await dialogue.start()
    try:
        conversation = dialogue.open_conversation("mara", player_id="p", player_name="Ada")
        price = await say(conversation, "How much is a sword?")
        assert price.premises[0] == "price-sword"
        assert price.end.source == "model"
        assert price.end.text == price.spoken == " ".join(price.sentences) != ""
        dragon = await say(conversation, "Did a dragon come by?")
        assert (dragon.end.source, dragon.trace["unknown_topic"]) == ("fallback", "dragons")
        home = await say(conversation, "Where is your house?")
        assert home.premises[0] == "home"
        assert home.trace["tokens"]["cached"] > home.trace["prompt"]["stable_tokens"]
    finally:
        await dialogue.aclose()
