"""One login by each driver: into a sandbox, as a user, with a password, verifying the server in full."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import subprocess
from collections.abc import Callable
from typing import Any

import asyncpg
import pg8000.dbapi
import psycopg
import psycopg2
import psycopg_pool
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

from pgiam.sandbox import Sandbox

WHO = "SELECT current_user"


def trusting(box: Sandbox) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=box.ca_file)


def libpq(box: Sandbox, **options: Any) -> dict[str, Any]:
    base = {
        "host": box.host,
        "port": box.port,
        "user": box.user,
        "dbname": box.database,
        "sslmode": "verify-full",
        "sslrootcert": box.ca_file,
    }
    return {**base, **options}


def by_psycopg(box: Sandbox, user: str, password: str) -> str:
    with psycopg.connect(**libpq(box, user=user, password=password)) as connection:
        return str(connection.execute(WHO).fetchone()[0])  # type: ignore[index]  # one row


def by_psycopg2(box: Sandbox, user: str, password: str) -> str:
    with contextlib.closing(psycopg2.connect(**libpq(box, user=user, password=password))) as connection:
        with connection.cursor() as cursor:
            cursor.execute(WHO)
            row = cursor.fetchone()
            assert row is not None
            return str(row[0])


def by_psycopg_async(box: Sandbox, user: str, password: str) -> str:
    async def run() -> str:
        async with await psycopg.AsyncConnection.connect(**libpq(box, user=user, password=password)) as connection:
            row = await (await connection.execute(WHO)).fetchone()
            assert row is not None
            return str(row[0])

    return asyncio.run(run())


def by_psycopg_pool(box: Sandbox, user: str, password: str) -> str:
    options = libpq(box, user=user, password=password)
    with psycopg_pool.ConnectionPool(kwargs=options, min_size=2, open=True) as pool:
        with pool.connection() as connection:
            return str(connection.execute(WHO).fetchone()[0])  # type: ignore[index]  # one row


def by_psycopg_async_pool(box: Sandbox, user: str, password: str) -> str:
    async def run() -> str:
        options = libpq(box, user=user, password=password)
        async with psycopg_pool.AsyncConnectionPool(kwargs=options, min_size=2, open=False) as pool:
            async with pool.connection() as connection:
                row = await (await connection.execute(WHO)).fetchone()
                assert row is not None
                return str(row[0])

    return asyncio.run(run())


def by_asyncpg(box: Sandbox, user: str, password: str) -> str:
    async def run() -> str:
        try:
            connection = await asyncpg.connect(
                host=box.host,
                port=box.port,
                user=user,
                password=password,
                database=box.database,
                ssl=trusting(box),
            )
        except asyncpg.PostgresError:
            await asyncio.sleep(0.1)  # asyncpg closes a transport that failed without waiting for it
            raise
        try:
            return str(await connection.fetchval(WHO))
        finally:
            await connection.close()

    return asyncio.run(run())


def by_asyncpg_pool(box: Sandbox, user: str, password: str) -> str:
    async def run() -> str:
        async with asyncpg.create_pool(
            host=box.host,
            port=box.port,
            user=user,
            password=lambda: password,
            database=box.database,
            ssl=trusting(box),
            min_size=3,
            # asyncpg's own reset says UNLISTEN, which DSQL refuses.
            reset=_reset,
        ) as pool:
            return str(await pool.fetchval(WHO))

    return asyncio.run(run())


async def _reset(connection: asyncpg.Connection) -> None:
    await connection.execute("RESET ALL")


def by_pg8000(box: Sandbox, user: str, password: str) -> str:
    connection = pg8000.dbapi.connect(
        host=box.host,
        port=box.port,
        user=user,
        password=password,
        database=box.database,
        ssl_context=trusting(box),
    )
    with contextlib.closing(connection):
        cursor = connection.cursor()
        cursor.execute(WHO)
        return str(cursor.fetchone()[0])


def by_psql(box: Sandbox, user: str, password: str) -> str:
    psql = shutil.which("psql")
    if psql is None:
        pytest.skip("psql is not installed")
    environment = {**box.environment(), "PGPASSWORD": password, "PGUSER": user}
    done = subprocess.run([psql, "-Atc", WHO], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def by_sqlalchemy(driver: str) -> Callable[[Sandbox, str, str], str]:
    def connect(box: Sandbox, user: str, password: str) -> str:
        arguments: dict[str, Any] = {"password": password}
        if driver == "pg8000":
            arguments["ssl_context"] = trusting(box)
        options: dict[str, Any] = {"use_native_hstore": False} if driver.startswith("psycopg") else {}
        engine = sqlalchemy.create_engine(box.url(driver, user), connect_args=arguments, **options)
        try:
            with engine.connect() as connection:
                return str(connection.scalar(sqlalchemy.text(WHO)))
        finally:
            engine.dispose()

    return connect


def by_sqlalchemy_async(driver: str) -> Callable[[Sandbox, str, str], str]:
    def connect(box: Sandbox, user: str, password: str) -> str:
        async def run() -> str:
            arguments: dict[str, Any] = {"password": password}
            options: dict[str, Any] = {"use_native_hstore": False} if driver.startswith("psycopg") else {}
            if driver == "asyncpg":
                arguments["ssl"] = trusting(box)
            engine = create_async_engine(box.url(driver, user), connect_args=arguments, **options)
            try:
                async with engine.connect() as connection:
                    return str(await connection.scalar(sqlalchemy.text(WHO)))
            finally:
                await engine.dispose()

        return asyncio.run(run())

    return connect


DRIVERS = {
    "psycopg": by_psycopg,
    "psycopg-async": by_psycopg_async,
    "psycopg-pool": by_psycopg_pool,
    "psycopg-async-pool": by_psycopg_async_pool,
    "psycopg2": by_psycopg2,
    "asyncpg": by_asyncpg,
    "asyncpg-pool": by_asyncpg_pool,
    "pg8000": by_pg8000,
    "psql": by_psql,
    "sqlalchemy-psycopg": by_sqlalchemy("psycopg"),
    "sqlalchemy-psycopg2": by_sqlalchemy("psycopg2"),
    "sqlalchemy-pg8000": by_sqlalchemy("pg8000"),
    "sqlalchemy-asyncpg": by_sqlalchemy_async("asyncpg"),
    "sqlalchemy-psycopg-async": by_sqlalchemy_async("psycopg_async"),
}
