"""A small HTTP/1.1 server on asyncio: enough for AWS-shaped endpoints, able to misbehave when told to.

A handler turns a `Request` into a `Response`. `Response.delivery` says how the answer reaches the wire:
whole, or broken in one of the ways that a network breaks things.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import os
import socket
import ssl
import struct
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote, urlsplit

log = logging.getLogger("pgiam.sandbox.http")

MAX_HEAD = 64 * 1024
MAX_BODY = 1024 * 1024
MAX_HEADERS = 200
FAREWELL = 2.0  # seconds that a client gets to read a last answer
TOKEN_CHARACTERS = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
# Two of these in one request are how requests are smuggled; other headers are joined by commas (RFC 9110, 5.3).
SINGLE_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "authorization"})


class Delivery(enum.Enum):
    """How a response reaches the client."""

    WHOLE = "whole"
    RESET = "reset"
    HANG = "hang"
    GARBAGE = "garbage"
    TRUNCATED = "truncated"


@dataclass(frozen=True)
class Request:
    """One request, as received. `repr` leaves out everything that may hold a secret."""

    method: str
    path: str
    query: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    raw_path: str = field(default="/", repr=False)
    raw_query: str = field(default="", repr=False)


@dataclass(frozen=True)
class Response:
    status: int
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    delivery: Delivery = Delivery.WHOLE


Handler = Callable[[Request], Awaitable[Response]]


class BadRequestError(Exception):
    """The bytes received are no acceptable request. Holds the status to answer with, and never the bytes."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True)
class Head:
    """A request line with its headers, before the body was read."""

    method: str
    raw_path: str
    raw_query: str
    headers: Mapping[str, str]
    version: str

    def keep_alive(self) -> bool:
        options = {option.strip().lower() for option in self.headers.get("connection", "").split(",")}
        return "keep-alive" in options if self.version == "HTTP/1.0" else "close" not in options


