"""Bytes to decoded fields and messages to bytes: one msgpack map a frame, within limits. No I/O.

What is refused beyond bad msgpack: keys that are not text, duplicate keys, binary and extension
types, NaN and infinities, integers outside 64 signed bits, and anything behind the map. Every
client language can hold what remains.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import msgpack

from npc_engine.errors import FrameTooLarge, MalformedMessage
from npc_engine.protocol.messages import Message

# Bounds what the decoder allocates for a header that promises more items than the frame holds.
MAX_ITEMS = 4096

_MIN_INT64, _MAX_INT64 = -(1 << 63), (1 << 63) - 1


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one side accepts in a frame.

    Attributes:
        max_frame_bytes: Largest frame.
        max_depth: Deepest nesting of maps and arrays; the message's own map is 1.
    """

    max_frame_bytes: int = 1 << 20
    max_depth: int = 16


def unpack(frame: bytes, limits: Limits) -> dict[str, Any]:
    """Decode one frame to plain data: None, bool, int, float, str, list and dict.

    Raises:
        FrameTooLarge: The frame has more than `limits.max_frame_bytes`; it was not decoded.
        MalformedMessage: The bytes are not one msgpack map of what this module's docstring allows.
    """
    _check_size(frame, limits)
    try:
        fields = msgpack.unpackb(
            frame, object_pairs_hook=_unique_keys, max_array_len=MAX_ITEMS, max_map_len=MAX_ITEMS, max_ext_len=0
        )
    except MalformedMessage:
        raise
    # ValueError covers msgpack's own errors, UnicodeDecodeError and the length limits.
    except (ValueError, OverflowError) as error:
        reason = str(error)[:200] or type(error).__name__
        raise MalformedMessage(f"not a msgpack message: {reason}", hint="send one msgpack map a frame") from None
    if not isinstance(fields, dict):
        raise MalformedMessage(
            f"a message is a msgpack map, not {type(fields).__name__}", hint="send one msgpack map a frame"
        )
    _check_data(fields, depth_left=limits.max_depth)
    return fields


def pack(message: Message, limits: Limits, *, only_given: bool = False) -> bytes:
    """Encode one message; the inverse of `unpack` and the message's parser.

    Args:
        message: The message.
        limits: What the other side accepts.
        only_given: Leave out fields that were not given when the message was made.

    Raises:
        FrameTooLarge: The encoded message has more than `limits.max_frame_bytes`.
        MalformedMessage: The message holds data that `unpack` would refuse.
    """
    fields = {"kind": message.kind, **message.model_dump(exclude_unset=only_given)}
    _check_data(fields, depth_left=limits.max_depth)
    frame: bytes = msgpack.packb(fields)
    _check_size(frame, limits)
    return frame


def _check_size(frame: bytes, limits: Limits) -> None:
    if len(frame) > limits.max_frame_bytes:
        raise FrameTooLarge(
            f"a frame of {len(frame)} bytes; at most {limits.max_frame_bytes} are accepted",
            hint="shorten the text or the data; the limit is max_frame_bytes",
        )


def _unique_keys(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise MalformedMessage("a map has the same key twice", hint="send each key once")
    return fields


def _check_data(value: Any, *, depth_left: int) -> None:
    if isinstance(value, dict):
        if depth_left == 0:
            raise MalformedMessage("nested too deep", hint="the limit is max_message_depth")
        _check_count(value)
        for key, item in value.items():
            if not isinstance(key, str):
                raise MalformedMessage("a map key is not text", hint="write every key as text, numbers too")
            _check_data(item, depth_left=depth_left - 1)
    elif isinstance(value, list):
        if depth_left == 0:
            raise MalformedMessage("nested too deep", hint="the limit is max_message_depth")
        _check_count(value)
        for item in value:
            _check_data(item, depth_left=depth_left - 1)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise MalformedMessage("a number is NaN or infinite", hint="send nil where there is no number")
    elif isinstance(value, int):
        if not _MIN_INT64 <= value <= _MAX_INT64:
            raise MalformedMessage("an integer does not fit 64 signed bits", hint="send it as text")
    elif value is not None and not isinstance(value, str):
        raise MalformedMessage(
            f"data of type {type(value).__name__} has no place in a message",
            hint="nil, booleans, integers, floats, text, arrays and maps only",
        )


def _check_count(items: dict[str, Any] | list[Any]) -> None:
    if len(items) > MAX_ITEMS:
        raise MalformedMessage(
            f"a map or array of {len(items)} items; at most {MAX_ITEMS} are accepted", hint="send less data"
        )
