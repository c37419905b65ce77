"""The sandbox's HTTP: a request, or a refusal with a status; and whatever is in its target and form."""

from __future__ import annotations

import asyncio
import contextlib
import sys

import atheris

with atheris.instrument_imports(include=["pgiam.sandbox.http"]):
    from pgiam.sandbox import http

LIMIT = 1000


async def read(data: bytes) -> None:
    reader = asyncio.StreamReader(limit=http.MAX_HEAD)
    reader.feed_data(data)
    reader.feed_eof()
    head = await http.read_head(reader)
    if head is not None:
        body = await http.read_body(reader, head, LIMIT)
        if len(body) > LIMIT:
            raise AssertionError(len(body))
        http.parse_form(head.raw_query)


def check(data: bytes) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError):
        try:
            LOOP.run_until_complete(read(data))
        except http.BadRequestError as error:
            if not 400 <= error.status < 600 or not error.reason.isprintable():
                raise AssertionError(error.status, error.reason) from error


if __name__ == "__main__":
    LOOP = asyncio.new_event_loop()
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