def parse_head(data: bytes) -> Head:
    """Parse the bytes up to, not including, the blank line."""
    try:
        lines = data.decode("ascii").split("\r\n")
    except UnicodeDecodeError:
        raise BadRequestError(400, "the request head is not ASCII") from None
    request_line, *header_lines = lines
    parts = request_line.split(" ")
    if len(parts) != 3:
        raise BadRequestError(400, "the request line has not three parts")
    method, target, version = parts
    if not method or not set(method) <= TOKEN_CHARACTERS:
        raise BadRequestError(400, "the method is not a token")
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        raise BadRequestError(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
    raw_path, raw_query = parse_target(target)
    headers = parse_headers(header_lines)
    if version == "HTTP/1.1" and "host" not in headers:
        raise BadRequestError(400, "there is no Host header")
    return Head(method, raw_path, raw_query, headers, version)


def parse_target(target: str) -> tuple[str, str]:
    if any(ord(character) <= 0x20 or ord(character) == 0x7F for character in target):
        raise BadRequestError(400, "the target holds a control character")
    if target.startswith("/"):
        path, _, query = target.partition("#")[0].partition("?")
        return path, query
    # The absolute form is what a client sends that takes this server for its proxy.
    if target.lower().startswith(("http://", "https://")):
        try:
            split = urlsplit(target)
        except ValueError:
            raise BadRequestError(400, "the target is no URL") from None
        return split.path or "/", split.query
    raise BadRequestError(400, "the target is neither a path nor an http URL")


def parse_headers(lines: list[str]) -> dict[str, str]:
    if len(lines) > MAX_HEADERS:
        raise BadRequestError(431, "too many headers")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or not set(name) <= TOKEN_CHARACTERS:
            raise BadRequestError(400, "a header line has no valid name")
        value = value.strip(" \t")
        if any((ord(character) < 0x20 and character != "\t") or ord(character) == 0x7F for character in value):
            raise BadRequestError(400, "a header value holds a control character")
        name = name.lower()
        if name in headers and name in SINGLE_HEADERS:
            raise BadRequestError(400, f"more than one {name} header")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def body_length(headers: Mapping[str, str], max_body: int) -> int | None:
    """The length of the body, or None when it comes in chunks."""
    coding = headers.get("transfer-encoding")
    length = headers.get("content-length")
    if coding is not None:
        if length is not None:
            raise BadRequestError(400, "both Content-Length and Transfer-Encoding were sent")
        if coding.lower() != "chunked":
            raise BadRequestError(501, "the only transfer coding spoken here is chunked")
        return None
    if length is None:
        return 0
    if not (length.isascii() and length.isdigit()) or len(length) > 18:
        raise BadRequestError(400, "Content-Length is not a number")
    if int(length) > max_body:
        raise BadRequestError(413, "the body is too large")
    return int(length)


def parse_form(text: str) -> dict[str, str]:
    """Parse a query string or a form body. A name given twice is refused rather than chosen from."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=1000)
    except ValueError:
        raise BadRequestError(400, "the query string is malformed") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise BadRequestError(400, "a query parameter is given twice")
    return fields


async def read_body(reader: asyncio.StreamReader, head: Head, max_body: int) -> bytes:
    length = body_length(head.headers, max_body)
    return await read_chunks(reader, max_body) if length is None else await reader.readexactly(length)


async def read_chunks(reader: asyncio.StreamReader, max_body: int) -> bytes:
    body = bytearray()
    while True:
        size_text = (await read_line(reader)).partition(b";")[0].strip()
        if not size_text or len(size_text) > 8 or not set(size_text) <= set(b"0123456789abcdefABCDEF"):
            raise BadRequestError(400, "a chunk size is not a hexadecimal number")
        size = int(size_text, 16)
        if len(body) + size > max_body:
            raise BadRequestError(413, "the body is too large")
        if size == 0:
            break
        body += await reader.readexactly(size)
        if await reader.readexactly(2) != b"\r\n":
            raise BadRequestError(400, "a chunk is longer than its size")
    for _ in range(MAX_HEADERS):  # trailers are read and dropped
        if not await read_line(reader):
            return bytes(body)
    raise BadRequestError(431, "too many trailers")


async def read_line(reader: asyncio.StreamReader) -> bytes:
    try:
        return (await reader.readuntil(b"\r\n"))[:-2]
    except asyncio.LimitOverrunError:
        raise BadRequestError(400, "a line is too long") from None


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """The next request head, or None when the client has closed the connection."""
    try:
        data = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise BadRequestError(431, "the request head is too large") from None
    except asyncio.IncompleteReadError as error:
        if error.partial.strip(b"\r\n"):
            raise BadRequestError(400, "the request ended in its head") from None
        return None
    return parse_head(data[:-4].lstrip(b"\r\n"))  # RFC 9112, 2.2: skip empty lines before the request line


async def discard(reader: asyncio.StreamReader) -> None:
    while await reader.read(MAX_HEAD):
        pass


def serialize(response: Response, *, now: float, keep_alive: bool, head_only: bool = False) -> bytes:
    try:
        phrase = HTTPStatus(response.status).phrase
    except ValueError:
        phrase = "Unknown"
    headers = {
        "Date": formatdate(now, usegmt=True),
        "Content-Length": str(len(response.body)),
        "Connection": "keep-alive" if keep_alive else "close",
        **response.headers,
    }
    lines = [f"HTTP/1.1 {response.status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a response header holds a line break")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (b"" if head_only else response.body)


class Server:
    """A listening server. Made by `serve`."""

    def __init__(
        self, handler: Handler, *, now: Callable[[], float], idle_timeout: float | None, max_body: int
    ) -> None:
        self._handler = handler
        self._now = now
        self._idle_timeout = idle_timeout
        self._max_body = max_body
        self._listener: asyncio.Server | None = None
        self._unix_path: str | None = None
        # asyncio itself holds connection tasks weakly: without this set a live connection may be collected.
        self._connections: set[asyncio.Task[None]] = set()
        self.host = ""
        self.port = 0

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    async def listen(self, host: str, port: int, unix_path: str | None, tls: ssl.SSLContext | None) -> None:
        if unix_path is not None:
            self._listener = await asyncio.start_unix_server(self._accept, unix_path, limit=MAX_HEAD)
            self._unix_path = unix_path
            return
        self._listener = await asyncio.start_server(self._accept, host, port, limit=MAX_HEAD, backlog=1024, ssl=tls)
        self.host, self.port = self._listener.sockets[0].getsockname()[:2]

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        if self._listener is not None:
            self._listener.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        if self._listener is not None:
            await self._listener.wait_closed()
        if self._unix_path is not None:
            with suppress(FileNotFoundError):
                os.unlink(self._unix_path)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._converse(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
            writer.close()
            await asyncio.wait_for(writer.wait_closed(), FAREWELL)
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            pass  # the client has gone, or neither sends nor reads: there is nobody to tell
        finally:
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request. False when the connection ends with it."""
        try:
            head = await asyncio.wait_for(read_head(reader), self._idle_timeout)
            if head is None:
                return False
            if head.headers.get("expect", "").lower() == "100-continue":
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = await asyncio.wait_for(read_body(reader, head, self._max_body), self._idle_timeout)
            request = Request(
                method=head.method,
                path=unquote(head.raw_path),
                query=parse_form(head.raw_query),
                headers=head.headers,
                body=body,
                raw_path=head.raw_path,
                raw_query=head.raw_query,
            )
        except BadRequestError as error:
            log.debug("refused a request: %s", error.reason)
            await self._refuse(reader, writer, error)
            return False
        keep_alive = head.keep_alive()
        try:
            response = await self._handler(request)
        except BadRequestError as error:
            response = Response(error.status, f"{error.reason}\n".encode(), {"Content-Type": "text/plain"})
        except Exception:
            # The request is not logged: it may hold an identity token.
            log.exception("the handler of %s %s failed", request.method, request.path)
            response = Response(500, b"internal error\n", {"Content-Type": "text/plain"})
        return await self._deliver(reader, writer, response, keep_alive=keep_alive, head_only=head.method == "HEAD")

    async def _refuse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, error: BadRequestError) -> None:
        body = f"{error.reason}\n".encode()
        response = Response(error.status, body, {"Content-Type": "text/plain"})
        writer.write(serialize(response, now=self._now(), keep_alive=False))
        await writer.drain()
        if writer.can_write_eof():
            # Closing with bytes unread sends RST, which would take the answer with it: read them first.
            writer.write_eof()
            await asyncio.wait_for(discard(reader), FAREWELL)

    async def _deliver(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        response: Response,
        *,
        keep_alive: bool,
        head_only: bool,
    ) -> bool:
        if response.delivery is Delivery.RESET:
            reset(writer)
            return False
        if response.delivery is Delivery.HANG:
            # Until the client gives up (or sends more, which it should not) or the server closes.
            await reader.read(1)
            return False
        if response.delivery is Delivery.GARBAGE:
            writer.write(b"\x15\x03\x01\x00\x02\x02\x46 this is not HTTP \xff\xfe\x00\r\n\r\n")
            await writer.drain()
            return False
        data = serialize(response, now=self._now(), keep_alive=keep_alive, head_only=head_only)
        if response.delivery is Delivery.TRUNCATED:
            writer.write(data[: len(data) - max(1, len(response.body) // 2)])
            await writer.drain()
            return False
        writer.write(data)
        await writer.drain()
        return keep_alive


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN: a linger time of zero drops what is unsent."""
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.family != getattr(socket, "AF_UNIX", None):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def serve(
    handler: Handler,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    unix_path: str | None = None,
    tls: ssl.SSLContext | None = None,
    now: Callable[[], float] = time.time,
    idle_timeout: float | None = 60.0,
    max_body: int = MAX_BODY,
) -> Server:
    """Listen on a TCP port (0: a free one) or a unix socket. `now` feeds the Date header."""
    server = Server(handler, now=now, idle_timeout=idle_timeout, max_body=max_body)
    await server.listen(host, port, unix_path, tls)
    return server
