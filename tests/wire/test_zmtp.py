"""The ZMTP vectors agree with libzmq, and the real server takes their bytes however they are cut."""

import itertools
import json
import socket
from pathlib import Path
from urllib.parse import urlsplit

import msgpack
import pytest
import zmq
from nacl.public import Box, PrivateKey, PublicKey
from zmq.utils import z85

from npc_engine.server.conformance import run as conformance
from tests.scripted import PATIENCE_S, RunningServer, free_port_config
from tests.wire import zmtp

VECTORS = json.loads((Path(__file__).parent / "zmtp.json").read_text(encoding="utf-8"))
NULL, CURVE, FRAGMENTS = VECTORS["null"], VECTORS["curve"], VECTORS["fragments"]


def data(vector, name):
    return bytes.fromhex(vector[name])


@pytest.fixture
def context():
    made = zmq.Context()
    yield made
    made.destroy(linger=0)


@pytest.fixture
def router(context):
    """A libzmq ROUTER on a free port, without CURVE until a test says so."""
    made = context.socket(zmq.ROUTER)
    made.rcvtimeo = int(PATIENCE_S * 1000)
    return made


def wire_to(port):
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return zmtp.Wire(connection)


def shake_hands(wire):
    """The server's half; a message before it would cost the connection."""
    assert wire.take(64) == data(NULL, "greeting")
    assert wire.take(len(data(NULL, "server_ready"))) == data(NULL, "server_ready")


def test_a_libzmq_dealer_sends_the_null_handshake(context):
    with socket.create_server(("127.0.0.1", 0)) as listener, context.socket(zmq.DEALER) as dealer:
        dealer.linger = 0
        dealer.connect(f"tcp://127.0.0.1:{listener.getsockname()[1]}")
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(PATIENCE_S)
            wire = zmtp.Wire(connection)
            wire.send(data(NULL, "greeting"))
            assert wire.take(64) == data(NULL, "greeting")
            assert wire.take(len(data(NULL, "client_ready"))) == data(NULL, "client_ready")
            wire.send(data(NULL, "server_ready"))
            for size in (0, 255, 256):
                dealer.send(b"G" * size)
                assert wire.frame() == (zmtp.LONG if size > 255 else 0, b"G" * size)


def test_a_libzmq_router_answers_the_null_handshake_and_ping(router):
    wire = wire_to(router.bind_to_random_port("tcp://127.0.0.1"))
    with wire.connection:
        wire.send(data(NULL, "greeting") + data(NULL, "client_ready"))
        shake_hands(wire)
        ping, pong = (next(each for each in VECTORS["frames"] if word in each["name"]) for word in ("PING", "PONG"))
        wire.send(data(ping, "hex"))
        assert wire.frame() == (zmtp.COMMAND, data(pong, "body"))


@pytest.mark.parametrize("vector", VECTORS["frames"], ids=lambda vector: vector["name"])
def test_frames_are_read_as_they_say(vector):
    near, far = socket.socketpair()
    with near, far:
        near.sendall(data(vector, "hex"))
        assert zmtp.Wire(far).frame() == (vector["flags"], data(vector, "body"))


@pytest.mark.parametrize(
    "vector", [each for each in VECTORS["frames"] if each["flags"] in (0, zmtp.LONG)], ids=lambda vector: vector["name"]
)
def test_libzmq_takes_the_message_frames(router, vector):
    wire = wire_to(router.bind_to_random_port("tcp://127.0.0.1"))
    with wire.connection:
        wire.send(data(NULL, "greeting") + data(NULL, "client_ready"))
        shake_hands(wire)
        wire.send(data(vector, "hex"))
        assert router.recv_multipart()[1] == data(vector, "body")


@pytest.fixture(scope="module")
def server():
    with RunningServer(free_port_config()) as running:
        yield running


def send_cut(wire, stream, cuts):
    edges = [0, *cuts, len(stream)]
    assert edges == sorted(set(edges)), "cuts lie within the stream, in order"
    for start, end in itertools.pairwise(edges):
        wire.send(stream[start:end])


