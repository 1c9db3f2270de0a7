"""The blocking client against a real server, and against none."""

import socket
import threading

import msgpack
import pytest
import zmq

from npc_engine.client import ActionCall, ActionFailed, Client, Sentence, Token, TurnEnd
from npc_engine.client.connection import Connection
from npc_engine.errors import (
    ConnectionLost,
    ConversationClosed,
    FrameTooLarge,
    InternalError,
    InvalidAction,
    InvalidControls,
    InvalidMessage,
    InvalidState,
    NothingToUndo,
    Overloaded,
    RequestTimeout,
    TextTooLong,
    TurnInProgress,
    UnknownActionCall,
    UnknownCharacter,
)
from npc_engine.sheets.controls import ControlOverrides
from tests.scripted import PATIENCE_S, BareClient, RunningServer, free_port_config


@pytest.fixture
def client(server):
    with Client(server.address) as connected:
        yield connected


@pytest.fixture
def talk(client):
    with client.open("mara", player_id="ada", player_name="Ada") as opened:
        yield opened


@pytest.fixture
def mute_server():
    """A socket that takes everything and answers nothing."""
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    port = router.bind_to_random_port("tcp://127.0.0.1")
    yield f"tcp://127.0.0.1:{port}"
    context.destroy(linger=0)


def ask_until_it_fails(client):
    while True:
        client.health()


def test_a_talk_from_the_readme(server):
    with Client(server.address) as client, client.open("mara", player_id="ada") as talk:
        heard = [type(event) for event in talk.say("What do you sell?")]
    assert heard == [Token, Token, Token, Token, Sentence, TurnEnd]
    assert server.dialogue.conversations[0].closed.is_set()


def test_a_turn_tells_its_text_and_its_end(talk):
    assert talk.greeting == "Well met, Ada."
    turn = talk.say("Fine weather.")
    assert next(turn).text == turn.text == "Fine "
    assert turn.finish() is turn.end
    assert (turn.text, turn.end.finish_reason, turn.end.source) == ("Fine weather.", "stop", "model")
    assert list(turn) == []
    assert list(talk.say("One. Two.").sentences()) == ["One. Two."]


def test_the_small_requests(server, client, talk):
    assert [character.id for character in client.characters()] == ["mara", "tobin"]
    assert client.health().engine["model"] == "scripted"
    assert client.metrics() == "# scripted\n"
    assert client.welcome.protocol_version == 1
    client.world_event("It rains.", game_time=1.5)
    talk.world_event("It snows.")
    talk.set_state({"trust": 4})
    conversation = server.conversation(talk.id)
    assert conversation.heard_events == [("It rains.", 1.5), ("It snows.", None)]
    assert conversation.state == {"trust": 4}


def test_controls_seed_and_undo(server, talk):
    now = talk.set_controls({"max_words": 20, "role_play": None})
    assert (now.controls["max_words"], now.controls["role_play"]) == (20, None)
    assert now.in_force["task"]["max_words"] == 20
    with pytest.raises(InvalidControls, match="max_words"):
        talk.set_controls({"max_words": 1000})
    talk.say("One.").finish()
    assert server.conversation(talk.id).heard_with == (ControlOverrides(), None)
    talk.say("Two.", controls={"max_words": 9}, seed=7).finish()
    assert server.conversation(talk.id).heard_with == (ControlOverrides(max_words=9), 7)
    with pytest.raises(InvalidControls):
        talk.say("Three.", controls={"loudness": 1}).finish()
    assert talk.undo() == 1
    with pytest.raises(NothingToUndo):
        talk.undo(2)
    assert server.conversation(talk.id).lines == ["One."]
    turn = talk.say("wait")
    next(turn)
    with pytest.raises(TurnInProgress):
        talk.undo()
    turn.cancel()


def test_a_game_declares_actions(server, client):
    gate = {"name": "open_gate", "description": "Opens the town gate."}
    with client.open("mara", player_id="ada", declare_actions=[gate]) as talk:
        _, (declared,) = server.conversation(talk.id).actions
        assert declared.name == "open_gate"
        call = next(event for event in talk.say("act now") if isinstance(event, ActionCall))
        assert (call.idempotency_key, call.cost) == ("k1", 2.5)
        talk.cancel()
    with pytest.raises(InvalidAction, match="twice"):
        client.open("mara", player_id="ada", declare_actions=[gate, gate])


def test_what_is_not_used_is_not_sent():
    """So that a server of an earlier release, which knows fewer fields, understands it."""
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    port = router.bind_to_random_port("tcp://127.0.0.1")
    router.rcvtimeo = int(PATIENCE_S * 1000)
    connection = Connection(f"tcp://127.0.0.1:{port}")
    connection.submit("say", {"conversation_id": "7f3a", "text": "Hi."})
    _, frame = router.recv_multipart()
    connection.close()
    context.destroy(linger=0)
    assert msgpack.unpackb(frame) == {"kind": "say", "request_id": 1, "conversation_id": "7f3a", "text": "Hi."}


def test_actions_are_answered_in_the_loop(talk):
    spoken = []
    for event in talk.say("act now"):
        match event:
            case ActionCall():
                talk.answer(event, {"sold": event.arguments["item"]})
            case Sentence():
                spoken.append(event.text)
    assert spoken == ["Result: {'sold': 'sword'}"]
    with pytest.raises(UnknownActionCall):
        talk.refuse(
            ActionCall(request_id=1, conversation_id=talk.id, call_id="call-1", name="sell", arguments={}), "no"
        )


