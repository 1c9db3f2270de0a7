"""The whole engine over a real socket, on tiny models: what a game does, from opening to closing."""

import asyncio

import pytest

from npc_engine.client.asynchronous import AsyncClient
from npc_engine.client.blocking import Client
from npc_engine.client.turn import ActionFailed
from npc_engine.config import EngineConfig
from npc_engine.dialogue.engine import build_dialogue
from npc_engine.errors import AddressInUse, ConversationClosed, TurnInProgress, UnknownAction, UnknownActionCall
from npc_engine.protocol.messages import ActionCall, Sentence, Token, TurnEnd
from npc_engine.server.background import BackgroundServer
from tests.talk import CALL_RING, CALL_SELL, RING, SELL, SETTINGS, mara

REPLY = "Forty crowns. Not one less."
PIECES = ("Forty", " crowns.", " Not one", " less.")


@pytest.fixture(scope="module")
def sheet(tmp_path_factory):
    """Mara, allowed to speak long enough to be interrupted."""
    return mara(tmp_path_factory.mktemp("sheet"), ("max_words: 40", "max_words: 300"))


@pytest.fixture
def serving(sheet, word_encoder):
    def serve(model, **settings):
        config = EngineConfig(**(SETTINGS | {"address": "tcp://127.0.0.1:*"} | settings))
        dialogue = build_dialogue([sheet], model_folder=model, encoder_folder=word_encoder, config=config)
        return BackgroundServer(dialogue, config=config)

    return serve


@pytest.fixture
def endless(reciter):
    return reciter("Well", " la", " di", again_from=1)


def test_a_game_talks(serving, reciter):
    with serving(reciter(*PIECES)) as server, Client(server.address) as client:
        assert [(entry.id, entry.name) for entry in client.characters()] == [("mara", "Mara Holt")]
        with client.open("mara", player_id="ada", player_name="Ada", state={"trust": 10}) as talk:
            assert talk.greeting == "Come in."
            events = list(talk.say("What does a sword cost?"))
            assert [type(event) for event in events] == [Token, Token, Sentence, Token, Sentence, TurnEnd]
            end = events[-1]
            assert end.text == REPLY == "".join(event.text for event in events if isinstance(event, Token))
            assert end.trace["premises"][0]["id"] == "price-sword"
            assert end.trace["latency"]["total_s"] > 0

            asked = "Where does the hidden treasure lie?"
            assert "treasure" not in [premise["id"] for premise in talk.say(asked).finish().trace["premises"]]
            talk.set_state({"trust": 60})
            assert talk.say(asked).finish().trace["premises"][0]["id"] == "treasure"
            talk.world_event("The treasure is gone.")
            client.world_event("The hidden treasure does lie elsewhere.")
            found = [premise["id"] for premise in talk.say(asked).finish().trace["premises"]]
            assert {"event:1", "event:2"} <= set(found)
            assert client.health().engine["conversations"] == 1
        with pytest.raises(ConversationClosed):
            talk.say("Hello.").finish()
        assert client.health().engine["conversations"] == 0
        assert "npc_" in client.metrics()


def test_a_cancelled_turn_keeps_what_was_heard(serving, endless):
    with serving(endless) as server, Client(server.address) as client:
        with client.open("mara", player_id="ada") as talk:
            turn = talk.say("Sing.")
            heard = [next(turn).text]
            with pytest.raises(TurnInProgress):
                talk.say("Sing louder.").finish()
            assert talk.cancel()
            heard += [event.text for event in turn if isinstance(event, Token)]
            assert (turn.end.finish_reason, turn.end.text) == ("cancelled", "".join(heard))
            assert talk.say("Hello?").finish().text.startswith("Well la")
        with client.open("mara", player_id="bob") as talk:
            next(talk.say("Sing."))  # closed in the middle of its turn
        assert client.health().engine["conversations"] == 0


def test_the_game_runs_an_action(serving, reciter):
    asked = []

    def run(call):
        asked.append((call.name, call.arguments))
        if len(asked) == 1:
            raise ActionFailed("there is one left")
        return {"paid": "80 crowns"}

    with serving(reciter(*PIECES, call=CALL_SELL)) as server, Client(server.address) as client:
        talk = client.open("mara", player_id="ada", on_action=run)
        for outcome in ("failed: there is one left", "paid: 80 crowns"):
            talk.say(SELL).finish()
            end = talk.say("Yes, deal.").finish()
            assert end.trace["action"]["outcome"] == outcome
            assert end.text == REPLY
    assert asked == [("sell_sword", {"quantity": 2})] * 2


def test_the_game_answers_an_action_itself_or_not_at_all(serving, reciter):
    with serving(reciter(*PIECES, call=CALL_RING), action_timeout_s=1.0) as server, Client(server.address) as client:
        with pytest.raises(UnknownAction):
            client.open("mara", player_id="ada", actions=["fly"])
        with client.open("mara", player_id="ada", actions=["ring_bell"]) as talk:
            turn = talk.say(RING)
            call = next(turn)
            assert isinstance(call, ActionCall)
            talk.answer(call, {"volume": 11})
            assert turn.finish().trace["action"]["outcome"] == "volume: 11"
            late = talk.say(RING)
            call = next(late)
            assert "in time" in late.finish().trace["action"]["outcome"]
            with pytest.raises(UnknownActionCall):
                talk.refuse(call, "too late")
        with client.open("mara", player_id="ada") as talk:  # nothing offered
            assert [event for event in talk.say(RING) if isinstance(event, ActionCall)] == []


async def test_four_players_at_once(serving, babbler):
    async def play(client, name):
        async with await client.open("mara", player_id=name, player_name=name) as talk:
            await talk.world_event(f"The mill of {name} burned.")
            ends = [await talk.say(f"What of the mill, {name}?").finish() for _ in range(3)]
        for end in ends:
            assert end.source == "model"
            told = [premise["text"] for premise in end.trace["premises"] if premise["kind"] == "event"]
            assert told == [f"The mill of {name} burned."]
        return ends

    with serving(babbler, num_slots=2) as server:
        async with AsyncClient(server.address) as client:
            ends = await asyncio.gather(*(play(client, name) for name in ("ada", "bob", "eve", "ian")))
            health = await client.health()
    assert len(ends) == 4
    assert (health.engine["conversations"], health.engine["running"], health.engine["waiting"]) == (0, 0, 0)


def test_shutting_down_ends_a_running_turn(serving, endless):
    with serving(endless, shutdown_grace_s=0.0) as server:
        client = Client(server.address)
        client.connect()
        turn = client.open("mara", player_id="ada").say("Sing.")
        next(turn)
    assert turn.finish().finish_reason == "cancelled"
    client.close()


def test_a_server_that_cannot_start_says_so(serving, reciter):
    with serving(reciter(*PIECES)) as first:
        second = serving(reciter(*PIECES), address=first.address)
        with pytest.raises(AddressInUse):
            second.__enter__()
