"""Every way in which a service connects through pgiam: what it writes once, and how it then asks a question."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Final

import asyncpg
import pg8000.dbapi
import psycopg2
import psycopg2.pool
import psycopg_pool
import pytest

import pgiam
from drivers.account import ASYNC, CURRENT_USER, SYNC, Account, dispose, query

POOL_SIZE: Final = 4

Ask = Callable[[], Awaitable[str]]
Way = Callable[[Account, str], AbstractAsyncContextManager[Ask]]
BlockingWay = Callable[[Account, str], AbstractContextManager[Callable[[], str]]]

WHO: Final = CURRENT_USER.text


def in_threads(way: BlockingWay) -> Way:
    @contextlib.asynccontextmanager
    async def run(account: Account, user: str) -> AsyncIterator[Ask]:
        stack = contextlib.ExitStack()
        ask = await asyncio.to_thread(stack.enter_context, way(account, user))
        try:
            yield lambda: asyncio.to_thread(ask)
        finally:
            await asyncio.to_thread(stack.close)

    return run


def login(account: Account, user: str) -> dict[str, Any]:
    return {"host": account.box.host, "port": account.box.port, "user": user}


def libpq(account: Account, user: str) -> dict[str, Any]:
    """What a service writes that uses libpq's drivers as they are."""
    tls = {"sslmode": "verify-full", "sslrootcert": pgiam.ca_file()}
    password = account.client.password(**login(account, user))
    return {**login(account, user), "dbname": account.box.database, "password": password, **tls}


def conninfo(account: Account, user: str) -> str:
    box = account.box
    return f"host={box.host} port={box.port} user={user} dbname={box.database}"


def fetch(connection: Any) -> str:
    with contextlib.closing(connection.cursor()) as cursor:
        cursor.execute(WHO)
        return str(cursor.fetchone()[0])


async def fetch_async(connection: Any) -> str:
    cursor = await connection.execute(WHO)
    return str((await cursor.fetchone())[0])


# --- one connection per question ------------------------------------------------------------------------


@contextlib.contextmanager
def psycopg2_connections(account: Account, user: str) -> Iterator[Callable[[], str]]:
    def ask() -> str:
        with contextlib.closing(psycopg2.connect(**libpq(account, user))) as connection:
            return fetch(connection)

    yield ask


@contextlib.contextmanager
def psycopg_connections(account: Account, user: str) -> Iterator[Callable[[], str]]:
    using = pgiam.psycopg.Connection.using(client=account.client)

    def ask() -> str:
        with using.connect(conninfo(account, user)) as connection:
            return fetch(connection)

    yield ask


@contextlib.asynccontextmanager
async def psycopg_async_connections(account: Account, user: str) -> AsyncIterator[Ask]:
    using = pgiam.psycopg.AsyncConnection.using(client=account.client)

    async def ask() -> str:
        async with await using.connect(conninfo(account, user)) as connection:
            return await fetch_async(connection)

    yield ask


@contextlib.asynccontextmanager
async def asyncpg_connections(account: Account, user: str) -> AsyncIterator[Ask]:
    async def ask() -> str:
        connection = await pgiam.asyncpg.connect(
            **login(account, user), database=account.box.database, client=account.client
        )
        try:
            return str(await connection.fetchval(WHO))
        finally:
            await connection.close()

    try:
        yield ask
    finally:
        await asyncio.sleep(0.1)  # asyncpg closes a transport that failed in the background


@contextlib.contextmanager
def pg8000_connections(account: Account, user: str) -> Iterator[Callable[[], str]]:
    password = account.client.password(**login(account, user))

    def ask() -> str:
        connection = pg8000.dbapi.connect(
            **login(account, user),
            database=account.box.database,
            password=str(password),
            ssl_context=pgiam.ssl_context(),
        )
        with contextlib.closing(connection):
            return fetch(connection)

    yield ask


