"""Coded errors as messages and back: the code and the hint survive the wire."""

from __future__ import annotations

from npc_engine.errors import NpcEngineError, Overloaded, error_class
from npc_engine.protocol.messages import Error


def error_message(error: NpcEngineError, *, request_id: int | None) -> Error:
    """The message that tells a client of this error."""
    return Error(
        request_id=request_id,
        code=error.code,
        message=error.message,
        hint=error.hint,
        retry_after_s=error.retry_after_s if isinstance(error, Overloaded) else None,
    )


def exception(message: Error) -> NpcEngineError:
    """The error that this message tells of.

    A code this release does not know (of a newer server) becomes the base class of its group and keeps its code.
    """
    known = error_class(message.code) or error_class(message.code[:4] + "00") or NpcEngineError
    if issubclass(known, Overloaded):
        return known(message.message, retry_after_s=message.retry_after_s or 0.0, hint=message.hint)
    error = known(message.message, hint=message.hint)
    error.code = message.code
    return error
