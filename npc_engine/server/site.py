"""A few files that the WebSocket door hands out over plain HTTP, so that a browser of this machine can use it.

Only what was given is there, only for GET, only under the door's own loopback names: a foreign name in `Host` is that
of a page which had its name point here.
"""

from __future__ import annotations

import http
import mimetypes
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

# The page may load and reach nothing but its own files and this door.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' {sockets}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class Site:
    """Files by their path.

    Attributes:
        files: Bytes by path, such as `/index.html`, which `/` stands for.
    """

    files: Mapping[str, bytes]

    def respond(self, request: Request, names: Iterable[str]) -> Response:
        """The answer to a request that asks for no WebSocket.

        Args:
            request: What was asked.
            names: Hosts with ports that this door goes by.
        """
        names = list(names)
        if request.headers.get("Host", "") not in names:
            return _response(http.HTTPStatus.FORBIDDEN, b"use a loopback address\n", "text/plain", names)
        path = urlsplit(request.path).path
        path = "/index.html" if path == "/" else path
        if path not in self.files:
            return _response(http.HTTPStatus.NOT_FOUND, b"no such file\n", "text/plain", names)
        return _response(http.HTTPStatus.OK, self.files[path], _media_type(path), names)


def _media_type(path: str) -> str:
    # The system's own table may say otherwise for scripts, and browsers then refuse them.
    if path.endswith((".js", ".mjs")):
        return "text/javascript"
    return mimetypes.guess_type(path)[0] or "application/octet-stream"


def _response(status: http.HTTPStatus, body: bytes, media_type: str, names: list[str]) -> Response:
    is_text = media_type.startswith("text/")
    headers = Headers(
        {
            "Content-Type": f"{media_type}; charset=utf-8" if is_text else media_type,
            "Content-Length": str(len(body)),
            "Content-Security-Policy": _POLICY.format(sockets=" ".join(f"ws://{name}" for name in names)),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
            "Connection": "close",
        }
    )
    return Response(status.value, status.phrase, headers, body)
