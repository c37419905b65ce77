"""Two connections joined: what one side sends, the other gets, no faster than it can take it."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import cast

from . import wire

_HIGH_WATER = 256 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER with no time: close sends RST


class Disconnected(Exception):
    """The other side went away."""


class Side(asyncio.Protocol):
    """One connection. Read in turns with `read_message` until `join` lets the bytes flow by themselves."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self._held = bytearray()
        self._arrival: asyncio.Future[None] | None = None
        self._ended = False
        self._peer: Side | None = None
        self._rewrite: Callable[[bytes], bytes] | None = None
        self._on_activity: Callable[[], None] | None = None
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # --- asyncio's side ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._socket = transport.get_extra_info("socket")  # TLS forgets it as soon as it closes
        self.transport.set_write_buffer_limits(high=_HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        peer = self._peer
        if peer is None:
            self._held += data
            if len(self._held) > _HIGH_WATER:
                self.transport.pause_reading()
            self._wake()
            return
        if self._on_activity is not None:
            self._on_activity()
        if self._rewrite is not None:
            try:
                data = self._rewrite(data)
            except (wire.ProtocolViolation, ValueError):
                self.transport.abort()
                return
        peer.transport.write(data)

    def eof_received(self) -> bool:
        self._ended = True
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._wake()
        if not self.closed.done():
            self.closed.set_result(None)
        if self._peer is not None:
            self._peer.transport.close()  # after what is still to be written
            self._peer.resume_reading()

    def pause_writing(self) -> None:
        if self._peer is not None and not self._peer.transport.is_closing():
            self._peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._peer is not None:
            self._peer.resume_reading()

    # --- ours -------------------------------------------------------------------------------------

    def resume_reading(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()

    async def read_message(self, limit: int) -> tuple[bytes, bytes]:
        """Type and payload of one message; a longer one than `limit` is a violation."""
        await self._fill(5)
        kind, length = wire.header(self._held)
        if length > limit:
            raise wire.ProtocolViolation("message is too long")
        await self._fill(length)
        payload = bytes(self._held[5:length])
        del self._held[:length]
        return kind, payload

    async def read_startup(self) -> bytes:
        """A startup packet without its length word. Nothing else follows it unasked, but a cancel might."""
        await self._fill(4)
        length = int.from_bytes(self._held[:4], "big")
        if not 8 <= length <= wire.MAX_STARTUP:
            raise wire.ProtocolViolation("invalid length of startup packet")
        await self._fill(length)
        packet = bytes(self._held[4:length])
        del self._held[:length]
        return packet

    def join(
        self,
        peer: Side,
        rewrite: Callable[[bytes], bytes] | None = None,
        on_activity: Callable[[], None] | None = None,
    ) -> None:
        """From now on pass everything on to `peer`, beginning with what is held."""
        self._peer, self._rewrite, self._on_activity = peer, rewrite, on_activity
        held, self._held = bytes(self._held), bytearray()
        if held:
            self.data_received(held)
        if self._ended:
            peer.transport.close()
        else:
            self.resume_reading()

    def reset(self) -> None:
        """Break the connection off with a TCP reset."""
        if self._socket.fileno() >= 0:  # or the client was first to close
            reset_on_close(self._socket)
        self.transport.abort()

    async def _fill(self, size: int) -> None:
        while len(self._held) < size:
            if self._ended:
                raise Disconnected
            self.resume_reading()
            self._arrival = asyncio.get_running_loop().create_future()
            await self._arrival
        if len(self._held) <= _HIGH_WATER and not self._ended:
            self.resume_reading()

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)


def reset_on_close(sock: socket.socket) -> None:
    """Have the kernel send RST instead of FIN. For asyncio's transport sockets, too."""
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
