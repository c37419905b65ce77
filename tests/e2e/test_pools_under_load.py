"""Pools under load while credentials rotate and end, and sessions are killed.

No request fails that a correct client could have served. Two kinds no client could have:

- one whose session was killed under it. Each session that the server killed may cut off one request; so may each
  connection that was being opened at that moment, one for each worker.
- one whose login the server refused because the credentials had been revoked without a word. Whoever was about to
  log in then may meet that once; the refusal is what tells the client.

Those are repeated, as a service would. Everything else is a failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Final

import asyncpg
import pg8000.dbapi
import psycopg
import psycopg2
import pytest
import sqlalchemy as sa

from drivers.account import Account
from e2e.ways import BLIND, CONNECTIONS, POOL_SIZE, POOLS, WAYS, Ask

WORKERS: Final = 2 * POOL_SIZE
REFUSED: Final = ("PAM authentication failed", "unable to accept connection, access denied")
CUT_OFF: Final = (
    ConnectionError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # "cannot switch to state": the server's last words were being read
    psycopg.OperationalError,
    psycopg2.OperationalError,
    psycopg2.InterfaceError,
    pg8000.dbapi.InterfaceError,
    pg8000.dbapi.OperationalError,
)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.orig if isinstance(error, sa.exc.DBAPIError) else error.__cause__


def is_refused(error: BaseException) -> bool:
    return any(words in str(error) for words in REFUSED)


def is_cut_off(error: BaseException) -> bool:
    for cause in causes(error):
        fields = cause.args[0] if cause.args else None
        if isinstance(cause, CUT_OFF) or (isinstance(fields, dict) and fields.get("C") == "57P01"):
            return True
    return False


class Load:
    """Workers that ask without a pause, and what became of it."""

    def __init__(self, ask: Ask, user: str) -> None:
        self._ask = ask
        self._user = user
        self._stopping = False
        self.counts: Counter[str] = Counter()
        self.failures: list[BaseException] = []

    async def work(self) -> None:
        while not self._stopping:
            await self._request()

    async def _request(self) -> None:
        try:
            assert await self._ask() == self._user
            self.counts["served"] += 1
        except Exception as error:  # noqa: BLE001 - every error is told apart, and counted
            if is_refused(error):
                self.counts["refused"] += 1
            elif is_cut_off(error):
                self.counts["cut off"] += 1
            else:
                self.failures.append(error)

    async def served(self, more: int = 60) -> None:
        """Wait until so many more requests were served."""
        goal = self.counts["served"] + more
        while self.counts["served"] < goal and not self.failures:  # noqa: ASYNC110 - no event for each request
            await asyncio.sleep(0.01)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        workers = [asyncio.create_task(self.work()) for _ in range(WORKERS)]
        try:
            await self.served()
            yield
            await self.served()
        finally:
            self._stopping = True
            await asyncio.gather(*workers)


async def rotate(account: Account, load: Load) -> None:
    """New credentials; the old ones end when the service has gone on to the new."""
    old = account.client.credentials().access_key
    await account.client.refresh_async()
    await load.served()
    await asyncio.to_thread(account.box.faults.disable_key, old)
    await load.served()


async def kill(account: Account, load: Load, *, abruptly: bool) -> None:
    load.counts["killed"] += await asyncio.to_thread(account.box.faults.kill_sessions, abruptly=abruptly)
    load.counts["kills"] += 1
    await load.served()


async def revoke(account: Account, load: Load) -> None:
    """The credentials end without a word, and the sessions with them."""
    await asyncio.to_thread(account.box.faults.revoke_credentials)
    await kill(account, load, abruptly=False)


# pg8000 leaves the socket of a connection that was cut off, and what it had not sent, to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
@pytest.mark.filterwarnings("ignore:.*<_io.BufferedRWPair:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("flavor", "way"),
    [
        *(pytest.param("rds", way, marks=pytest.mark.pgiam_sandbox(flavor="rds")) for way in WAYS if way != "psql"),
        *(pytest.param("dsql", way, marks=pytest.mark.pgiam_sandbox(flavor="dsql")) for way in POOLS),
    ],
)
async def test_no_request_fails_that_could_be_served(account: Account, flavor: str, way: str) -> None:
    box = account.box
    before = box.stats()
    async with WAYS[way](account, box.user) as ask:
        load = Load(ask, box.user)
        async with load.running():
            for abruptly in (False, True):
                await rotate(account, load)
                await kill(account, load, abruptly=abruptly)
            if way not in BLIND:
                await revoke(account, load)
    gc.collect()
    refused = sum(box.stats()["refused"].values()) - sum(before["refused"].values())
    counts = load.counts
    assert not load.failures, load.failures[0]
    assert counts["cut off"] <= counts["killed"] + counts["kills"] * WORKERS, counts
    assert counts["refused"] <= refused <= WORKERS, counts
    # It was a load, and the ground did move.
    assert counts["killed"] >= 3 or way in CONNECTIONS, counts
    assert account.client.stats().refreshes == account.fetches == (3 if way in BLIND else 4)
    assert account.client.stats().tokens >= box.stats()["accepted"] - before["accepted"]
