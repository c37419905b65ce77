"""The HTTP server: what it accepts, what it refuses, and the ways in which it can be told to fail."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgiam.sandbox.http import (
    BadRequestError,
    Delivery,
    Request,
    Response,
    Server,
    parse_form,
    parse_head,
    serialize,
    serve,
)

WAIT = 10.0


def run(body: Callable[[Server], Coroutine[Any, Any, None]], **options: Any) -> None:
    lost: list[str] = []

    async def main() -> None:
        # A connection task that dies of a bug is told to nobody else.
        asyncio.get_running_loop().set_exception_handler(lambda _, context: lost.append(repr(context)))
        server = await serve(echo, **options)
        try:
            await asyncio.wait_for(body(server), WAIT)
        finally:
            await server.close()
        assert server.open_connections == 0
        gc.collect()

    asyncio.run(main())
    assert lost == []


async def echo(request: Request) -> Response:
    if request.path == "/fail":
        raise RuntimeError("as asked")
    if request.path == "/refuse":
        raise BadRequestError(422, "as asked")
    delivery = Delivery(request.query.get("delivery", "whole"))
    text = f"{request.method} {request.path} {sorted(request.query.items())} {request.body!r}"
    return Response(200, text.encode(), {"X-Echo": "yes"}, delivery)


@contextlib.asynccontextmanager
async def connected(server: Server) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    return int(head[0].split()[1]), headers, await reader.readexactly(int(headers["content-length"]))


async def talk(server: Server, data: bytes) -> bytes:
    """Send bytes and the end of the stream; return all that comes back."""
    async with connected(server) as (reader, writer):
        writer.write(data)
        with contextlib.suppress(OSError):
            writer.write_eof()
        return await reader.read()


def test_keep_alive_serves_pipelined_requests_in_order() -> None:
    async def body(server: Server) -> None:
        async with connected(server) as (reader, writer):
            writer.write(b"GET /a?x=1&y=%2F HTTP/1.1\r\nHost: h\r\n\r\n")
            writer.write(b"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
            writer.write(
                b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: 1\r\n\r\n"
            )
            writer.write(b"GET /d HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            bodies = [await answer(reader) for _ in range(4)]
            assert [text for _, _, text in bodies] == [
                b"GET /a [('x', '1'), ('y', '/')] b''",
                b"POST /b [] b'abc'",
                b"POST /c [] b'abcde'",
                b"GET /d [] b''",
            ]
            assert bodies[0][1]["connection"] == "keep-alive"
            assert bodies[3][1]["connection"] == "close"
            assert await reader.read() == b""

    run(body)


def test_date_is_the_clock_that_was_passed() -> None:
    async def body(server: Server) -> None:
        assert b"\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n" in await talk(
            server, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
        )

    run(body, now=lambda: 784111777.0)


def test_expect_continue_is_answered_before_the_body() -> None:
    async def body(server: Server) -> None:
        async with connected(server) as (reader, writer):
            writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"ok")
            assert (await answer(reader))[0] == 200

    run(body)


def test_absolute_form_and_http_1_0() -> None:
    async def body(server: Server) -> None:
        assert b"GET /p [('q', '1')]" in await talk(server, b"GET http://other/p?q=1 HTTP/1.1\r\nHost: other\r\n\r\n")
        old = await talk(server, b"GET / HTTP/1.0\r\n\r\n")
        assert old.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Connection: close" in old
        head = await talk(server, b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert head.endswith(b"\r\n\r\n")

    run(body)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\r\n\r\n\r\n", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505),
        (b"G(T / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET /\x7f HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nName : v\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nName: a\x00b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\xff\r\n\r\n", 400),
        (b"GET /?a=1&a=2 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET /?a=%ff HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h", 400),  # ends in the head
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n", 413),
        (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\n" + b"a: b\r\n" * 300 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: h\r\nA: " + b"b" * 200_000 + b"\r\n\r\n", 431),
        (b"GET /fail HTTP/1.1\r\nHost: h\r\n\r\n", 500),
        (b"GET /refuse HTTP/1.1\r\nHost: h\r\n\r\n", 422),
    ],
)
def test_refusals(data: bytes, status: int) -> None:
    async def body(server: Server) -> None:
        received = await talk(server, data)
        assert received.startswith(f"HTTP/1.1 {status} ".encode()), received[:200]
        assert b"GET / [] b''" in await talk(server, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")  # and it still serves

    run(body)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(st.binary(max_size=200), st.sampled_from([b"GET / HTTP/1.1\r\nHost: h\r\n", b"\r\n\r\n"]))))
def test_garbage_gets_4xx_or_silence_and_never_a_crash(pieces: list[bytes]) -> None:
    async def body(server: Server) -> None:
        received = await talk(server, b"".join(pieces))
        assert not received or received.startswith(b"HTTP/1.1 ")
        assert b"HTTP/1.1 500" not in received
        assert (await talk(server, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")).startswith(b"HTTP/1.1 200")

    run(body)


@given(st.binary(max_size=500))
def test_head_parser_only_ever_raises_bad_request(data: bytes) -> None:
    with contextlib.suppress(BadRequestError):
        parse_head(data)


@given(st.text(max_size=200))
def test_form_parser_only_ever_raises_bad_request(text: str) -> None:
    with contextlib.suppress(BadRequestError):
        parse_form(text)


def test_deliveries() -> None:
    async def body(server: Server) -> None:
        ask = "GET /?delivery={} HTTP/1.1\r\nHost: h\r\n\r\n"
        garbage = await talk(server, ask.format("garbage").encode())
        assert garbage
        assert not garbage.startswith(b"HTTP")
        truncated = await talk(server, ask.format("truncated").encode())
        head, _, rest = truncated.partition(b"\r\n\r\n")
        assert f"Content-Length: {len(rest)}".encode() not in head
        with pytest.raises(ConnectionResetError):
            await talk(server, ask.format("reset").encode())
        async with connected(server) as (reader, writer):
            writer.write(ask.format("hang").encode())
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(reader.read(), 0.2)

    run(body)


def test_close_drops_idle_and_hanging_connections() -> None:
    async def main() -> None:
        server = await serve(echo)
        idle = await asyncio.open_connection("127.0.0.1", server.port)
        hanging = await asyncio.open_connection("127.0.0.1", server.port)
        hanging[1].write(b"GET /?delivery=hang HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (await talk(server, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")).startswith(b"HTTP/1.1 200")
        assert server.open_connections >= 2
        await asyncio.wait_for(server.close(), WAIT)
        for reader, writer in (idle, hanging):
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(), WAIT) == b""
            writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", server.port)

    asyncio.run(main())


def test_unix_socket_is_removed_on_close(tmp_path: Any) -> None:
    path = tmp_path / "api"

    async def main() -> None:
        server = await serve(echo, unix_path=str(path))
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await asyncio.wait_for(answer(reader), WAIT))[0] == 200
        writer.close()
        await server.close()

    asyncio.run(main())
    assert not path.exists()


def test_listens_on_loopback_only() -> None:
    async def body(server: Server) -> None:
        assert socket.inet_aton(server.host)[0] == 127

    run(body)


def test_a_header_cannot_be_split() -> None:
    with pytest.raises(ValueError, match="line break"):
        serialize(Response(200, headers={"A": "b\r\nC: d"}), now=0, keep_alive=True)


def test_repr_shows_no_secrets() -> None:
    request = Request(
        "GET", "/", {"WebIdentityToken": "hidden1"}, {"authorization": "hidden2"}, b"hidden3", "/", "hidden4"
    )
    response = Response(200, b"hidden5", {"x": "hidden6"})
    assert "hidden" not in repr(request) + repr(response)
