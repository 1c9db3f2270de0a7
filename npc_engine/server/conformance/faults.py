"""Frames that no sound server sends, for lines that ask for them: `fault unknown_kind` and so on.

bindings/CONFORMANCE.md has the table of fault lines; it and this module say the same.
"""

from __future__ import annotations

import random
from typing import Any

import msgpack

from npc_engine.protocol import messages
from npc_engine.protocol.messages import MAX_REQUEST_ID
from npc_engine.server.sessions import Client, Sessions

GHOST = "Ghost"
NUM_RANDOM_FRAMES = 50
MAX_RANDOM_BYTES = 199
NUM_OVERSIZED_CHARS = 200_000

_FAULT_PREFIX = "fault "


class FaultySessions(Sessions):
    """Sessions that play the fault lines; everything else is as always."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What each turn with a fault line has sent so far.
        self._turns_with_faults: dict[tuple[Client, int], tuple[str, list[bytes]]] = {}

    def _handle(self, client: Client, request: messages.Request) -> None:
        if isinstance(request, messages.Say) and request.text.startswith(_FAULT_PREFIX):
            name = request.text.removeprefix(_FAULT_PREFIX)
            self._turns_with_faults[client, request.request_id] = (name, [])
        super()._handle(client, request)

    def _frames(self, client: Client, reply: messages.Reply) -> list[bytes]:
        frames = super()._frames(client, reply)
        key = (client, -1 if reply.request_id is None else reply.request_id)
        if key not in self._turns_with_faults:
            return frames
        name, sent = self._turns_with_faults[key]
        is_first = not sent
        if name == "unknown_field":
            frames = [_packed(reply.model_dump() | {"mood": "calm", "extra": {"deep": [1, 2.5, None]}})]
        sent += frames
        if is_first and isinstance(reply, messages.TurnMessage):
            frames = [*_before(name, reply), *frames]
        if reply.kind in ("turn_end", "error"):
            del self._turns_with_faults[key]
            if name == "replay":
                frames = [*frames, *sent]
        return frames


def _before(name: str, reply: messages.TurnMessage) -> list[bytes]:
    """What comes before a turn's first message."""
    ghost = {
        "kind": "token",
        "request_id": reply.request_id,
        "conversation_id": reply.conversation_id,
        "text": GHOST,
    }
    match name:
        case "unknown_kind":
            report = {"kind": "weather_report", "conversation_id": reply.conversation_id, "rain": True}
            return [_packed(report | {"request_id": request_id}) for request_id in (reply.request_id, None)]
        case "unknown_request":
            error = {"kind": "error", "message": "not yours", "hint": "", "retry_after_s": None}
            return [
                _packed(ghost | {"request_id": MAX_REQUEST_ID - 1}),
                _packed({"kind": "ok", "request_id": MAX_REQUEST_ID - 2, "cancelled": None}),
                _packed(error | {"request_id": MAX_REQUEST_ID - 3, "code": "NPC302"}),
                _packed(error | {"request_id": None, "code": "NPC201"}),
            ]
        case "truncated":
            frame = _packed(ghost)
            return [frame[: len(frame) // 2]]
        case "random":
            # A fixed seed: the same frames in every run.
            source = random.Random(1)
            return [source.randbytes(source.randint(0, MAX_RANDOM_BYTES)) for _ in range(NUM_RANDOM_FRAMES)]
        case "oversized":
            return [_packed(ghost | {"text": "G" * NUM_OVERSIZED_CHARS})]
        case _:
            return []


def _packed(fields: dict[str, Any]) -> bytes:
    frame: bytes = msgpack.packb(fields)
    return frame
