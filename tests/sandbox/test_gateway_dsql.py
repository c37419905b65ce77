"""Sessions in the DSQL flavour: what it refuses, and what state a refusal leaves behind."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Iterator
from typing import Any

import asyncpg
import aurora_dsql_asyncpg  # type: ignore[import-untyped]
import aurora_dsql_psycopg  # type: ignore[import-untyped]
import aurora_dsql_psycopg2  # type: ignore[import-untyped]
import psycopg
import pytest
from psycopg.pq import TransactionStatus

from botocore_tokens import token_for
from pgiam.sandbox import Sandbox

pytestmark = pytest.mark.pgiam_sandbox(flavor="dsql")


@pytest.fixture
def session(pgiam_sandbox: Sandbox) -> Iterator[psycopg.Connection[Any]]:
    fresh_table(pgiam_sandbox)
    with psycopg.connect(password=token_for(pgiam_sandbox), **options(pgiam_sandbox)) as connection:
        yield connection
        if not connection.broken:
            connection.rollback()


def fresh_table(box: Sandbox) -> None:
    box.sql("DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY); ALTER TABLE t OWNER TO admin")


def options(box: Sandbox) -> dict[str, Any]:
    return {
        "host": box.host,
        "port": box.port,
        "user": box.user,
        "dbname": box.database,
        "sslmode": "verify-full",
        "sslrootcert": box.ca_file,
    }


def refusal(session: psycopg.Connection[Any], sql: str, *, prepare: bool | None = None) -> tuple[str | None, str]:
    with pytest.raises(psycopg.Error) as caught:
        session.execute(sql, prepare=prepare)
    return caught.value.sqlstate, str(caught.value).splitlines()[0]


@pytest.mark.parametrize("prepare", [False, True])
def test_a_refusal_fails_the_transaction_as_a_server_s_does(session: psycopg.Connection[Any], *, prepare: bool) -> None:
    session.execute("INSERT INTO t VALUES (1)")
    assert refusal(session, "SAVEPOINT a", prepare=prepare) == (
        "0A000",
        "unsupported transaction statement: SAVEPOINT",
    )
    assert session.info.transaction_status == TransactionStatus.INERROR
    assert refusal(session, "SELECT 1")[0] == "25P02"
    session.rollback()
    assert session.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_one_ddl_to_a_transaction_and_no_dml_with_it(session: psycopg.Connection[Any]) -> None:
    session.execute("CREATE TABLE a (id int PRIMARY KEY)")
    multiple = ("0A000", "multiple ddl statements not supported in a transaction")
    assert refusal(session, "CREATE TABLE b (id int PRIMARY KEY)") == multiple
    session.rollback()
    session.execute("CREATE TABLE a (id int PRIMARY KEY)")
    mixed = ("0A000", "ddl and dml are not supported in the same transaction")
    assert refusal(session, "INSERT INTO t VALUES (1)") == mixed
    session.rollback()
    assert refusal(session, "INSERT INTO t VALUES (1); CREATE TABLE a (id int PRIMARY KEY)") == mixed
    session.rollback()
    # A transaction each is fine, with the same prepared statements too.
    for name in ("a", "b"):
        session.execute(f"CREATE TABLE {name} (id int PRIMARY KEY)")
        session.commit()
        session.execute(f"DROP TABLE {name}")
        session.commit()


def test_asynchronous_indexes(session: psycopg.Connection[Any]) -> None:
    session.execute("CREATE INDEX ASYNC ON t (id)")
    session.commit()
    assert refusal(session, "CREATE INDEX ON t (id)")[1] == "unsupported mode. please use CREATE INDEX ASYNC."


def test_repeatable_read_is_the_level(session: psycopg.Connection[Any]) -> None:
    assert session.execute("SHOW transaction_isolation").fetchone() == ("repeatable read",)


@pytest.mark.parametrize("code", ["OC000", "OC001"])
@pytest.mark.parametrize("prepare", [False, True])
def test_a_conflict_shows_at_commit_and_ends_the_transaction(
    pgiam_sandbox: Sandbox, session: psycopg.Connection[Any], code: Any, *, prepare: bool
) -> None:
    pgiam_sandbox.faults.conflict(code)
    session.execute("SELECT 1")
    session.commit()  # reading loses against nobody
    session.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(psycopg.errors.SerializationFailure, match=code):
        session.execute("COMMIT", prepare=prepare)
    assert session.info.transaction_status == TransactionStatus.IDLE
    session.execute("INSERT INTO t VALUES (1)")
    session.commit()  # the one fault is used up
    assert session.execute("SELECT count(*) FROM t").fetchone() == (1,)


def test_a_conflict_of_a_single_statement(pgiam_sandbox: Sandbox, session: psycopg.Connection[Any]) -> None:
    session.autocommit = True
    pgiam_sandbox.faults.conflict(count=2)
    for _ in range(2):
        assert refusal(session, "INSERT INTO t VALUES (1)")[0] == "40001"
        assert session.info.transaction_status == TransactionStatus.IDLE
    session.execute("INSERT INTO t VALUES (1)")


async def twice(connection: asyncpg.Connection, statement: Any) -> None:
    async with connection.transaction():
        await statement.fetch()
        await statement.fetch()


def test_a_conflict_under_asyncpg_s_pipelined_protocol(pgiam_sandbox: Sandbox) -> None:
    box = pgiam_sandbox
    fresh_table(box)

    async def run() -> None:
        connection = await asyncpg.connect(
            host=box.host,
            port=box.port,
            user=box.user,
            database=box.database,
            password=token_for(box),
            ssl=ssl.create_default_context(cafile=box.ca_file),
        )
        try:
            box.faults.conflict()
            with pytest.raises(asyncpg.SerializationError):
                async with connection.transaction():
                    await connection.execute("INSERT INTO t VALUES ($1)", 1)
            assert not connection.is_in_transaction()
            with pytest.raises(asyncpg.FeatureNotSupportedError):
                await connection.fetch("CREATE TEMP TABLE x (id int)")
            # One prepared DDL statement, run twice in one transaction: the second run is one too many.
            again = await connection.prepare("GRANT SELECT ON t TO reporting")
            await again.fetch()
            async with connection.transaction():
                await again.fetch()
            with pytest.raises(asyncpg.FeatureNotSupportedError, match="multiple ddl"):
                await twice(connection, again)
            assert await connection.fetchval("SELECT count(*) FROM t") == 0
            await connection.executemany("INSERT INTO t VALUES ($1)", [(n,) for n in range(500)])
            assert await connection.fetchval("SELECT count(*) FROM t") == 500
        finally:
            await connection.close()

    asyncio.run(run())


@pytest.mark.parametrize("setting", ["statement_timeout", "lock_timeout", "default_transaction_isolation"])
def test_settings_it_does_not_know_at_startup(pgiam_sandbox: Sandbox, setting: str) -> None:
    with pytest.raises(psycopg.OperationalError, match=f'configuration parameter "{setting}" not supported'):
        psycopg.connect(password=token_for(pgiam_sandbox), options=f"-c {setting}=1", **options(pgiam_sandbox))


def test_sessions_end_at_their_limit(pgiam_sandbox: Sandbox, session: psycopg.Connection[Any]) -> None:
    session.execute("SELECT 1")
    with pgiam_sandbox.faults.session_limit(0.2):
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT pg_sleep(30)")
    assert session.broken


class TestTheConnectorOfAws:
    """aurora-dsql-python-connector, unmodified. Only where to connect is told: the name is not in DNS."""

    @pytest.fixture(autouse=True)
    def inside(self, pgiam_sandbox: Sandbox) -> Iterator[None]:
        with pgiam_sandbox.activated():
            # Another test may have ended the credentials that the sandbox started with.
            os.environ.update(pgiam_sandbox.platform_env("session"))
            yield

    def test_psycopg(self, pgiam_sandbox: Sandbox) -> None:
        box = pgiam_sandbox
        with aurora_dsql_psycopg.connect(
            host=box.token_host,
            hostaddr="127.0.0.1",
            port=box.port,
            user="admin",
            sslmode="verify-full",
            sslrootcert=box.ca_file,
        ) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("admin",)

    def test_psycopg2(self, pgiam_sandbox: Sandbox) -> None:
        box = pgiam_sandbox
        connection = aurora_dsql_psycopg2.connect(
            host=box.token_host,
            hostaddr="127.0.0.1",
            port=box.port,
            user="app",
            sslmode="verify-full",
            sslrootcert=box.ca_file,
        )
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT current_user")
                assert cursor.fetchone() == ("app",)
        finally:
            connection.close()

    def test_asyncpg(self, pgiam_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        box = pgiam_sandbox

        async def run() -> str:
            loop = asyncio.get_running_loop()
            resolve = loop.getaddrinfo

            async def as_dns_would(host: Any, *arguments: Any, **named: Any) -> Any:
                return await resolve("127.0.0.1" if host == box.token_host else host, *arguments, **named)

            monkeypatch.setattr(loop, "getaddrinfo", as_dns_would)
            connection = await aurora_dsql_asyncpg.connect(
                host=box.token_host,
                port=box.port,
                user="admin",
                ssl="verify-full",
                sslrootcert=box.ca_file,
            )
            try:
                return str(await connection.fetchval("SELECT current_user"))
            finally:
                await connection.close()

        assert asyncio.run(run()) == "admin"