def test_actions_are_answered_by_a_callback(client):
    def sell(call):
        if call.arguments["price"] > 10:
            raise ActionFailed("too little coin")
        return {}

    with client.open("mara", player_id="ada", on_action=sell) as talk:
        assert list(talk.say("act now").sentences()) == ["Result: too little coin"]


def test_cancel_from_another_thread_and_from_the_turn(talk):
    turn = talk.say("wait")
    next(turn)
    canceller = threading.Thread(target=talk.cancel)
    canceller.start()
    assert turn.finish().finish_reason == "cancelled"
    canceller.join()
    turn = talk.say("wait")
    next(turn)
    assert turn.cancel().finish_reason == "cancelled"
    assert turn.cancel() is turn.end
    assert talk.cancel() is False


def test_the_servers_errors_arrive_as_their_classes(client, talk):
    with pytest.raises(UnknownCharacter, match="nobody") as caught:
        client.open("nobody", player_id="ada")
    assert caught.value.hint
    with pytest.raises(InvalidState):
        talk.set_state({"trust": "much"})
    with pytest.raises(TextTooLong):
        talk.say("x" * 2001).finish()
    with pytest.raises(Overloaded) as overloaded:
        talk.say("busy").finish()
    assert overloaded.value.retry_after_s == 2.5
    broken = talk.say("boom")
    with pytest.raises(InternalError):
        broken.finish()
    with pytest.raises(InternalError):
        broken.finish()
    waiting = talk.say("wait")
    with pytest.raises(TurnInProgress):
        talk.say("And?").finish()
    waiting.cancel()
    talk.close()
    talk.close()
    with pytest.raises(ConversationClosed):
        talk.say("Hi").finish()


@pytest.mark.parametrize("text", ["", 5, None, "\ud800"])
def test_what_is_no_line_is_refused_before_it_is_sent(talk, text):
    with pytest.raises(InvalidMessage, match=r"say\.text"):
        talk.say(text)


def test_what_is_too_large_is_refused_before_it_is_sent(talk):
    with pytest.raises(FrameTooLarge):
        talk.say("x" * 10_000_000)
    assert talk.say("Hi").finish().text == "Hi"


def test_a_state_of_other_types_is_refused_before_it_is_sent(client):
    with pytest.raises(InvalidMessage, match="state"):
        client.open("mara", player_id="ada", state={"since": object()})


def test_no_server_is_a_timeout():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(RequestTimeout, match="no answer to hello") as caught:
            Client(address, timeout_s=0.2).connect()
    assert "npc-engine serve" in caught.value.hint


def test_a_server_that_answers_nothing_is_a_timeout(mute_server):
    with pytest.raises(RequestTimeout):
        Client(mute_server, timeout_s=0.2).connect()


def test_what_is_no_address_is_told():
    with pytest.raises(ConnectionLost, match="nonsense"):
        Client("nonsense").connect()


def test_a_late_answer_is_not_taken_for_another(server):
    with Client(server.address) as client, client.open("mara", player_id="ada") as talk:
        first = talk.say("wait")
        next(first)
        client.forget(first._request_id)
        talk.cancel()
        # The first turn's end belongs to nobody now; the second hears only its own.
        second = talk.say("Fine weather.")
        assert second.finish().text == "Fine weather."


def test_a_turn_ends_at_once_when_the_server_stops():
    with RunningServer(free_port_config(shutdown_grace_s=0.0)) as server:
        client = Client(server.address)
        client.connect()
        talk = client.open("mara", player_id="ada")
        turn = talk.say("wait")
        next(turn)
        server.stop()
        assert turn.finish().finish_reason == "cancelled"
    with pytest.raises(ConnectionLost):
        ask_until_it_fails(client)
    with pytest.raises(ConnectionLost):
        talk.say("Hi")
    talk.close()
    client.close()


def test_a_server_that_dies_ends_every_wait():
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    port = router.bind_to_random_port("tcp://127.0.0.1")
    client = Client(f"tcp://127.0.0.1:{port}", timeout_s=60.0)
    failures = []

    def connect():
        try:
            client.connect()
        except ConnectionLost as lost:
            failures.append(lost)

    waiting = threading.Thread(target=connect)
    waiting.start()
    router.recv_multipart()
    context.destroy(linger=0)
    waiting.join(PATIENCE_S)
    assert len(failures) == 1


def test_connect_again_after_the_server_came_back():
    config = free_port_config()
    with RunningServer(config) as server:
        client = Client(server.address)
        client.connect()
    again = config.model_copy(update={"address": server.address})
    with RunningServer(again):
        client.connect()
        with client.open("mara", player_id="ada") as talk:
            assert talk.say("Hi").finish().text == "Hi"
        client.close()


def test_an_idle_client_stays_connected():
    with RunningServer(free_port_config(client_timeout_s=0.3)) as server, Client(server.address) as client:
        talk = client.open("mara", player_id="ada")
        with BareClient(server.address) as silent:
            # A client without signs of life is dropped meanwhile.
            assert server.conversation(silent.hello().open()).closed.wait(PATIENCE_S)
        assert talk.say("Still here.").finish().text == "Still here."


def test_threads_share_a_client(client):
    texts = [f"Line number {number}." for number in range(8)]
    heard = {}

    def converse(text):
        with client.open("mara", player_id=text) as talk:
            heard[text] = talk.say(text).finish().text

    threads = [threading.Thread(target=converse, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert heard == {text: text for text in texts}


def test_two_hundred_connections_leave_no_thread(server):
    before = threading.active_count()
    for _ in range(200):
        with Client(server.address):
            pass
    assert threading.active_count() == before


def test_a_client_that_is_not_connected_says_so():
    with pytest.raises(ConnectionLost, match="not connected"):
        Client().health()
    Client().close()
