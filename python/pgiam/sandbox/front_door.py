"""From an accepted socket to a connection whose startup packet was read: TLS or not, cancel or not.

What precedes TLS is read from the bare socket, byte by counted byte. So no plain byte can ever pass for a
decrypted one (CVE-2021-23214), and a TLS handshake that starts at once stays in the kernel for asyncio.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import weakref
from dataclasses import dataclass

from . import wire
from .relay import Disconnected, Side

_SSL_REQUEST = wire.SSL_REQUEST.to_bytes(4, "big")
_GSSENC_REQUEST = wire.GSSENC_REQUEST.to_bytes(4, "big")

_names: weakref.WeakKeyDictionary[ssl.SSLObject, str] = weakref.WeakKeyDictionary()


def remember_server_name(context: ssl.SSLContext) -> ssl.SSLContext:
    """Have `context` keep each client's SNI, for `Visitor.server_name`."""

    def note(connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        if name is not None and isinstance(connection, ssl.SSLObject):
            _names[connection] = name

    # https://github.com/python/typeshed types the callback for SSLSocket; with asyncio it is an SSLObject.
    context.sni_callback = note
    return context


@dataclass
class Visitor:
    """A client past the first exchange."""

    side: Side
    encrypted: bool
    server_name: str | None
    version: int
    parameters: dict[str, str]
    packet: bytes  # the startup packet whole, as the database shall get it


@dataclass
class Cancel:
    """A cancel request: the packet to hand on."""

    packet: bytes


@dataclass
class Opening:
    """What a client began with: TLS at once, TLS on request, or a plain packet."""

    wants_tls: bool
    direct: bool = False
    packet: bytes = b""


async def open_encounter(sock: socket.socket, *, offers_tls: bool) -> Opening:
    """Answer the requests that come before anything else. Leaves the socket with the caller."""
    loop = asyncio.get_running_loop()
    for _ in range(3):
        if await _peek(sock) == wire.DIRECT_TLS_FIRST_BYTE:
            if not offers_tls:
                raise wire.ProtocolViolation("direct TLS to a server without TLS")
            return Opening(wants_tls=True, direct=True)
        packet = await _read_packet(sock)
        if packet == _SSL_REQUEST and offers_tls:
            await loop.sock_sendall(sock, wire.SSL_YES)
            return Opening(wants_tls=True)
        if packet not in (_SSL_REQUEST, _GSSENC_REQUEST):
            return Opening(wants_tls=False, packet=packet)
        await loop.sock_sendall(sock, wire.NO)
    raise wire.ProtocolViolation("too many requests before the startup packet")


async def receive(sock: socket.socket, opening: Opening, context: ssl.SSLContext) -> Visitor | Cancel:
    """Lead a client up to its startup packet. Takes the socket over, whatever happens."""
    if not opening.wants_tls:
        return await _plain(sock, opening.packet)
    loop = asyncio.get_running_loop()
    transport, side = await loop.connect_accepted_socket(Side, sock, ssl=context, ssl_handshake_timeout=30)
    tls = transport.get_extra_info("ssl_object")
    try:
        if opening.direct and tls.selected_alpn_protocol() != "postgresql":
            raise wire.ProtocolViolation("direct TLS without the ALPN protocol 'postgresql'")
        return _visitor(side, await side.read_startup(), _names.get(tls), encrypted=True)
    except BaseException:
        transport.abort()
        raise


async def _plain(sock: socket.socket, packet: bytes) -> Visitor | Cancel:
    loop = asyncio.get_running_loop()
    transport, side = await loop.connect_accepted_socket(Side, sock)
    try:
        return _visitor(side, packet, None, encrypted=False)
    except BaseException:
        transport.abort()
        raise


def _visitor(side: Side, packet: bytes, server_name: str | None, *, encrypted: bool) -> Visitor | Cancel:
    code = int.from_bytes(packet[:4], "big")
    if code == wire.CANCEL_REQUEST:
        side.transport.close()
        return _cancel(packet)
    if code >> 16 != wire.PROTOCOL_MAJOR:
        raise wire.ProtocolViolation("unsupported frontend protocol")
    whole = (len(packet) + 4).to_bytes(4, "big") + packet
    return Visitor(side, encrypted, server_name, code, wire.startup_parameters(packet[4:]), whole)


def _cancel(packet: bytes) -> Cancel:
    return Cancel((len(packet) + 4).to_bytes(4, "big") + packet)


async def _read_packet(sock: socket.socket) -> bytes:
    """One packet without a type byte, without its length word."""
    length = int.from_bytes(await _read_exactly(sock, 4), "big")
    if not 8 <= length <= wire.MAX_STARTUP:
        raise wire.ProtocolViolation("invalid length of startup packet")
    return await _read_exactly(sock, length - 4)


async def _read_exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = await asyncio.get_running_loop().sock_recv(sock, size - len(data))
        if not part:
            raise Disconnected
        data += part
    return data


async def _peek(sock: socket.socket) -> int:
    while True:
        try:
            data = sock.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            await _readable(sock)
            continue
        if not data:
            raise Disconnected
        return data[0]


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    loop.add_reader(sock.fileno(), event.set)
    try:
        await event.wait()
    finally:
        loop.remove_reader(sock.fileno())
