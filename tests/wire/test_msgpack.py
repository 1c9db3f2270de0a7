"""The message vectors, read and written by another msgpack implementation than the engine's."""

import json
from pathlib import Path

import pytest
import umsgpack

WIRE = Path(__file__).parent
MESSAGES = json.loads((WIRE / "messages.json").read_text(encoding="utf-8"))["messages"]
REFUSED = json.loads((WIRE / "refused.json").read_text(encoding="utf-8"))["frames"]

# Legal msgpack that the protocol refuses, each for a reason of its own: umsgpack reads them.
REFUSED_BY_THE_PROTOCOL_ALONE = {
    "an array",
    "nil",
    "bytes behind the map",
    "a second message behind the first",
    "binary data",
    "an extension type",
    "a timestamp",
    "a key that is a number",
    "a key that is binary",
    "NaN",
    "infinity",
    "an integer beyond 64 signed bits",
    "17 maps in one another",
    "an array of 4097 items",
}


def by_name(vector):
    return vector["name"]


@pytest.mark.parametrize("vector", MESSAGES, ids=by_name)
def test_another_implementation_reads_the_meaning(vector):
    read = umsgpack.unpackb(bytes.fromhex(vector["hex"]))
    optional = {name: None for name in vector["meaning"] if name not in read}
    assert optional == {} or not vector["canonical"]
    assert read | optional == vector["meaning"]


@pytest.mark.parametrize("vector", [each for each in MESSAGES if each["canonical"]], ids=by_name)
def test_another_implementation_writes_the_same_bytes(vector):
    assert umsgpack.packb(vector["meaning"], force_float_precision="double").hex() == vector["hex"]


@pytest.mark.parametrize("vector", [each for each in REFUSED if each["code"] == "NPC201"], ids=by_name)
def test_another_implementation_refuses_what_is_no_msgpack(vector):
    frame = bytes.fromhex(vector["hex"])
    try:
        umsgpack.unpackb(frame)
    except (umsgpack.UnpackException, ValueError, TypeError, RecursionError):
        is_read = False
    else:
        is_read = True
    assert is_read == (vector["name"] in REFUSED_BY_THE_PROTOCOL_ALONE)


@pytest.mark.parametrize("vector", [each for each in REFUSED if each["code"] != "NPC201"], ids=by_name)
def test_another_implementation_reads_what_only_its_fields_make_wrong(vector):
    assert isinstance(umsgpack.unpackb(bytes.fromhex(vector["hex"])), dict)
