"""One round of connections: from threads by every blocking driver, from event loops by every other."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import pg8000.dbapi
import psycopg2
import sqlalchemy as sa

import pgiam
from pgiam.sandbox import Sandbox

WHO: Final = "SELECT current_user"
PAUSE: Final = 0.02
LOOPS: Final = 2


class Connections:
    """Connects, asks and hangs up, over and over; counts, and keeps every error."""

    def __init__(self, box: Sandbox, client: pgiam.Client) -> None:
        self.made: Counter[str] = Counter()
        self.failures: list[str] = []
        self._box = box
        self._client = client
        self._lock = threading.Lock()
        self._until = 0.0
        self._login: dict[str, Any] = {"host": box.host, "port": box.port, "user": box.user}
        self._blocking: dict[str, Callable[[], object]] = {
            "psycopg": self._by_psycopg,
            "psycopg2": self._by_psycopg2,
            "pg8000": self._by_pg8000,
            "SQLAlchemy": self._by_sqlalchemy,
        }
        self._awaited: dict[str, Callable[[], Awaitable[object]]] = {
            "asyncpg": self._by_asyncpg,
            "asyncpg pool": self._by_asyncpg_pool,
            "psycopg async": self._by_psycopg_async,
        }

    def round(self, seconds: float) -> None:
        """Threads and event loops of their own, which are gone afterwards, whatever is under way in them."""
        self._until = time.monotonic() + seconds
        threads = [threading.Thread(target=self._in_thread, args=work) for work in self._blocking.items()]
        threads += [threading.Thread(target=self._in_loop) for _ in range(LOOPS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _goes_on(self) -> bool:
        return time.monotonic() < self._until and len(self.failures) < 20

    def _in_thread(self, name: str, connect: Callable[[], object]) -> None:
        while self._goes_on():
            with self._attempt(name):
                self._check(connect())
            time.sleep(PAUSE)

    def _in_loop(self) -> None:
        async def work(name: str, connect: Callable[[], Awaitable[object]]) -> None:
            while self._goes_on():
                with self._attempt(name):
                    self._check(await connect())
                await asyncio.sleep(PAUSE)

        async def main() -> None:
            await asyncio.gather(*(work(name, connect) for name, connect in self._awaited.items()))

        asyncio.run(main())

    @contextlib.contextmanager
    def _attempt(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, it is counted and shown
            with self._lock:
                self.failures.append(f"{name}: {type(error).__name__}: {error}".partition("\n")[0])
        else:
            with self._lock:
                self.made[name] += 1

    def _check(self, user: object) -> None:
        if user != self._box.user:
            raise AssertionError(f"logged in as {user!r}")

    # --- the drivers ----------------------------------------------------------------------------------

    def _by_psycopg(self) -> object:
        using = pgiam.psycopg.Connection.using(client=self._client)
        with using.connect(**self._login, dbname=self._box.database) as connection:
            row = connection.execute(WHO).fetchone()
            return row[0] if row else None

    def _by_psycopg2(self) -> object:
        password: Any = self._client.password(**self._login)
        tls: dict[str, Any] = {"sslmode": "verify-full", "sslrootcert": pgiam.ca_file()}
        connection = psycopg2.connect(**self._login, **tls, dbname=self._box.database, password=password)
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(WHO)
            row = cursor.fetchone()
            return row[0] if row else None

    def _by_pg8000(self) -> object:
        password = str(self._client.password(**self._login))
        connection = pg8000.dbapi.connect(
            **self._login, database=self._box.database, password=password, ssl_context=pgiam.ssl_context()
        )
        with contextlib.closing(connection):
            cursor = connection.cursor()
            cursor.execute(WHO)
            return cursor.fetchone()[0]

    def _by_sqlalchemy(self) -> object:
        engine = pgiam.sqlalchemy.create_engine(self._box.url("psycopg"), client=self._client)
        try:
            with engine.connect() as connection:
                return connection.scalar(sa.text(WHO))
        finally:
            engine.dispose()

    async def _by_asyncpg(self) -> object:
        connection = await pgiam.asyncpg.connect(**self._login, database=self._box.database, client=self._client)
        try:
            return await connection.fetchval(WHO)
        finally:
            await connection.close()

    async def _by_asyncpg_pool(self) -> object:
        options: dict[str, Any] = {"client": self._client, "min_size": 2, "max_size": 2}
        async with pgiam.asyncpg.create_pool(**self._login, database=self._box.database, **options) as pool:
            return await pool.fetchval(WHO)

    async def _by_psycopg_async(self) -> object:
        using = pgiam.psycopg.AsyncConnection.using(client=self._client)
        async with await using.connect(**self._login, dbname=self._box.database) as connection:
            row = await (await connection.execute(WHO)).fetchone()
            return row[0] if row else None
