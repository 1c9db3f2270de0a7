"""The tables of messages, and errors as messages."""

import json
from pathlib import Path

import msgpack
import pytest

from npc_engine import errors
from npc_engine.errors import (
    InvalidMessage,
    NpcEngineError,
    Overloaded,
    RequestError,
    UnknownConversation,
    UnknownKind,
    UnsupportedVersion,
    error_class,
)
from npc_engine.protocol import messages
from npc_engine.protocol.failure import error_message, exception
from npc_engine.protocol.messages import REPLIES, REQUESTS, parse_reply, parse_request


def every_error():
    return [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, NpcEngineError)]


@pytest.mark.parametrize("table", [REQUESTS, REPLIES])
def test_each_model_names_the_kind_it_is_filed_under(table):
    assert {kind: model.model_fields["kind"].default for kind, model in table.items()} == {kind: kind for kind in table}


def test_no_kind_goes_both_ways():
    assert not set(REQUESTS) & set(REPLIES)
    with pytest.raises(UnknownKind, match="turn_end"):
        parse_request({"kind": "turn_end", "request_id": 1})
    with pytest.raises(UnknownKind, match="say"):
        parse_reply({"kind": "say", "request_id": 1})


def test_messages_do_not_change():
    message = parse_request({"kind": "health", "request_id": 1})
    with pytest.raises(ValueError, match="frozen"):
        message.request_id = 2


def test_every_problem_is_located():
    with pytest.raises(InvalidMessage) as caught:
        parse_request({"kind": "say", "request_id": "x", "text": "", "loud": True})
    text = caught.value.message
    for place in ("say.request_id", "say.conversation_id", "say.text", "say.loud"):
        assert place in text


def test_many_problems_are_counted_not_listed():
    with pytest.raises(InvalidMessage, match="and 96 more"):
        parse_request({"kind": "health", "request_id": 1} | {f"field {number}": 0 for number in range(101)})


@pytest.mark.parametrize("version", [0, 2, -1, 99])
def test_another_version_is_named(version):
    with pytest.raises(UnsupportedVersion, match=f"version {version},"):
        parse_request({"kind": "hello", "request_id": 1, "protocol_version": version})


@pytest.mark.parametrize("version", [None, "1", 1.0, True])
def test_a_version_that_is_no_number_is_invalid(version):
    with pytest.raises(InvalidMessage, match="protocol_version"):
        parse_request({"kind": "hello", "request_id": 1, "protocol_version": version})


def test_codes_are_unique_and_lead_back_to_their_class():
    classes = every_error()
    assert len({each.code for each in classes}) == len(classes)
    for each in classes:
        assert error_class(each.code) is each
    assert error_class("NPC999") is None


def test_an_error_survives_the_wire():
    known = exception(error_message(UnknownConversation("no 'c1'", hint="look again"), request_id=4))
    assert (type(known), known.message, known.hint) == (UnknownConversation, "no 'c1'", "look again")
    overloaded = exception(error_message(Overloaded("full", retry_after_s=1.5), request_id=4))
    assert isinstance(overloaded, Overloaded)
    assert overloaded.retry_after_s == 1.5


@pytest.mark.parametrize("each", every_error(), ids=lambda each: each.code)
def test_every_code_can_be_raised_from_the_wire(each):
    message = messages.Error(request_id=1, code=each.code, message="why", hint="")
    assert type(exception(message)) is each


def test_a_code_of_a_later_release_keeps_its_group_and_its_code():
    later = exception(messages.Error(request_id=1, code="NPC377", message="new", hint=""))
    assert (type(later), later.code) == (RequestError, "NPC377")
    assert RequestError.code == "NPC300"
    assert type(exception(messages.Error(request_id=1, code="odd", message="new", hint=""))) is NpcEngineError


def test_a_client_leaves_out_what_a_newer_server_added():
    vectors = json.loads((Path(__file__).parents[1] / "wire" / "messages.json").read_text(encoding="utf-8"))["messages"]
    unpacked = [msgpack.unpackb(bytes.fromhex(one["hex"])) for one in vectors]
    fields = next(one for one in unpacked if one["kind"] == "welcome")
    more = fields | {"mood": "calm", "limits": fields["limits"] | {"max_moods": 3}}
    assert parse_reply(more) == parse_reply(fields)