CUTS = [
    *((cut["at"], [], f"handshake, {cut['name']}") for cut in FRAGMENTS["handshake_cuts"]),
    *(([], cut["at"], f"messages, {cut['name']}") for cut in FRAGMENTS["cuts"]),
]


@pytest.mark.parametrize(("handshake_cuts", "cuts", "name"), CUTS, ids=[name for *_, name in CUTS])
def test_the_server_takes_a_stream_however_it_is_cut(server, handshake_cuts, cuts, name):
    wire = wire_to(urlsplit(server.address).port)
    with wire.connection:
        send_cut(wire, data(FRAGMENTS, "handshake"), handshake_cuts)
        shake_hands(wire)
        send_cut(wire, data(FRAGMENTS, "stream"), cuts)
        replies = [msgpack.unpackb(wire.frame()[1]) for _ in FRAGMENTS["messages"]]
    assert [(reply["kind"], reply["request_id"], reply.get("code")) for reply in replies] == [
        ("welcome", 1, None),
        ("characters", 2, None),
        ("ok", 3, None),
    ]


def test_the_stream_is_its_messages():
    near, far = socket.socketpair()
    with near, far:
        near.sendall(data(FRAGMENTS, "stream"))
        wire = zmtp.Wire(far)
        assert [wire.frame()[1].hex() for _ in FRAGMENTS["messages"]] == FRAGMENTS["messages"]


def curve_client():
    return zmtp.CurveClient(
        server_public=z85.decode(CURVE["server_public_key"].encode()),
        secret=PrivateKey(z85.decode(CURVE["client_secret_key"].encode())),
        transient=PrivateKey(data(CURVE, "client_transient_secret")),
        vouch_nonce=data(CURVE, "vouch_nonce"),
    )


def test_the_curve_vectors_follow_from_their_keys():
    client = curve_client()
    assert zmtp.greeting("CURVE") == data(CURVE, "greeting")
    assert bytes(client.transient.public_key) == data(CURVE, "client_transient_public")
    assert bytes(client.secret.public_key) == z85.decode(CURVE["client_public_key"].encode())
    assert client.hello() == data(CURVE, "hello")
    server_transient, cookie = client.open_welcome(data(CURVE, "welcome"))
    assert (server_transient, cookie) == (data(CURVE, "server_transient_public"), data(CURVE, "cookie"))
    assert client.initiate(server_transient, cookie) == data(CURVE, "initiate")
    ready = data(CURVE, "ready")
    opened = Box(client.transient, PublicKey(server_transient)).decrypt(ready[14:], b"CurveZMQREADY---" + ready[6:14])
    assert opened == data(CURVE, "ready_metadata") == zmtp.metadata(Socket_Type="ROUTER", Identity="")
    message = client.message(server_transient, data(CURVE, "message_body"), counter=CURVE["message_counter"])
    assert message == data(CURVE, "message")


def test_libzmq_accepts_the_curve_handshake(router):
    """The same code and keys as the vectors, in a live handshake: only the server's own nonces and keys are new."""
    router.curve_server = 1
    router.curve_publickey = conformance.CURVE_SERVER_PUBLIC_KEY.encode()
    router.curve_secretkey = conformance.CURVE_SERVER_SECRET_KEY.encode()
    wire, client = wire_to(router.bind_to_random_port("tcp://127.0.0.1")), curve_client()
    with wire.connection:
        wire.send(data(CURVE, "greeting"))
        assert wire.take(64)[12:32] == data(CURVE, "greeting")[12:32]
        wire.send(data(CURVE, "hello"))
        server_transient, cookie = client.open_welcome(wire.frame()[1])
        wire.send(client.initiate(server_transient, cookie))
        assert wire.frame()[1][:6] == b"\x05READY"
        wire.send(client.message(server_transient, b"good day", counter=3))
        identity, body = router.recv_multipart()
        assert body == b"good day"
        router.send_multipart([identity, b"well met"])
        assert client.open_message(server_transient, wire.frame()[1]) == b"well met"
