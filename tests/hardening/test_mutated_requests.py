"""The sandbox's parsers: whole messages whatever the chunks, and no error but the one that says what is wrong."""

from __future__ import annotations

import asyncio
import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from hardening.mutation import mutations
from pgiam.sandbox import http, wire

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30)
messages = st.lists(st.tuples(st.binary(min_size=1, max_size=1), st.binary(max_size=60)), max_size=8)


@given(st.dictionaries(names, names, max_size=6))
def test_startup_parameters_survive_the_wire(parameters: dict[str, str]) -> None:
    assert wire.startup_parameters(wire.startup(parameters)[8:]) == parameters


def test_mutated_startup_packets() -> None:
    read = 0
    for packet in mutations("startup", 4000):
        for parse in (wire.startup_parameters, wire.password):
            with contextlib.suppress(wire.ProtocolViolation):
                parse(packet)
                read += 1
    assert read > 100  # not all of them are refused at the door


@given(messages, st.lists(st.integers(1, 40), max_size=20))
def test_framer_does_not_care_for_chunks(sent: list[tuple[bytes, bytes]], sizes: list[int]) -> None:
    expected = [(kind, wire.message(kind, payload)) for kind, payload in sent]
    stream = b"".join(data for _, data in expected)
    framer = wire.Framer()
    received: list[tuple[bytes, bytes]] = []
    for size in [*sizes, len(stream)]:
        chunk, stream = stream[:size], stream[size:]
        received += framer.feed(chunk)
    assert received == expected


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=40), max_size=10))
def test_framer_takes_anything(chunks: list[bytes]) -> None:
    framer, cut = wire.Framer(), b""
    with contextlib.suppress(wire.ProtocolViolation):
        for chunk in chunks:
            for kind, data in framer.feed(chunk):
                assert data[:1] == kind
                cut += data
    assert b"".join(chunks).startswith(cut)


def test_mutated_requests() -> None:
    refusals: list[http.BadRequestError] = []

    async def read(data: bytes) -> bool:
        reader = asyncio.StreamReader(limit=http.MAX_HEAD)
        reader.feed_data(data)
        reader.feed_eof()
        try:
            head = await http.read_head(reader)
            if head is not None:
                body = await http.read_body(reader, head, 1000)
                assert len(body) <= 1000
                http.parse_form(head.raw_query)
            return head is not None
        except asyncio.IncompleteReadError:
            return False
        except http.BadRequestError as error:
            refusals.append(error)
            return False

    async def read_all() -> int:
        return sum([await read(data) for data in mutations("http", 4000)])

    assert asyncio.run(read_all()) > 100
    assert len(refusals) > 100
    assert all(400 <= error.status < 600 and error.reason.isprintable() for error in refusals)
