"""The asyncio client: the same, side by side."""

import asyncio

import pytest

from npc_engine.client import ActionCall, ActionFailed, AsyncClient, Sentence, Token, TurnEnd
from npc_engine.errors import (
    ConnectionLost,
    InternalError,
    InvalidControls,
    InvalidMessage,
    NothingToUndo,
    RequestTimeout,
    TextTooLong,
    UnknownActionCall,
    UnknownCharacter,
    UnsupportedVersion,
)
from npc_engine.protocol import messages
from npc_engine.sheets.controls import ControlOverrides
from tests.scripted import RunningServer, free_port_config


@pytest.fixture
async def client(server):
    async with AsyncClient(server.address) as connected:
        yield connected


async def ask_until_it_fails(client):
    while True:
        await client.health()


async def test_a_talk(server):
    async with AsyncClient(server.address) as client, await client.open("mara", player_id="ada") as talk:
        heard = [type(event) async for event in talk.say("What do you sell?")]
    assert heard == [Token, Token, Token, Token, Sentence, TurnEnd]
    assert server.dialogue.conversations[0].closed.is_set()


async def test_conversations_run_side_by_side(client):
    talks = [await client.open("mara", player_id=f"player {number}") for number in range(10)]
    waiting = [talk.say("wait") for talk in talks[:5]]
    for turn in waiting:
        await anext(turn)
    # The first five are in mid-turn while the others answer.
    ends = await asyncio.gather(*(talk.say(talk.id).finish() for talk in talks[5:]))
    assert [end.text for end in ends] == [talk.id for talk in talks[5:]]
    ends = await asyncio.gather(*(turn.cancel() for turn in waiting))
    assert {end.finish_reason for end in ends} == {"cancelled"}


async def test_the_small_requests(server, client):
    talk = await client.open("mara", player_id="ada", state={"trust": 1})
    assert [character.id for character in await client.characters()] == ["mara", "tobin"]
    assert (await client.health()).engine["model"] == "scripted"
    assert await client.metrics() == "# scripted\n"
    await client.world_event("It rains.")
    await talk.world_event("It snows.", game_time=2.0)
    await talk.set_state({"trust": 4})
    conversation = server.conversation(talk.id)
    assert conversation.heard_events == [("It rains.", None), ("It snows.", 2.0)]
    assert conversation.state == {"trust": 4}


async def test_controls_seed_undo_and_declared_actions(server, client):
    gate = {"name": "open_gate", "description": "Opens the town gate."}
    talk = await client.open("mara", player_id="ada", declare_actions=[gate])
    assert server.conversation(talk.id).actions[1][0].name == "open_gate"
    assert (await talk.set_controls({"max_words": 20})).in_force["world"]["max_words"] == 20
    with pytest.raises(InvalidControls):
        await talk.set_controls({"loudness": 1})
    await talk.say("One.", controls={"max_words": 9}, seed=7).finish()
    assert server.conversation(talk.id).heard_with == (ControlOverrides(max_words=9), 7)
    assert await talk.undo() == 0
    with pytest.raises(NothingToUndo):
        await talk.undo()


async def test_actions(client):
    async def sell(call):
        if call.arguments["price"] > 10:
            raise ActionFailed("too little coin")
        return {}

    talk = await client.open("mara", player_id="ada", on_action=sell)
    assert [text async for text in talk.say("act").sentences()] == ["Result: too little coin"]
    manual = await client.open("mara", player_id="ada")
    async for event in manual.say("act"):
        if isinstance(event, ActionCall):
            await manual.answer(event, {"sold": True})
            with pytest.raises(UnknownActionCall):
                await manual.answer(event, {"sold": True})
    assert await manual.cancel() is False


async def test_errors_arrive_as_their_classes(client):
    with pytest.raises(UnknownCharacter):
        await client.open("nobody", player_id="ada")
    talk = await client.open("mara", player_id="ada")
    with pytest.raises(TextTooLong):
        await talk.say("x" * 2001).finish()
    with pytest.raises(InternalError):
        await talk.say("boom").finish()
    with pytest.raises(InvalidMessage):
        talk.say("")
    with pytest.raises(UnsupportedVersion):
        await client.request("hello", {"protocol_version": 2}, messages.Welcome)


async def test_no_server_is_a_timeout():
    with pytest.raises(RequestTimeout):
        await AsyncClient("tcp://127.0.0.1:9", timeout_s=0.1).connect()


async def test_a_server_that_stops_ends_every_wait():
    with RunningServer(free_port_config(shutdown_grace_s=0.0)) as server:
        client = AsyncClient(server.address)
        await client.connect()
        turns = [(await client.open("mara", player_id="ada")).say("wait") for _ in range(3)]
        for turn in turns:
            await anext(turn)
        server.stop()
        assert {(await turn.finish()).finish_reason for turn in turns} == {"cancelled"}
    with pytest.raises(ConnectionLost):
        await ask_until_it_fails(client)
    await client.close()


async def test_a_cancelled_wait_leaves_the_connection_usable(client):
    talk = await client.open("mara", player_id="ada")
    turn = talk.say("wait")
    await anext(turn)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await turn.finish()
    assert (await turn.cancel()).finish_reason == "cancelled"


def test_a_loop_that_ends_without_closing_does_not_hang(server):
    async def forget():
        client = AsyncClient(server.address)
        await client.connect()
        talk = await client.open("mara", player_id="ada")
        await anext(talk.say("endless"))
        return client

    client = asyncio.run(forget())
    asyncio.run(client.close())
