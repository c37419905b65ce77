"""psycopg 3, psycopg2 and pg8000 without SQLAlchemy: `pgiam.psycopg`, and `Password` where a driver takes it."""

from __future__ import annotations

import asyncio
from typing import Any

import pg8000
import psycopg
import psycopg2
import psycopg2.pool
import psycopg_pool
import pytest
from psycopg.rows import DictRow, TupleRow, dict_row

import pgiam
from drivers.account import Account
from drivers.hooked import RDS


def conninfo(account: Account, user: str | None = None) -> str:
    box = account.box
    return f"host={box.host} port={box.port} user={user or box.user} dbname={box.database}"


def with_password(account: Account) -> dict[str, Any]:
    """What a service writes that uses the driver as it is."""
    box = account.box
    password = account.client.password(host=box.host, port=box.port, user=box.user)
    return {
        "host": box.host,
        "port": box.port,
        "user": box.user,
        "dbname": box.database,
        "password": password,
        "sslmode": "verify-full",
        "sslrootcert": pgiam.ca_file(),
    }


def user_of(connection: Any) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        return str(cursor.fetchone()[0])


def test_connect(account: Account) -> None:
    connection: pgiam.psycopg.Connection[TupleRow] = pgiam.psycopg.Connection.using(client=account.client).connect(
        conninfo(account)
    )
    with connection:
        assert user_of(connection) == "app"
        assert connection.info.get_parameters()["sslmode"] == "verify-full"


def test_connect_with_the_default_client(account: Account) -> None:
    with account.surroundings():
        with pgiam.psycopg.connect() as connection:
            assert user_of(connection) == "app"


def test_connect_takes_what_psycopg_takes(account: Account) -> None:
    using = pgiam.psycopg.Connection[DictRow].using(client=account.client)
    box = account.box
    with using.connect(
        f"postgresql://{box.user}@{box.host}:{box.port}",
        dbname=box.database,
        autocommit=True,
        row_factory=dict_row,
        application_name="test",
        password="stale",
    ) as connection:
        row = connection.execute("SELECT current_setting('application_name') AS name").fetchone()
        assert (row, connection.autocommit) == ({"name": "test"}, True)


def test_every_connection_of_a_pool_gets_a_token_of_its_own(account: Account) -> None:
    using = pgiam.psycopg.Connection.using(client=account.client)
    with psycopg_pool.ConnectionPool(conninfo(account), connection_class=using, min_size=3) as pool:
        pool.wait()
        with pool.connection() as connection:
            assert isinstance(connection, pgiam.psycopg.Connection)
            assert user_of(connection) == "app"
    assert account.client.stats().tokens == 3


async def test_every_connection_of_an_async_pool_does_too(account: Account) -> None:
    using = pgiam.psycopg.AsyncConnection.using(client=account.client)
    async with psycopg_pool.AsyncConnectionPool(conninfo(account), connection_class=using, min_size=3) as pool:
        await pool.wait()
        async with pool.connection() as connection:
            [user] = await (await connection.execute("SELECT current_user")).fetchone() or ()
    assert (user, account.client.stats().tokens) == ("app", 3)


async def test_the_event_loop_runs_while_credentials_are_fetched(account: Account) -> None:
    account.release.clear()
    using = pgiam.psycopg.AsyncConnection.using(client=account.client)
    connecting = asyncio.create_task(using.connect(conninfo(account)))
    assert await asyncio.to_thread(account.fetching.wait, 60)
    account.release.set()
    await (await connecting).close()


def test_credentials_that_the_server_refuses_are_replaced(account: Account) -> None:
    using = pgiam.psycopg.Connection.using(client=account.client)
    account.client.refresh()
    account.box.faults.revoke_credentials()
    with pytest.raises(psycopg.OperationalError, match="PAM authentication failed"):
        using.connect(conninfo(account))
    using.connect(conninfo(account)).close()


async def test_refused_credentials_are_replaced_in_the_async_class_too(account: Account) -> None:
    using = pgiam.psycopg.AsyncConnection.using(client=account.client)
    account.client.refresh()
    account.box.faults.revoke_credentials()
    with pytest.raises(psycopg.OperationalError, match="PAM authentication failed"):
        await using.connect(conninfo(account))
    await (await using.connect(conninfo(account))).close()


@pytest.mark.parametrize(
    ("text", "options", "error"),
    [
        ("", {}, pgiam.ConfigurationError),
        (f"host={RDS}", {}, pgiam.ConfigurationError),
        (f"host={RDS} user=app sslmode=prefer", {}, pgiam.ConfigurationError),
        (f"host={RDS},{RDS} port=1,2 user=app", {}, pgiam.ConfigurationError),
        ("host=localhost user=app", {}, pgiam.EndpointError),
        (f"host={RDS} user=app", {"port": -1}, pgiam.ConfigurationError),
        (f"host={RDS} user=app nonsense=1", {}, psycopg.ProgrammingError),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_sent(
    client: pgiam.Client, text: str, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error) as raised:
        pgiam.psycopg.Connection.using(client=client).connect(text, **options)
    assert not isinstance(raised.value, pgiam.Error) or raised.value.hint
    assert client.stats().tokens == 0


@pytest.mark.parametrize("options", [{"client": "prod"}, {"tls": "on"}])
def test_using_checks_its_options(options: dict[str, Any]) -> None:
    for kind in (pgiam.psycopg.Connection, pgiam.psycopg.AsyncConnection):
        with pytest.raises(pgiam.ConfigurationError):
            kind.using(**options)


@pytest.mark.parametrize("connect", [psycopg.connect, psycopg2.connect])
def test_a_password_object_logs_in(account: Account, connect: Any) -> None:
    options = with_password(account)
    for _ in range(2):
        connection = connect(**options)
        assert user_of(connection) == "app"
        connection.close()
    assert account.client.stats().tokens == 2


@pytest.mark.parametrize("pool_class", [psycopg_pool.ConnectionPool, psycopg_pool.NullConnectionPool])
def test_a_password_object_serves_a_pool(account: Account, pool_class: Any) -> None:
    with pool_class(kwargs=with_password(account), open=True) as pool:
        for _ in range(2):
            with pool.connection() as connection:
                assert user_of(connection) == "app"


async def test_a_password_object_serves_an_async_pool(account: Account) -> None:
    account.client.refresh()
    async with psycopg_pool.AsyncConnectionPool(kwargs=with_password(account), min_size=2) as pool:
        await pool.wait()
    assert account.client.stats().tokens == 2


def test_a_password_object_serves_the_pool_of_psycopg2(account: Account) -> None:
    pool = psycopg2.pool.ThreadedConnectionPool(2, 3, **with_password(account))
    assert user_of(pool.getconn()) == "app"
    pool.closeall()
    assert account.client.stats().tokens == 2


def test_pg8000_wants_a_str_and_takes_one_per_connection(account: Account) -> None:
    box = account.box
    login: dict[str, Any] = {"host": box.host, "port": box.port, "database": box.database, "user": box.user}
    password = account.client.password(host=box.host, port=box.port, user=box.user)
    with pytest.raises(Exception, match="Password"):
        pg8000.connect(**login, password=password, ssl_context=pgiam.ssl_context())
    connection = pg8000.connect(**login, password=str(password), ssl_context=pgiam.ssl_context())
    cursor = connection.cursor()
    cursor.execute("SELECT current_user")
    assert cursor.fetchone() == ["app"]
    connection.close()
