"""The peer's end of the pipe: one JSON object a line in, one out. Needs nothing but the standard library.

A request is `{"op": NAME, ...}`, its answer `{"result": ...}` or `{"error": TEXT}`. Whatever the peer's library prints
goes to stderr, so that the pipe carries answers only.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any


def serve(open_peer: Callable[[dict[str, Any]], Mapping[str, Callable[..., Any]]]) -> None:
    """Answer requests until the pipe closes.

    Args:
        open_peer: Given the first request's fields (`{"op": "open", ...}`), returns the operations by name.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    operations: Mapping[str, Callable[..., Any]] = {}
    for line in sys.stdin:
        request = json.loads(line)
        name = request.pop("op")
        try:
            if name == "open":
                operations = open_peer(request)
                result = operations["describe"]()
            else:
                result = operations[name](**request)
            answer = {"result": result}
        except Exception as error:  # the parent shows it in the peer's column and goes on without the peer
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
