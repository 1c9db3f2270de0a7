"""Everything wrong that a client can send: a coded error, and the connection lives."""

import msgpack
import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from npc_engine.protocol.messages import REQUESTS
from tests.scripted import PATIENCE_S, BareClient, RunningServer, free_port_config

DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
NEARLY_MESSAGES = st.fixed_dictionaries(
    {}, optional={"kind": st.sampled_from(sorted(REQUESTS)) | DATA, "request_id": DATA, "text": DATA, "changes": DATA}
).filter(lambda fields: fields.get("kind") not in ("hello", "bye"))

WRONG_FRAMES = {
    "msgpack garbage": (b"\xc1\xff\x00", "NPC201"),
    "nothing": (b"", "NPC201"),
    "an array": (msgpack.packb(["hello"]), "NPC201"),
    "cut short": (msgpack.packb({"kind": "health", "request_id": 1})[:-1], "NPC201"),
    "bytes behind the map": (msgpack.packb({"kind": "health", "request_id": 1}) + b"\x00", "NPC201"),
    "not UTF-8": (b"\x82\xa4kind\xa6health\xa4name\xa2\xff\xfe", "NPC201"),
    "binary data": (msgpack.packb({"kind": "health", "request_id": 1, "x": b"raw"}), "NPC201"),
    "an extension type": (msgpack.packb({"kind": msgpack.ExtType(5, b"x")}), "NPC201"),
    "a timestamp": (msgpack.packb({"kind": msgpack.Timestamp(1)}), "NPC201"),
    "a key that is not text": (msgpack.packb({1: 2}), "NPC201"),
    "a key twice": (b"\x82\xa4kind\xa6health\xa4kind\xa3bye", "NPC201"),
    "not a number": (msgpack.packb({"kind": "health", "x": float("nan")}), "NPC201"),
    "an array that promises too much": (b"\x81\xa1x\xdd\xff\xff\xff\xff", "NPC201"),
    "too deep": (b"\x81\xa1x" * 17 + b"\xc0", "NPC201"),
    "very deep": (b"\x81\xa1x" * 100_000 + b"\xc0", "NPC201"),
    "no kind": (msgpack.packb({"request_id": 1}), "NPC202"),
    "no request id": (msgpack.packb({"kind": "health"}), "NPC202"),
}

WRONG_REQUESTS = {
    "an unknown kind": ("dance", {}, "NPC203"),
    "a kind of a later version": ("npc_say", {}, "NPC203"),
    "a kind of the server": ("turn_end", {}, "NPC203"),
    "an extra field": ("health", {"verbose": True}, "NPC202"),
    "a missing field": ("say", {"conversation_id": "c0"}, "NPC202"),
    "a wrong type": ("say", {"conversation_id": "c0", "text": 5}, "NPC202"),
    "an empty line": ("say", {"conversation_id": "c0", "text": ""}, "NPC202"),
    "an id too long": ("say", {"conversation_id": "c" * 129, "text": "Hi"}, "NPC202"),
    "a result and an error": (
        "action_result",
        {"conversation_id": "c0", "call_id": "x", "result": {}, "error": "no"},
        "NPC202",
    ),
    "neither result nor error": ("action_result", {"conversation_id": "c0", "call_id": "x"}, "NPC202"),
    "a second hello": ("hello", {"protocol_version": 1}, "NPC205"),
    "a wrong version": ("hello", {"protocol_version": 2}, "NPC204"),
    "an unknown character": ("open_conversation", {"character_id": "nobody", "player_id": "ada"}, "NPC301"),
    "a wrong state": (
        "open_conversation",
        {"character_id": "mara", "player_id": "ada", "state": {"trust": "x"}},
        "NPC309",
    ),
    "an unknown conversation": ("say", {"conversation_id": "c999", "text": "Hi"}, "NPC302"),
    "a line too long": ("say", {"conversation_id": "c0", "text": "x" * 2001}, "NPC305"),
    "an event too long": ("world_event", {"text": "x" * 2001}, "NPC305"),
    "an answer to no call": ("action_result", {"conversation_id": "c0", "call_id": "x", "result": {}}, "NPC308"),
}


@pytest.mark.parametrize("name", WRONG_FRAMES)
def test_a_wrong_frame_is_answered(client, name):
    frame, code = WRONG_FRAMES[name]
    reply = client.ask_raw(frame)
    assert (reply["kind"], reply["code"], reply["request_id"] in (None, 1)) == ("error", code, True)
    assert client.ask("health")["kind"] == "health_report"


@pytest.mark.parametrize("name", WRONG_REQUESTS)
def test_a_wrong_request_is_answered_by_its_id(client, name):
    kind, fields, code = WRONG_REQUESTS[name]
    assert client.open() == "c0"
    reply = client.ask(kind, **fields)
    assert (reply["kind"], reply["code"]) == ("error", code)
    assert reply["message"]
    assert client.ask("say", conversation_id="c0", text="Hi")["kind"] == "token"


@pytest.mark.parametrize("request_id", [-1, 1 << 53, True, "1", 1.0, None])
def test_a_request_id_that_is_none_is_not_repeated(client, request_id):
    reply = client.ask_raw(msgpack.packb({"kind": "health", "request_id": request_id}))
    assert (reply["code"], reply["request_id"]) == ("NPC202", None)


