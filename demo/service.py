"""A service with two connection pools under steady load: SQLAlchemy on psycopg in threads, asyncpg in tasks."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from typing import Any, Final

import asyncpg
import sqlalchemy as sa

import pgiam
from pgiam.sandbox import Sandbox

THREADS: Final = 4
TASKS: Final = 6
PAUSE: Final = 0.01  # between two queries of a worker: load, but not all that the machine has
QUERY: Final = "SELECT current_user"

# How asyncpg says that a connection ended under a query, or just before it.
CUT_OFF: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    ConnectionError,
)


class Service:
    """Counts what it does.

    A query whose connection was ended under it is repeated, as any client must; every other error is a failure.
    """

    def __init__(self, box: Sandbox, client: pgiam.Client) -> None:
        self.queries = 0
        self.connections: Counter[str] = Counter()
        self.killed = 0
        self.repeated = 0
        self.failures: list[str] = []
        self._user = box.user
        self._count = threading.Lock()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._work_in_thread) for _ in range(THREADS)]
        self._tasks: list[asyncio.Task[None]] = []

        # All that a service has to write: where the database is, without a password, and the client.
        self._engine = pgiam.sqlalchemy.create_engine(box.url("psycopg"), client=client, pool_recycle=1)
        self._pool = pgiam.asyncpg.create_pool(
            host=box.host,
            port=box.port,
            user=box.user,
            database=box.database,
            client=client,
            max_queries=50,
            init=self._opened_by_asyncpg,
        )
        sa.event.listen(self._engine, "connect", self._opened_by_sqlalchemy)

    async def start(self) -> None:
        await self._pool
        for thread in self._threads:
            thread.start()
        self._tasks = [asyncio.create_task(self._work_in_task()) for _ in range(TASKS)]

    async def stop(self) -> None:
        self._stopping.set()
        await asyncio.gather(*self._tasks)
        for thread in self._threads:
            await asyncio.to_thread(thread.join)
        await self._pool.close()
        self._engine.dispose()

    # --- SQLAlchemy, in threads -----------------------------------------------------------------------

    def _work_in_thread(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._engine.connect() as connection:
                    self._served(connection.scalar(sa.text(QUERY)))
            except sa.exc.DBAPIError as error:
                self._interrupted(error, cut_off=error.connection_invalidated)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is counted and shown
                self._interrupted(error, cut_off=False)
            time.sleep(PAUSE)

    def _opened_by_sqlalchemy(self, *_: Any) -> None:
        with self._count:
            self.connections["SQLAlchemy"] += 1

    # --- asyncpg, in tasks ----------------------------------------------------------------------------

    async def _work_in_task(self) -> None:
        while not self._stopping.is_set():
            try:
                self._served(await self._pool.fetchval(QUERY))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is counted and shown
                self._interrupted(error, cut_off=isinstance(error, CUT_OFF))
            await asyncio.sleep(PAUSE)

    async def _opened_by_asyncpg(self, _: asyncpg.Connection) -> None:
        with self._count:
            self.connections["asyncpg"] += 1

    # --- counting -------------------------------------------------------------------------------------

    def _served(self, user: object) -> None:
        with self._count:
            if user == self._user:
                self.queries += 1
            else:
                self.failures.append(f"logged in as {user!r}")

    def _interrupted(self, error: Exception, *, cut_off: bool) -> None:
        with self._count:
            if cut_off:
                self.repeated += 1
            else:
                self.failures.append(f"{type(error).__name__}: {error}".partition("\n")[0])
