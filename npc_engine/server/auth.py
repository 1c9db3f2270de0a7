"""Where the server may listen, and CURVE keys: made, loaded, and held to an allow-list.

A key folder, as `generate_keys` makes it:

    server.key            the server's public key; every client needs it
    server.key_secret     stays on the server (`curve_secret_key_file`)
    clients/game.key      public keys of the clients that may connect, one file each
    game.key_secret       a first client's secret key; move it to the game

Off loopback, a client whose public key is not in `clients/` is turned away before its first message.
"""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import zmq
import zmq.auth

from npc_engine.config import EngineConfig
from npc_engine.errors import ConfigError, UnsafeBind

ALLOWED_CLIENTS_FOLDER = "clients"

_WEBSOCKET_ADDRESS = re.compile(r"ws://(?P<host>\[[^\]]+\]|[^:/\[\]]+):(?P<port>\d{1,5})/?")
_TCP_ADDRESS = re.compile(r"tcp://(?P<host>\[[^\]]+\]|[^:\[\]]+):(?P<port>\d{1,5}|\*)")


@dataclass(frozen=True, kw_only=True)
class BindAddress:
    """Where to listen.

    Attributes:
        endpoint: For `zmq_bind`; port 0 means any free one.
        is_loopback: Whether only this machine can reach it.
        is_ipv6: Whether the host is an IPv6 address.
    """

    endpoint: str
    is_loopback: bool
    is_ipv6: bool


@dataclass(frozen=True, kw_only=True)
class ServerKeys:
    """The server's CURVE key pair (Z85 text) and the folder of client keys it accepts."""

    public_key: bytes
    secret_key: bytes
    allowed_clients: Path


def parse_address(address: str) -> BindAddress:
    """Read a bind address such as `tcp://127.0.0.1:5570`.

    `localhost` is taken as 127.0.0.1, so that no hosts file can widen it; every other name counts as not loopback.

    Raises:
        ConfigError: Not `tcp://HOST:PORT`.
    """
    match = _TCP_ADDRESS.fullmatch(address)
    port = match["port"].replace("*", "0") if match else ""
    if match is None or int(port) > 65535:
        raise ConfigError(f"address {address!r} is not tcp://HOST:PORT", hint="for example tcp://127.0.0.1:5570")
    host = "127.0.0.1" if match["host"] == "localhost" else match["host"]
    try:
        ip = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return BindAddress(endpoint=f"tcp://{host}:{port}", is_loopback=False, is_ipv6=False)
    return BindAddress(endpoint=f"tcp://{host}:{port}", is_loopback=ip.is_loopback, is_ipv6=ip.version == 6)


def parse_websocket_address(address: str) -> tuple[str, int]:
    """Host and port of a WebSocket address; refuses what other machines can reach.

    Raises:
        ConfigError: Not `ws://HOST:PORT`.
        UnsafeBind: The host is not loopback.
    """
    match = _WEBSOCKET_ADDRESS.fullmatch(address)
    if match is None or int(match["port"]) > 65535:
        raise ConfigError(
            f"websocket_address {address!r} is not ws://HOST:PORT", hint="for example ws://127.0.0.1:5571"
        )
    # As at the ZeroMQ door: no hosts file may widen it.
    host = "127.0.0.1" if match["host"] == "localhost" else match["host"].strip("[]")
    with suppress(ValueError):
        if ipaddress.ip_address(host).is_loopback:
            return host, int(match["port"])
    raise UnsafeBind(
        f"{address} can be reached from other machines, and this door has no encryption of its own",
        hint="bind ws://127.0.0.1:PORT and let a reverse proxy with TLS and authentication stand before it",
    )


def check_listening(config: EngineConfig) -> tuple[BindAddress, ServerKeys | None]:
    """Where this configuration listens and with which keys; refuses to listen where others can reach without any.

    Returns:
        The ZeroMQ address and its keys.

    Raises:
        UnsafeBind: The address is not loopback and there are no keys, or the WebSocket address is not loopback.
        ConfigError: An address or the key file is wrong.
    """
    if config.websocket_address is not None:
        parse_websocket_address(config.websocket_address)
    address = parse_address(config.address)
    if config.curve_secret_key_file is not None:
        return address, load_keys(config.curve_secret_key_file)
    if not address.is_loopback:
        raise UnsafeBind(
            f"{address.endpoint} can be reached from other machines and no CURVE keys are configured",
            hint="bind tcp://127.0.0.1:PORT, or make keys with `npc-engine serve --generate-keys DIR`"
            " and name its server.key_secret with --keys",
        )
    return address, None


def generate_keys(folder: Path) -> None:
    """Make a key folder as this module's docstring draws it.

    Raises:
        ConfigError: The folder already holds a file of that name, or cannot be written; no existing key is touched.
    """
    clients = folder / ALLOWED_CLIENTS_FOLDER
    try:
        for path in (folder / "server.key_secret", folder / "game.key_secret", clients / "game.key"):
            if path.exists():
                raise ConfigError(f"{path} already exists", hint="choose an empty folder; keys are never overwritten")
        clients.mkdir(parents=True, exist_ok=True)
        zmq.auth.create_certificates(folder, "server")
        zmq.auth.create_certificates(folder, "game")
        (folder / "game.key").replace(clients / "game.key")
        for secret in (folder / "server.key_secret", folder / "game.key_secret"):
            secret.chmod(0o600)
    except OSError as error:
        raise ConfigError(
            f"cannot write keys to {folder}: {error.strerror or error}", hint="choose a folder that you may write"
        ) from error


def load_keys(secret_key_file: Path) -> ServerKeys:
    """Load the server's keys and find the folder of accepted clients beside them.

    Raises:
        ConfigError: The file is missing or holds no key pair, or there is no client key beside it.
    """
    try:
        public_key, secret_key = zmq.auth.load_certificate(secret_key_file)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"curve_secret_key_file {secret_key_file}: {error}",
            hint="make keys with `npc-engine serve --generate-keys DIR`",
        ) from error
    if secret_key is None:
        raise ConfigError(f"{secret_key_file} holds no secret key", hint="name the .key_secret file")
    allowed_clients = secret_key_file.parent / ALLOWED_CLIENTS_FOLDER
    if not any(allowed_clients.glob("*.key")):
        raise ConfigError(
            f"no client keys (*.key) in {allowed_clients}", hint="put the public keys of the clients there"
        )
    return ServerKeys(public_key=public_key, secret_key=secret_key, allowed_clients=allowed_clients)
