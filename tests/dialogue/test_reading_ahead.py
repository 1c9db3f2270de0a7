"""What is read into the cache between turns: it saves the next turn work, and changes nothing that is heard."""

import asyncio

import pytest

from tests.talk import say, seen_by_model, talking

REPLY = "Well met."


@pytest.fixture
def model(reciter):
    return reciter("Well", " met.")


async def idle(conversation):
    """Wait until the engine has nothing to do."""
    engine = conversation.character.engine
    await asyncio.sleep(0)
    while engine.stats()["running"] or engine.stats()["waiting"]:
        await asyncio.sleep(0.002)


async def cached(sheet, model, encoder, *, read_ahead, actions=()):
    async with talking(sheet, model=model, encoder=encoder, read_ahead=read_ahead) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p", actions=actions)
        await dialogue.warmed()
        heard = []
        for number in range(3):
            heard.append(await say(conversation, f"Hello {number}."))
            await idle(conversation)
        return [(one.end.text, one.trace["tokens"]["cached"]) for one in heard], seen_by_model(conversation)


@pytest.mark.parametrize("actions", [(), ("ring_bell",)])
async def test_the_next_turn_finds_the_last_exchange_in_the_cache(actions, sheet, model, word_encoder):
    with_it, seen = await cached(sheet, model, word_encoder, read_ahead=True, actions=actions)
    without, _ = await cached(sheet, model, word_encoder, read_ahead=False, actions=actions)
    assert [text for text, _ in with_it] == [text for text, _ in without] == [REPLY] * 3
    saved = [one - other for (_, one), (_, other) in zip(with_it, without, strict=True)]
    assert saved[0] == 0
    assert min(saved[1:]) >= len(f"Hello 0.{REPLY}")
    # As it is remembered, without the notes of its turn.
    assert f"Hello 2.<|im_end|>\n<|im_start|>assistant\n{REPLY}<|im_end|>" in seen


async def test_a_line_that_comes_at_once_stops_it_and_is_answered_alike(sheet, babbler, word_encoder):
    async def talk(read_ahead):
        async with talking(sheet, model=babbler, encoder=word_encoder, read_ahead=read_ahead) as dialogue:
            conversation = dialogue.open_conversation("mara", player_id="p")
            return [(await say(conversation, f"Hello {number}.")).end.text for number in range(5)]

    assert await talk(True) == await talk(False)


async def test_closing_while_it_reads_leaves_nothing_running(sheet, model, word_encoder):
    async with talking(sheet, model=model, encoder=word_encoder, read_ahead=True) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p")
        await say(conversation, "Hello.")
        conversation.close()
        slots = conversation.character.engine.decoder.kv.slots
        async with asyncio.timeout(10):
            while any(slot.conversation_id == conversation.id for slot in slots):
                await asyncio.sleep(0.002)
        assert dialogue.health()["conversations"] == 0


async def test_a_busy_engine_reads_nothing_ahead(sheet, model, word_encoder):
    async with talking(sheet, model=model, encoder=word_encoder) as dialogue:
        talk = dialogue.open_conversation("mara", player_id="p")
        engine = talk.character.engine
        before = engine.stats()["prompt_tokens"]
        warm = asyncio.create_task(engine.warm_prefix([7] * 4000, key="long"))
        while not engine.stats()["running"]:
            await asyncio.sleep(0)
        await engine.read([5] * 50, conversation_id=talk.id)
        assert not any(slot.conversation_id == talk.id for slot in engine.decoder.kv.slots)
        await warm
        await engine.read([5] * 50, conversation_id=talk.id)
        assert any(slot.conversation_id == talk.id for slot in engine.decoder.kv.slots)
        assert engine.stats()["prompt_tokens"] > before
