"""The WebSocket door on a real socket: the same messages, and what only this door has."""

import contextlib

import msgpack
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from npc_engine.errors import AddressInUse, ConfigError, NpcEngineError, UnsafeBind
from npc_engine.server.server import Server
from tests.scripted import PATIENCE_S, BareClient, RunningServer, ScriptedDialogue, free_port_config

ORIGIN = "https://game.example"


def config(**settings):
    return free_port_config(**({"websocket_address": "ws://127.0.0.1:0", "websocket_origins": (ORIGIN,)} | settings))


class WebClient:
    """A WebSocket and msgpack, nothing of ours in between."""

    def __init__(self, server, **options):
        self._open = contextlib.ExitStack()
        connecting = connect(server.websocket_address, open_timeout=PATIENCE_S, close_timeout=1, **options)
        self.socket = self._open.enter_context(connecting)
        self._next_id = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._open.close()

    def send(self, kind, **fields):
        self._next_id += 1
        self.socket.send(msgpack.packb({"kind": kind, "request_id": self._next_id, **fields}))
        return self._next_id

    def receive(self):
        return msgpack.unpackb(self.socket.recv(PATIENCE_S))

    def ask(self, kind, **fields):
        request_id = self.send(kind, **fields)
        while True:
            reply = self.receive()
            if reply["request_id"] == request_id:
                return reply

    def until(self, kind):
        while True:
            reply = self.receive()
            if reply["kind"] == kind:
                return reply

    def hello(self):
        assert self.ask("hello", protocol_version=1)["kind"] == "welcome"
        return self

    def open(self):
        return self.ask("open_conversation", character_id="mara", player_id="ada")["conversation_id"]

    def close_code(self):
        """What the server closes with, after what it still sends."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                self.socket.recv(PATIENCE_S)
        return self.socket.close_code


@pytest.fixture
def server():
    with RunningServer(config()) as running:
        yield running


@pytest.fixture
def web(server):
    with WebClient(server) as client:
        yield client.hello()


def test_a_whole_talk(web):
    assert [each["id"] for each in web.ask("list_characters")["characters"]] == ["mara", "tobin"]
    conversation_id = web.open()
    request_id = web.send("say", conversation_id=conversation_id, text="Good day")
    kinds = []
    while kinds[-1:] != ["turn_end"]:
        message = web.receive()
        assert message["request_id"] == request_id
        kinds.append(message["kind"])
    assert kinds == ["token", "token", "sentence", "turn_end"]
    assert web.ask("close_conversation", conversation_id=conversation_id)["kind"] == "conversation_closed"


def test_both_doors_lead_to_one_server_and_no_client_sees_anothers_conversation(server, web):
    conversation_id = web.open()
    with BareClient(server.address) as other:
        assert other.hello().ask("health")["server"]["num_clients"] == 2
        assert other.ask("cancel", conversation_id=conversation_id)["code"] == "NPC302"


def test_a_fragmented_message_is_one_message(web):
    frame = msgpack.packb({"kind": "health", "request_id": 77})
    web.socket.send([frame[:1], frame[1:9], frame[9:]])
    assert web.receive()["request_id"] == 77


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("text", "NPC201"),
        (b"", "NPC201"),
        (b"\xc1", "NPC201"),
        (b"G" * ((1 << 20) + 1), "NPC206"),
        (msgpack.packb({"kind": "sing", "request_id": 1}), "NPC203"),
    ],
)
def test_what_is_no_message_is_answered_and_the_connection_lives(web, message, code):
    web.socket.send(message)
    assert web.receive()["code"] == code
    assert web.ask("health")["kind"] == "health_report"


def test_a_message_far_beyond_the_limit_costs_the_connection(server):
    with RunningServer(config(max_frame_bytes=1024)) as small, WebClient(small) as web:
        web.hello().socket.send(b"G" * (1024 * 16 + 1))
        assert web.close_code() == 1009


def test_nothing_but_hello_before_hello(server):
    with WebClient(server) as web:
        assert web.ask("health")["code"] == "NPC205"
        web.hello()


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://game.example.evil.example"])
def test_a_page_of_another_origin_is_refused(server, origin):
    with pytest.raises(InvalidStatus) as refusal:
        WebClient(server, origin=origin)
    assert refusal.value.response.status_code == 403


def test_a_page_of_a_listed_origin_is_let_in(server):
    with WebClient(server, origin=ORIGIN) as web:
        web.hello()


def test_no_more_connections_than_clients():
    with RunningServer(config(max_clients=1)) as server, WebClient(server), pytest.raises(InvalidStatus) as refusal:
        WebClient(server)
    assert refusal.value.response.status_code == 503


def test_bye_closes_the_connection(server, web):
    conversation = server.conversation(web.open())
    assert web.ask("bye")["kind"] == "ok"
    assert web.close_code() == 1000
    assert conversation.closed.wait(PATIENCE_S)


def test_who_does_not_say_hello_is_closed(monkeypatch, server):
    monkeypatch.setattr("npc_engine.server.websocket.OPENING_S", 0.1)
    with WebClient(server) as web:
        assert web.close_code() == 1008


def test_a_silent_client_is_dropped():
    with RunningServer(config(client_timeout_s=0.1)) as server, WebClient(server) as web:
        conversation = server.conversation(web.hello().open())
        assert web.close_code() == 1008
        assert conversation.closed.wait(PATIENCE_S)


def test_a_client_killed_in_mid_turn_has_its_turn_cancelled(server, web):
    victim = WebClient(server).hello()
    conversation = server.conversation(victim.open())
    victim.send("say", conversation_id=conversation.id, text="endless")
    victim.until("token")
    victim.socket.socket.close()
    assert conversation.ended.wait(PATIENCE_S)
    assert conversation.closed.wait(PATIENCE_S)
    assert web.ask("health")["server"]["num_clients"] == 1


def test_a_client_that_does_not_read_is_dropped_and_others_talk_on(server, web):
    conversation_id = web.open()
    with WebClient(server, max_queue=1) as slow, BareClient(server.address) as bare:
        other_id = bare.hello().open()
        conversation = server.conversation(slow.hello().open())
        slow.send("say", conversation_id=conversation.id, text="flood")
        assert conversation.speaking.wait(PATIENCE_S)
        while not conversation.closed.is_set():
            web.send("say", conversation_id=conversation_id, text="Hi")
            assert web.until("turn_end")["finish_reason"] == "stop"
            bare.send("say", conversation_id=other_id, text="Hi")
            assert bare.until("turn_end")["finish_reason"] == "stop"
    assert web.ask("health")["server"]["num_clients"] == 2


def test_shutdown_cancels_the_turn_and_the_client_hears_it(server, web):
    conversation_id = web.open()
    web.send("say", conversation_id=conversation_id, text="wait")
    web.until("token")
    server.stop()
    assert web.until("turn_end")["finish_reason"] == "cancelled"
    assert web.close_code() == 1001
    server.join()
    assert (server.report.num_finished, server.report.num_cancelled) == (0, 1)


def test_the_door_is_off_unless_it_is_given_an_address():
    with RunningServer(free_port_config()) as server:
        assert server.websocket_address == ""


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("ws://0.0.0.0:0", UnsafeBind),
        ("ws://192.0.2.1:5571", UnsafeBind),
        ("ws://game.example:5571", UnsafeBind),
        ("ws://[::]:5571", UnsafeBind),
        ("wss://127.0.0.1:5571", ConfigError),
        ("tcp://127.0.0.1:5571", ConfigError),
        ("ws://127.0.0.1", ConfigError),
        ("ws://127.0.0.1:99999", ConfigError),
        ("", ConfigError),
    ],
)
async def test_an_address_that_is_refused_leaves_nothing_bound(address, kind):
    dialogue = ScriptedDialogue()
    with pytest.raises(NpcEngineError) as refusal:
        await Server(dialogue, config=config(websocket_address=address)).startup()
    assert (type(refusal.value), dialogue.started) == (kind, False)


async def test_a_taken_address_is_told(server):
    with pytest.raises(AddressInUse, match="in use"):
        await Server(ScriptedDialogue(), config=config(websocket_address=server.websocket_address)).startup()
