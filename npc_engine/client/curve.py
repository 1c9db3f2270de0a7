"""A client's CURVE keys, for a server on another machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import zmq.auth

from npc_engine.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class CurveKeys:
    """What a client needs to talk to a server with keys; Z85 text.

    Attributes:
        server_public_key: The server's public key.
        public_key: This client's public key; the server must know it.
        secret_key: This client's secret key.
    """

    server_public_key: bytes
    public_key: bytes
    secret_key: bytes = field(repr=False)

    @classmethod
    def load(cls, *, server_key: Path, client_secret_key: Path) -> CurveKeys:
        """Read the keys from two files of a key folder (`server.key` and `game.key_secret`).

        Raises:
            ConfigError: A file is missing or does not hold what it should.
        """
        try:
            server_public_key, _ = zmq.auth.load_certificate(server_key)
            public_key, secret_key = zmq.auth.load_certificate(client_secret_key)
        except (OSError, ValueError) as error:
            raise ConfigError(str(error), hint="make keys with `npc-engine serve --generate-keys DIR`") from error
        if secret_key is None:
            raise ConfigError(f"{client_secret_key} holds no secret key", hint="name the client's .key_secret file")
        return cls(server_public_key=server_public_key, public_key=public_key, secret_key=secret_key)
