"""A pool under load while the ground moves: no request fails that a correct client could have served.

The client here is as correct as a client must be: a fresh token for every connection, new credentials when the
door refuses it, and another try when the connection it was given turns out dead.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import asyncpg
import pytest

from botocore_tokens import token_for
from driver_logins import trusting
from pgiam.sandbox import Sandbox

LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.AdminShutdownError,
    # asyncpg resets a connection that is being shut down under it, and trips over itself. PostgreSQL without
    # a gateway in between does this to it just as well.
    asyncpg.InternalClientError,
    ConnectionError,
)


# Python 3.10's asyncio leaves the transports of connections that were reset to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "flavor",
    [pytest.param(flavor, marks=pytest.mark.pgiam_sandbox(flavor=flavor)) for flavor in ("rds", "dsql")],
)
def test_rotation_expiry_and_kills_under_load(pgiam_sandbox: Sandbox, flavor: str) -> None:
    box = pgiam_sandbox
    counts: Counter[str] = Counter()
    credentials: dict[str, Any] = box.issue_credentials(session_token_size=2048)
    box.sql(f"DROP TABLE IF EXISTS jobs; CREATE TABLE jobs (id int); ALTER TABLE jobs OWNER TO {box.user}")

    def password() -> str:
        counts["tokens"] += 1
        return token_for(box, credentials=credentials)

    async def request(pool: asyncpg.Pool, number: int) -> None:
        nonlocal credentials
        for _ in range(5):  # each disturbance may take one connection from under it
            try:
                assert await pool.fetchval("SELECT $1::int", number) == number
            except asyncpg.InvalidAuthorizationSpecificationError:
                credentials = await asyncio.to_thread(box.issue_credentials, session_token_size=2048)
            except LOST:
                await asyncio.sleep(0)
            else:
                counts["served"] += 1
                return
            counts["retried"] += 1
        counts["failed"] += 1

    async def work(pool: asyncpg.Pool, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await request(pool, counts["served"] % 1000)

    async def disturb() -> None:
        nonlocal credentials
        for abruptly in (False, True, False):
            await asyncio.sleep(0.3)
            credentials = await asyncio.to_thread(box.issue_credentials, session_token_size=2048)
            if not abruptly:
                # The old ones end now; sessions that are open must live on, new ones use the new.
                await asyncio.to_thread(box.faults.expire_credentials)
                credentials = await asyncio.to_thread(box.issue_credentials, session_token_size=2048)
            counts["killed"] += await asyncio.to_thread(box.faults.kill_sessions, abruptly=abruptly)
        await asyncio.sleep(0.3)

    async def reset(connection: asyncpg.Connection) -> None:
        await connection.execute("RESET ALL")

    async def run() -> None:
        async with asyncpg.create_pool(
            host=box.host,
            port=box.port,
            user=box.user,
            database=box.database,
            password=password,
            ssl=trusting(box),
            min_size=4,
            max_size=10,
            reset=reset,
        ) as pool:
            stop = asyncio.Event()
            workers = [asyncio.ensure_future(work(pool, stop)) for _ in range(16)]
            await disturb()
            stop.set()
            await asyncio.gather(*workers)

    asyncio.run(run())
    assert counts["failed"] == 0, counts
    assert counts["killed"] >= 3, counts
    assert counts["served"] > 100, counts
    assert counts["tokens"] > counts["killed"] / 2, counts
