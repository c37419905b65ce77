"""The parts of PostgreSQL's frontend/backend protocol that the gateway speaks. Pure functions over bytes.

https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

CANCEL_REQUEST = 80877102
SSL_REQUEST = 80877103
GSSENC_REQUEST = 80877104
PROTOCOL_MAJOR = 3

# PostgreSQL's own limits: MAX_STARTUP_PACKET_LENGTH and PG_MAX_AUTH_TOKEN_LENGTH.
MAX_STARTUP = 10_000
MAX_PASSWORD = 65_535

_HEADER = struct.Struct("!cI")
_INT = struct.Struct("!I")

AUTHENTICATION = b"R"
ERROR = b"E"
AUTHENTICATION_CLEARTEXT = _HEADER.pack(AUTHENTICATION, 8) + _INT.pack(3)
SSL_YES = b"S"
NO = b"N"
DIRECT_TLS_FIRST_BYTE = 0x16  # a TLS record of type handshake


class ProtocolViolation(Exception):
    """What arrived is not PostgreSQL's protocol."""


def message(kind: bytes, payload: bytes) -> bytes:
    return _HEADER.pack(kind, len(payload) + 4) + payload


def header(data: bytes | bytearray, offset: int = 0) -> tuple[bytes, int]:
    """Type and full length, type byte included, of the message that starts at `offset`."""
    kind, length = _HEADER.unpack_from(data, offset)
    if length < 4:
        raise ProtocolViolation("message shorter than its own length field")
    return kind, length + 1


def error(severity: str, sqlstate: str, text: str, *, detail: str | None = None, hint: str | None = None) -> bytes:
    """An ErrorResponse."""
    fields = [("S", severity), ("V", severity), ("C", sqlstate), ("M", text)]
    if detail is not None:
        fields.append(("D", detail))
    if hint is not None:
        fields.append(("H", hint))
    return message(ERROR, b"".join(f"{code}{value}".encode() + b"\0" for code, value in fields) + b"\0")


def error_fields(payload: bytes) -> dict[str, str]:
    """The fields of an ErrorResponse, by their one-letter code."""
    return {part[:1].decode(): part[1:].decode("utf-8", "replace") for part in payload.split(b"\0") if part}


def startup_parameters(payload: bytes) -> dict[str, str]:
    """Name/value pairs of a StartupMessage, without its length and version."""
    parts = payload.split(b"\0")
    if len(parts) < 2 or parts[-1] or parts[-2] or len(parts) % 2:
        raise ProtocolViolation("invalid startup packet layout: expected terminator as last byte")
    try:
        texts = [part.decode() for part in parts[:-2]]
    except UnicodeDecodeError:
        raise ProtocolViolation("startup packet is not UTF-8") from None
    return dict(zip(texts[::2], texts[1::2], strict=True))


def startup(parameters: dict[str, str], version: int = PROTOCOL_MAJOR << 16) -> bytes:
    """A StartupMessage."""
    body = b"".join(name.encode() + b"\0" + value.encode() + b"\0" for name, value in parameters.items()) + b"\0"
    return _INT.pack(len(body) + 8) + _INT.pack(version) + body


def password(payload: bytes) -> str:
    """The text of a PasswordMessage."""
    if not payload.endswith(b"\0") or payload.count(b"\0") != 1:
        raise ProtocolViolation("invalid password packet")
    try:
        return payload[:-1].decode()
    except UnicodeDecodeError:
        raise ProtocolViolation("password is not UTF-8") from None


def query(sql: str) -> bytes:
    return message(b"Q", sql.encode() + b"\0")


class Framer:
    """Cuts a stream into whole messages, whatever the chunks it arrives in."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Type and whole bytes (header included) of every message that is complete now."""
        self._held += data
        held, start = self._held, 0
        while len(held) - start >= 5:
            kind, length = header(held, start)
            if len(held) - start < length:
                break
            yield kind, bytes(held[start : start + length])
            start += length
        if start:
            del held[:start]


def data_row(payload: bytes) -> list[str | None]:
    """The text columns of a DataRow."""
    (count,) = struct.unpack_from("!H", payload)
    columns: list[str | None] = []
    offset = 2
    for _ in range(count):
        (size,) = struct.unpack_from("!i", payload, offset)
        offset += 4
        if size < 0:
            columns.append(None)
        else:
            columns.append(payload[offset : offset + size].decode())
            offset += size
    return columns