@contextlib.contextmanager
def psql_runs(account: Account, user: str) -> Iterator[Callable[[], str]]:
    psql = shutil.which("psql")
    if psql is None:
        pytest.skip("psql is not installed")
    box = account.box
    environment = {**os.environ, "PGHOST": box.host, "PGPORT": str(box.port), "PGUSER": user}
    environment |= {"PGDATABASE": box.database, "PGSSLMODE": "verify-full", "PGSSLROOTCERT": str(pgiam.ca_file())}

    def ask() -> str:
        environment["PGPASSWORD"] = account.client.generate_auth_token(**login(account, user))
        done = subprocess.run([psql, "-Atc", WHO], env=environment, capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise ConnectionError(done.stderr)
        return done.stdout.strip()

    yield ask


# --- pools ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def psycopg2_pool(account: Account, user: str) -> Iterator[Callable[[], str]]:
    pool = psycopg2.pool.ThreadedConnectionPool(POOL_SIZE, POOL_SIZE, **libpq(account, user))
    free = threading.Semaphore(POOL_SIZE)  # this pool has nobody wait: it raises

    def ask() -> str:
        with free:
            connection = pool.getconn()
            try:
                answer = fetch(connection)
                connection.rollback()
            except BaseException:
                pool.putconn(connection, close=True)  # or its own roll-back fails, and it counts as lent for ever
                raise
            pool.putconn(connection)
            return answer

    try:
        yield ask
    finally:
        pool.closeall()


@contextlib.contextmanager
def psycopg_pooled(account: Account, user: str) -> Iterator[Callable[[], str]]:
    with psycopg_pool.ConnectionPool(
        conninfo(account, user),
        connection_class=pgiam.psycopg.Connection.using(client=account.client),
        check=psycopg_pool.ConnectionPool.check_connection,
        min_size=0,
        max_size=POOL_SIZE,
        open=True,
    ) as pool:

        def ask() -> str:
            with pool.connection(timeout=60) as connection:
                return fetch(connection)

        yield ask


@contextlib.asynccontextmanager
async def psycopg_async_pooled(account: Account, user: str) -> AsyncIterator[Ask]:
    async with psycopg_pool.AsyncConnectionPool(
        conninfo(account, user),
        connection_class=pgiam.psycopg.AsyncConnection.using(client=account.client),
        check=psycopg_pool.AsyncConnectionPool.check_connection,
        min_size=0,
        max_size=POOL_SIZE,
        open=False,
    ) as pool:

        async def ask() -> str:
            async with pool.connection(timeout=60) as connection:
                return await fetch_async(connection)

        yield ask


@contextlib.asynccontextmanager
async def asyncpg_pool(account: Account, user: str) -> AsyncIterator[Ask]:
    async with pgiam.asyncpg.create_pool(
        **login(account, user),
        database=account.box.database,
        client=account.client,
        min_size=0,
        max_size=POOL_SIZE,
    ) as pool:
        yield lambda: pool.fetchval(WHO)
    await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def asyncpg_own_pool(account: Account, user: str) -> AsyncIterator[Ask]:
    """asyncpg's own, given the password and TLS: the two lines that change in a service which has one already."""
    async with asyncpg.create_pool(
        **login(account, user),
        database=account.box.database,
        password=account.client.password(**login(account, user)),
        ssl=pgiam.ssl_context(),
        min_size=0,
        max_size=POOL_SIZE,
        reset=_reset_on_dsql if account.box.flavor == "dsql" else None,
    ) as pool:
        yield lambda: pool.fetchval(WHO)
    await asyncio.sleep(0.1)


async def _reset_on_dsql(connection: asyncpg.Connection) -> None:
    await connection.execute("RESET ALL")


def sqlalchemy_engine(driver: str) -> Way:
    @contextlib.asynccontextmanager
    async def way(account: Account, user: str) -> AsyncIterator[Ask]:
        make = pgiam.sqlalchemy.create_async_engine if driver in ASYNC else pgiam.sqlalchemy.create_engine
        engine: Any = make(account.url(driver, user), client=account.client, pool_size=POOL_SIZE, max_overflow=0)

        async def ask() -> str:
            # A blocking engine has its questions asked from threads, as web servers do.
            return await (query(engine) if driver in ASYNC else asyncio.to_thread(asyncio.run, query(engine)))

        try:
            yield ask
        finally:
            await dispose(engine)
            await asyncio.sleep(0.1)

    return way


CONNECTIONS: Final[dict[str, Way]] = {
    "psycopg2": in_threads(psycopg2_connections),
    "psycopg": in_threads(psycopg_connections),
    "psycopg-async": psycopg_async_connections,
    "asyncpg": asyncpg_connections,
    "pg8000": in_threads(pg8000_connections),
    "psql": in_threads(psql_runs),
}
POOLS: Final[dict[str, Way]] = {
    "psycopg2-pool": in_threads(psycopg2_pool),
    "psycopg-pool": in_threads(psycopg_pooled),
    "psycopg-async-pool": psycopg_async_pooled,
    "asyncpg-pool": asyncpg_pool,
    "asyncpg-own-pool": asyncpg_own_pool,
    **{f"sqlalchemy-{driver}": sqlalchemy_engine(driver) for driver in (*SYNC, *ASYNC)},
}
WAYS: Final[dict[str, Way]] = {**CONNECTIONS, **POOLS}
# With a driver's own connect, the server's refusal goes past pgiam: the service itself must call `invalidate()`.
BLIND: Final = frozenset({"psycopg2", "psycopg2-pool", "pg8000", "psql", "asyncpg-own-pool"})