def test_nothing_comes_before_hello(bare):
    reply = bare.ask("say", conversation_id="c0", text="Hi")
    assert (reply["code"], "hello" in reply["hint"]) == ("NPC205", True)
    bare.hello()


def test_a_later_version_is_told_so_whatever_else_its_hello_says(bare):
    assert bare.ask("hello", protocol_version=2, features=["sound"])["code"] == "NPC204"
    bare.hello()


def test_two_frames_are_not_one_message(client):
    assert client.ask_raw(b"", msgpack.packb({"kind": "health", "request_id": 1}))["code"] == "NPC201"


def test_ten_megabytes_are_refused_with_a_code(client):
    conversation_id = client.open()
    reply = client.ask_raw(
        msgpack.packb({"kind": "say", "request_id": 9, "conversation_id": conversation_id, "text": "x" * 10_000_000})
    )
    assert (reply["code"], reply["request_id"]) == ("NPC206", None)
    assert client.ask("health")["kind"] == "health_report"


def test_a_frame_beyond_the_hard_limit_costs_only_its_own_connection():
    with RunningServer(free_port_config(max_frame_bytes=1024)) as server, BareClient(server.address) as victim:
        victim.hello()
        with BareClient(server.address) as rude:
            rude.hello()
            monitor = rude.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
            rude.socket.send(b"x" * 20_000)
            assert monitor.poll(PATIENCE_S * 1000)
            # ZeroMQ has made a new connection by itself, which the server does not know.
            assert rude.ask("health")["code"] == "NPC205"
        assert victim.ask("health")["kind"] == "health_report"


def test_one_turn_at_a_time(client):
    conversation_id = client.open()
    client.send("say", conversation_id=conversation_id, text="wait")
    client.until("token")
    assert client.ask("say", conversation_id=conversation_id, text="And?")["code"] == "NPC304"
    client.send("cancel", conversation_id=conversation_id)
    assert client.until("turn_end")["finish_reason"] == "cancelled"


def test_a_closed_conversation_is_told_from_an_unknown_one(client):
    conversation_id = client.open()
    assert client.ask("close_conversation", conversation_id=conversation_id)["kind"] == "conversation_closed"
    for kind, fields in (
        ("say", {"text": "Hi"}),
        ("cancel", {}),
        ("close_conversation", {}),
        ("set_state", {"changes": {}}),
    ):
        assert client.ask(kind, conversation_id=conversation_id, **fields)["code"] == "NPC303"


def test_another_clients_conversation_is_out_of_reach(server, client):
    conversation_id = client.open()
    client.send("say", conversation_id=conversation_id, text="act")
    call_id = client.until("action_call")["call_id"]
    with BareClient(server.address) as other:
        other.hello()
        for kind, fields in (
            ("say", {"text": "Hi"}),
            ("cancel", {}),
            ("action_result", {"call_id": call_id, "result": {}}),
            ("world_event", {"text": "It rains."}),
            ("set_state", {"changes": {"trust": 99}}),
            ("close_conversation", {}),
        ):
            assert other.ask(kind, conversation_id=conversation_id, **fields)["code"] == "NPC302"
        assert other.ask("world_event", text="It rains.")["kind"] == "ok"
    conversation = server.conversation(conversation_id)
    assert (conversation.state, conversation.heard_events, conversation.closed.is_set()) == ({}, [], False)
    client.send("action_result", conversation_id=conversation_id, call_id=call_id, result={"sold": True})
    assert client.until("turn_end")["finish_reason"] == "stop"


def test_the_dialogue_may_refuse_a_turn(client):
    conversation_id = client.open()
    reply = client.ask("say", conversation_id=conversation_id, text="busy")
    assert (reply["code"], reply["retry_after_s"], reply["hint"]) == ("NPC306", 2.5, "later")
    assert client.ask("say", conversation_id=conversation_id, text="Hi")["kind"] == "token"


@pytest.mark.parametrize("line", ["boom", "mute", "broken-trace"])
def test_a_bug_in_a_turn_is_logged_and_answered_without_its_reason(client, caplog, line):
    conversation_id = client.open()
    request_id = client.send("say", conversation_id=conversation_id, text=line)
    reply = client.until("error")
    assert (reply["code"], reply["request_id"]) == ("NPC500", request_id)
    assert "secret" not in str(reply)
    assert "Traceback" not in str(reply)
    assert any(f"request {request_id} " in record.message and record.exc_info for record in caplog.records)
    assert client.ask("say", conversation_id=conversation_id, text="Hi")["kind"] == "token"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=300) | NEARLY_MESSAGES.map(msgpack.packb))
def test_noise_is_answered_while_another_talks_on(server, client, noise):
    if not server.dialogue.conversations:
        client.open()
    with BareClient(server.address) as noisy:
        assert noisy.ask_raw(noise)["kind"] == "error"
    assert client.ask("say", conversation_id="c0", text="Still here.")["kind"] == "token"
    assert client.until("turn_end")["text"] == "Still here."
