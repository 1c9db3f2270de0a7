"""Bytes and messages, both ways, and what is refused."""

import json
from contextlib import suppress
from pathlib import Path

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from npc_engine.errors import FrameTooLarge, MalformedMessage, NpcEngineError, ProtocolError
from npc_engine.protocol import codec, messages
from npc_engine.protocol.codec import MAX_ITEMS, Limits, pack, unpack
from npc_engine.protocol.messages import REPLIES, REQUESTS, parse_reply, parse_request

WIRE = Path(__file__).parents[1] / "wire"
VECTORS = json.loads((WIRE / "messages.json").read_text(encoding="utf-8"))
REFUSED = json.loads((WIRE / "refused.json").read_text(encoding="utf-8"))
LIMITS = Limits()

TEXT = st.text(max_size=20)
IDS = st.text(min_size=1, max_size=20)
REQUEST_IDS = st.integers(0, messages.MAX_REQUEST_ID)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
DATA = st.dictionaries(TEXT, VALUES, max_size=4)
TURN = {"request_id": REQUEST_IDS, "conversation_id": IDS}

MESSAGES = st.one_of(
    st.builds(messages.Hello, request_id=REQUEST_IDS, protocol_version=st.just(1), client=TEXT),
    st.builds(
        messages.OpenConversation,
        request_id=REQUEST_IDS,
        character_id=IDS,
        player_id=IDS,
        player_name=st.none() | TEXT,
        state=DATA,
    ),
    st.builds(messages.Say, text=st.text(min_size=1), **TURN),
    st.builds(messages.ActionResult, call_id=IDS, result=DATA, error=st.none(), **TURN),
    st.builds(messages.ActionResult, call_id=IDS, result=st.none(), error=IDS, **TURN),
    st.builds(messages.SetState, changes=DATA, **TURN),
    st.builds(messages.Token, text=TEXT, **TURN),
    st.builds(messages.ActionCall, call_id=IDS, name=TEXT, arguments=DATA, **TURN),
    st.builds(
        messages.TurnEnd,
        text=TEXT,
        finish_reason=st.sampled_from(["stop", "length", "cancelled", "guard"]),
        source=st.sampled_from(["model", "fallback", "none"]),
        trace=DATA,
        **TURN,
    ),
    st.builds(
        messages.Error,
        request_id=st.none() | REQUEST_IDS,
        code=TEXT,
        message=TEXT,
        hint=TEXT,
        retry_after_s=st.none() | st.floats(0, 1e9),
    ),
)


def parse(fields):
    return parse_request(fields) if fields.get("kind") in REQUESTS else parse_reply(fields)


@given(MESSAGES)
def test_a_message_survives_the_wire(message):
    assert parse(unpack(pack(message, LIMITS), LIMITS)) == message


@given(st.binary(max_size=400))
@example(b"")
@example(b"\x80")
def test_any_bytes_are_a_message_or_a_coded_error(frame):
    for parser in (parse_request, parse_reply):
        with suppress(ProtocolError):
            assert isinstance(parser(unpack(frame, LIMITS)), messages.Message)


@given(MESSAGES, st.data())
def test_a_damaged_message_is_a_message_or_a_coded_error(message, data):
    frame = bytearray(pack(message, LIMITS))
    frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ProtocolError):
        assert isinstance(parse(unpack(bytes(frame), LIMITS)), messages.Message)


@given(MESSAGES, st.integers(min_value=1, max_value=10))
def test_a_message_cut_short_or_drawn_out_is_refused(message, count):
    frame = pack(message, LIMITS)
    for wrong in (frame[:-count], frame + b"\0" * count):
        with pytest.raises(MalformedMessage):
            unpack(wrong, LIMITS)


@pytest.mark.parametrize("vector", VECTORS["messages"], ids=lambda vector: vector["name"])
def test_the_golden_vectors_decode_and_encode(vector):
    frame = bytes.fromhex(vector["hex"])
    table, parser = {
        "client_to_server": (REQUESTS, parse_request),
        "server_to_client": (REPLIES, parse_reply),
    }[vector["direction"]]
    message = parser(unpack(frame, LIMITS))
    assert message == table[vector["meaning"]["kind"]].model_validate(vector["meaning"])
    assert message.model_dump() == vector["meaning"]
    if vector["canonical"]:
        assert pack(message, LIMITS) == frame


def test_the_golden_vectors_hold_every_kind():
    assert {vector["meaning"]["kind"] for vector in VECTORS["messages"]} == set(REQUESTS) | set(REPLIES)


@pytest.mark.parametrize("vector", REFUSED["frames"], ids=lambda vector: vector["name"])
def test_the_golden_refusals_are_refused(vector):
    with pytest.raises(ProtocolError) as caught:
        parse_request(unpack(bytes.fromhex(vector["hex"]), LIMITS))
    assert caught.value.code == vector["code"]


def test_limits_hold_exactly():
    message = messages.Say(request_id=1, conversation_id="c", text="x" * 1000)
    frame = pack(message, LIMITS)
    exact = Limits(max_frame_bytes=len(frame))
    assert parse(unpack(pack(message, exact), exact)) == message
    below = Limits(max_frame_bytes=len(frame) - 1)
    with pytest.raises(FrameTooLarge):
        pack(message, below)
    with pytest.raises(FrameTooLarge):
        unpack(frame, below)


def nested(depth):
    value = {}
    for _ in range(depth - 1):
        value = {"x": value}
    return value


def test_depth_counts_the_message_as_one():
    fits = messages.SetState(request_id=1, conversation_id="c", changes=nested(15))
    assert parse(unpack(pack(fits, LIMITS), LIMITS)) == fits
    deep = messages.SetState(request_id=1, conversation_id="c", changes=nested(16))
    with pytest.raises(MalformedMessage, match="too deep"):
        pack(deep, LIMITS)
    with pytest.raises(MalformedMessage, match="too deep"):
        unpack(msgpack.packb(deep.model_dump()), LIMITS)


@pytest.mark.parametrize(
    "value", [1 << 63, -(1 << 63) - 1, [0] * (MAX_ITEMS + 1), {str(n): 0 for n in range(MAX_ITEMS + 1)}]
)
def test_what_could_not_be_read_is_not_written(value):
    with pytest.raises(MalformedMessage):
        pack(messages.SetState(request_id=1, conversation_id="c", changes={"x": value}), LIMITS)


def test_a_huge_promise_costs_nothing():
    for header in (b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff"):
        with pytest.raises(MalformedMessage):
            unpack(b"\x81\xa1x" + header, LIMITS)


def test_refusals_never_repeat_what_was_said():
    secret = "the player's secret"
    for fields in ({"kind": "say", "request_id": 1, "text": [secret]}, {"kind": "health", "request_id": secret}):
        with pytest.raises(NpcEngineError) as caught:
            parse_request(codec.unpack(msgpack.packb(fields), LIMITS))
        assert secret not in str(caught.value)
