"""`pgiam.explain`: what each driver raises, wrapped or not, and what it means."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import asyncpg
import pg8000.dbapi
import psycopg
import psycopg2
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

import pgiam
from doctor import strange_servers
from doctor.ward import Ward
from pgiam.sandbox import Sandbox

DRIVERS = ("psycopg2", "psycopg", "pg8000", "asyncpg")


async def failure(driver: str, box: Sandbox, *, user: str, port: int | None = None, wrapped: bool) -> Exception:
    """What connecting raises, by the driver itself or through SQLAlchemy."""
    port = port or box.port
    try:
        if wrapped:
            await connect_by_sqlalchemy(driver, user, port)
        else:
            await connect_plainly(driver, box, user, port)
    except Exception as error:  # noqa: BLE001 - of whatever kind
        return error
    raise AssertionError("it connected")


async def connect_by_sqlalchemy(driver: str, user: str, port: int) -> None:
    url = f"postgresql+{driver}://{user}@localhost:{port}/postgres"
    if driver == "asyncpg":
        engine = pgiam.sqlalchemy.attach(create_async_engine(url, poolclass=NullPool), client=pgiam.Client())
        await engine.connect().start()
    else:
        pgiam.sqlalchemy.create_engine(url, poolclass=NullPool, client=pgiam.Client()).connect()


async def connect_plainly(driver: str, box: Sandbox, user: str, port: int) -> None:
    password = pgiam.Client().password(host="localhost", port=port, user=user)
    login: dict[str, Any] = {"host": "localhost", "port": port, "user": user, "database": "postgres"}
    context = pgiam.ssl_context()
    if driver == "asyncpg":
        await asyncpg.connect(**login, password=password, ssl=context)
    elif driver == "pg8000":
        pg8000.dbapi.connect(**login, password=str(password), ssl_context=context)
    else:
        login["dbname"] = login.pop("database")
        libpq: Callable[..., Any] = psycopg.connect if driver == "psycopg" else psycopg2.connect
        libpq(**login, password=str(password), sslmode="verify-full", sslrootcert=box.ca_file)


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "sqlalchemy"])
async def test_refusals(driver: str, wrapped: bool, wards: dict[str, Ward]) -> None:
    for flavor, user, name, snippet in [
        ("rds", "denied", "login.token_refused", "rds-db:connect"),
        ("rds-proxy", "denied", "login.token_refused", "<prx-id>/denied"),
        ("rds", "legacy", "login.not_iam_user", 'GRANT rds_iam TO "legacy";'),
        ("dsql", "denied", "login.policy", "dsql:DbConnect"),
    ]:
        ward = wards[flavor]
        with ward.admitted():
            error = await failure(driver, ward.box, user=user, wrapped=wrapped)
            diagnosis = pgiam.explain(error, endpoint="localhost", user=user)
        assert diagnosis is not None
        assert diagnosis.name == name, error
        assert diagnosis.status == "failure"
        assert any(snippet in text for _, text in diagnosis.snippets), diagnosis.snippets


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "sqlalchemy"])
async def test_servers_that_are_not_there(driver: str, wrapped: bool, wards: dict[str, Ward]) -> None:
    ward = wards["rds"]
    with ward.admitted(), strange_servers.closed() as port:
        error = await failure(driver, ward.box, user="app", port=port, wrapped=wrapped)
    diagnosis = pgiam.explain(error)
    assert diagnosis is not None
    assert diagnosis.name == "tcp.refused", error


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    ("kind", "name"),
    [("expired", "tls.expired"), ("unknown_ca", "tls.unknown_authority"), ("wrong_host", "tls.wrong_host")],
)
async def test_certificates(driver: str, kind: Any, name: str, wards: dict[str, Ward]) -> None:
    ward = wards["rds"]
    with ward.admitted(), ward.box.faults.certificate(kind):
        error = await failure(driver, ward.box, user="app", wrapped=True)
    diagnosis = pgiam.explain(error)
    assert diagnosis is not None
    if driver in ("psycopg", "psycopg2") and kind != "wrong_host":
        name = "tls.not_verified"  # more libpq does not say
    assert diagnosis.name == name, error


@pytest.mark.parametrize("driver", DRIVERS)
async def test_failed_statements_are_not_explained(driver: str, wards: dict[str, Ward]) -> None:
    ward = wards["rds"]
    with ward.admitted():
        url = f"postgresql+{driver}://app@localhost:{ward.box.port}/postgres"
        for statement in ("SELECT 1 FROM nowhere", "SELEC 1", "SELECT 1/0", "SET ROLE postgres", "SET what.is TO this"):
            with pytest.raises(sa.exc.DBAPIError) as caught:
                await execute(driver, url, statement + "; SELECT 1/0" if "SET what" in statement else statement)
            assert pgiam.explain(caught.value) is None, caught.value


async def execute(driver: str, url: str, statement: str) -> None:
    if driver == "asyncpg":
        engine = pgiam.sqlalchemy.create_async_engine(url, client=pgiam.Client())
        try:
            async with engine.connect() as connection:
                await connection.exec_driver_sql(statement)
        finally:
            await engine.dispose()
    else:
        sync_engine = pgiam.sqlalchemy.create_engine(url, client=pgiam.Client())
        try:
            with sync_engine.connect() as connection_:
                connection_.exec_driver_sql(statement)
        finally:
            sync_engine.dispose()


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        KeyError("database"),
        pgiam.CredentialsError("STS: access denied", hint="Look."),
        Exception(),
    ],
)
def test_other_errors_are_not_explained(error: Exception) -> None:
    assert pgiam.explain(error) is None


def test_causes_are_looked_at() -> None:
    try:
        try:
            raise psycopg.OperationalError('FATAL: PAM authentication failed for user "app"')
        except psycopg.OperationalError as inner:
            raise RuntimeError("the service cannot start") from inner
    except RuntimeError as error:
        diagnosis = pgiam.explain(error, endpoint="postgresql+psycopg://app@db.abc.eu-west-1.rds.amazonaws.com/x")
    assert diagnosis is not None
    assert diagnosis.name == "login.token_refused"
    assert "arn:aws:rds-db:eu-west-1:<account>:dbuser:<db-id>/app" in diagnosis.snippets[0][1]


def test_an_error_that_is_its_own_cause() -> None:
    error = RuntimeError("round")
    other = RuntimeError("and round")
    error.__cause__, other.__cause__ = other, error
    assert pgiam.explain(error) is None


@pytest.mark.parametrize("driver", DRIVERS)
async def test_attach_logs_each_cause_once(
    driver: str, wards: dict[str, Ward], caplog: pytest.LogCaptureFixture
) -> None:
    ward = wards["rds"]
    url = f"postgresql+{driver}://denied@localhost:{ward.box.port}/postgres"

    async def connect() -> None:
        with pytest.raises(Exception, match=r"authentication failed|Can't create a connection|refused|Connect call"):
            await engine.connect().start() if driver == "asyncpg" else engine.connect()

    with ward.admitted(), caplog.at_level(logging.ERROR, logger="pgiam"):
        client = pgiam.Client()
        engine: Any
        if driver == "asyncpg":
            engine = pgiam.sqlalchemy.attach(create_async_engine(url, poolclass=NullPool), client=client)
        else:
            engine = pgiam.sqlalchemy.attach(sa.create_engine(url, poolclass=NullPool), client=client)
        for _ in range(3):
            await connect()
        with ward.box.faults.refuse_connections():
            for _ in range(3):
                await connect()
    lines = [record.getMessage() for record in caplog.records if "cannot log in" in record.getMessage()]
    assert len(lines) == 2, lines
    assert "cannot log in as denied to localhost" in lines[0]
    assert '"Action": "rds-db:connect"' in lines[0]
    assert "(login.token_refused)" in lines[0]
    assert "(tcp.refused)" in lines[1]
    assert not any("X-Amz" in line for line in lines)
