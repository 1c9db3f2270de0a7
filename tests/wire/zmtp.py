"""ZMTP 3.1 over a plain TCP socket, written from its specification (RFC 37) and CurveZMQ's (RFC 26), without libzmq.

The vectors in zmtp.json are made and checked with it: a second implementation that agrees with libzmq is what makes
them worth copying into a third.
"""

import socket
import struct
from dataclasses import dataclass

from nacl.public import Box, PrivateKey, PublicKey

MORE, LONG, COMMAND = 1, 2, 4

# The eight bytes between may be any; these are libzmq's.
SIGNATURE = b"\xff" + b"\0" * 7 + b"\x01\x7f"
VERSION = b"\x03\x01"


def greeting(mechanism: str) -> bytes:
    """The 64 bytes that a client begins with."""
    return SIGNATURE + VERSION + mechanism.encode().ljust(20, b"\0") + b"\0" + b"\0" * 31


def frame(body: bytes, flags: int = 0) -> bytes:
    if len(body) > 255:
        return bytes([flags | LONG]) + struct.pack(">Q", len(body)) + body
    return bytes([flags, len(body)]) + body


def command(name: str, data: bytes) -> bytes:
    return frame(bytes([len(name)]) + name.encode() + data, COMMAND)


def metadata(**properties: str) -> bytes:
    """Properties as READY and INITIATE carry them; `_` stands for `-`."""
    data = b""
    for name, value in properties.items():
        key = name.replace("_", "-").encode()
        data += bytes([len(key)]) + key + struct.pack(">I", len(value)) + value.encode()
    return data


READY = command("READY", metadata(Socket_Type="DEALER", Identity=""))


@dataclass
class CurveClient:
    """The client's half of a CurveZMQ handshake, with keys and nonces that a caller fixes.

    Nonces are `prefix + counter`, the counter 8 bytes, big-endian, counting up over HELLO (1), INITIATE (2), messages.
    """

    server_public: bytes
    secret: PrivateKey
    transient: PrivateKey
    vouch_nonce: bytes  # 16 bytes

    def hello(self) -> bytes:
        """The HELLO command."""
        counter = struct.pack(">Q", 1)
        box = Box(self.transient, PublicKey(self.server_public))
        signature = box.encrypt(b"\0" * 64, b"CurveZMQHELLO---" + counter).ciphertext
        body = b"\x01\x00" + b"\0" * 72 + bytes(self.transient.public_key) + counter + signature
        return command("HELLO", body)

    def open_welcome(self, body: bytes) -> tuple[bytes, bytes]:
        """The server's transient public key and its cookie, from a WELCOME's body."""
        assert body[:8] == b"\x07WELCOME"
        nonce, sealed = body[8:24], body[24:]
        plain = Box(self.transient, PublicKey(self.server_public)).decrypt(sealed, b"WELCOME-" + nonce)
        return plain[:32], plain[32:]

    def initiate(self, server_transient: bytes, cookie: bytes) -> bytes:
        """The INITIATE command, the first with encrypted metadata."""
        vouched = bytes(self.transient.public_key) + self.server_public
        vouch_box = Box(self.secret, PublicKey(server_transient)).encrypt(vouched, b"VOUCH---" + self.vouch_nonce)
        plain = bytes(self.secret.public_key) + self.vouch_nonce + vouch_box.ciphertext
        plain += metadata(Socket_Type="DEALER", Identity="")
        counter = struct.pack(">Q", 2)
        sealed = Box(self.transient, PublicKey(server_transient)).encrypt(plain, b"CurveZMQINITIATE" + counter)
        return command("INITIATE", cookie + counter + sealed.ciphertext)

    def message(self, server_transient: bytes, body: bytes, *, counter: int) -> bytes:
        """One message as a MESSAGE frame. It is no ZMTP command: the frame's command bit stays clear."""
        nonce = struct.pack(">Q", counter)
        sealed = Box(self.transient, PublicKey(server_transient)).encrypt(b"\0" + body, b"CurveZMQMESSAGEC" + nonce)
        return frame(b"\x07MESSAGE" + nonce + sealed.ciphertext)

    def open_message(self, server_transient: bytes, body: bytes) -> bytes:
        """What a MESSAGE frame of the server holds."""
        assert body[:8] == b"\x07MESSAGE"
        opened = Box(self.transient, PublicKey(server_transient)).decrypt(body[16:], b"CurveZMQMESSAGES" + body[8:16])
        assert opened[:1] == b"\0", "a message is one frame"
        return opened[1:]


class Wire:
    """A plain TCP connection that reads whole ZMTP frames."""

    def __init__(self, connection: socket.socket):
        self.connection = connection

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def take(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self.connection.recv(count - len(data))
            if not piece:
                raise EOFError(f"closed after {data!r}")
            data += piece
        return data

    def frame(self) -> tuple[int, bytes]:
        """Flags and body of the next frame."""
        flags = self.take(1)[0]
        size = struct.unpack(">Q", self.take(8))[0] if flags & LONG else self.take(1)[0]
        return flags, self.take(size)
