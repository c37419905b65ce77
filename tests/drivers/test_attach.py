"""`attach`, `create_engine` and `create_async_engine`: what they refuse, and what they set."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import sessionmaker
from sqlalchemy.pool import NullPool

import pgiam
from drivers.hooked import RDS

DSQL = "ab1cdef2ghijk3lmnop4qrst5u.dsql.us-east-1.on.aws"
PROXY = "db.proxy-abc.us-east-1.rds.amazonaws.com"
URL = f"postgresql+psycopg://app@{RDS}/app"
ASYNC_URL = f"postgresql+asyncpg://app@{RDS}/app"


def open_nothing() -> Any:
    raise AssertionError("nobody connects here")


async def open_nothing_async() -> Any:
    raise AssertionError("nobody connects here")


def listeners(engine: sa.Engine) -> list[Any]:
    return list(engine.dialect.dispatch.do_connect)


def test_attach_returns_the_engine_and_listens_once(client: pgiam.Client) -> None:
    engine = sa.create_engine(URL)
    assert pgiam.sqlalchemy.attach(engine, client=client) is engine
    assert pgiam.sqlalchemy.attach(engine, client=client) is engine
    assert len(listeners(engine)) == 1


def test_attach_takes_an_async_engine(client: pgiam.Client) -> None:
    engine = create_async_engine(ASYNC_URL)
    assert pgiam.sqlalchemy.attach(engine, client=client) is engine
    assert len(listeners(engine.sync_engine)) == 1


def test_an_engine_with_other_execution_options_shares_the_listener(client: pgiam.Client) -> None:
    engine = pgiam.sqlalchemy.attach(sa.create_engine(URL), client=client)
    pgiam.sqlalchemy.attach(engine.execution_options(isolation_level="AUTOCOMMIT"), client=client)
    assert len(listeners(engine)) == 1


def test_a_disposed_engine_can_still_be_attached(client: pgiam.Client) -> None:
    engine = sa.create_engine(URL)
    engine.dispose()
    pgiam.sqlalchemy.attach(engine, client=client)
    assert len(listeners(engine)) == 1


def test_other_options_for_the_same_engine_are_refused(client: pgiam.Client) -> None:
    engine = pgiam.sqlalchemy.attach(sa.create_engine(URL), client=client)
    with pytest.raises(pgiam.ConfigurationError, match="other options"):
        pgiam.sqlalchemy.attach(engine, client=client, expires_in=60)
    assert len(listeners(engine)) == 1


def test_attach_beside_a_plain_listener_is_refused(client: pgiam.Client) -> None:
    for listener in (client.do_connect, pgiam.do_connect):
        engine = sa.create_engine(URL)
        event.listen(engine, "do_connect", listener)
        with pytest.raises(pgiam.ConfigurationError, match="already"):
            pgiam.sqlalchemy.attach(engine, client=client)
        assert len(listeners(engine)) == 1


@pytest.mark.parametrize(
    "engine",
    [
        sa.create_engine(URL, creator=open_nothing),
        sa.create_engine(URL, pool=NullPool(open_nothing)),
        sa.create_engine(URL, pool=sa.create_engine(URL).pool),
        create_async_engine(ASYNC_URL, async_creator=open_nothing_async),
    ],
    ids=["creator", "pool", "pool of another engine", "async_creator"],
)
def test_an_engine_that_never_asks_is_refused(engine: sa.Engine | AsyncEngine, client: pgiam.Client) -> None:
    with pytest.raises(pgiam.ConfigurationError, match="never asks") as raised:
        pgiam.sqlalchemy.attach(engine, client=client)
    assert "creator=" in raised.value.hint
    assert not listeners(engine.sync_engine if isinstance(engine, AsyncEngine) else engine)


def test_a_creator_given_to_create_engine_is_refused(client: pgiam.Client) -> None:
    with pytest.raises(pgiam.ConfigurationError, match="never asks"):
        pgiam.sqlalchemy.create_engine(URL, client=client, creator=open_nothing)


@pytest.mark.parametrize("thing", [None, "postgresql://", sessionmaker(), sa.create_engine(URL).pool])
def test_what_is_no_engine_is_refused(thing: Any, client: pgiam.Client) -> None:
    with pytest.raises(pgiam.WrongTypeError, match="cannot attach"):
        pgiam.sqlalchemy.attach(thing, client=client)


def test_an_engine_for_another_database_is_refused(client: pgiam.Client) -> None:
    with pytest.raises(pgiam.ConfigurationError, match="sqlite"):
        pgiam.sqlalchemy.attach(sa.create_engine("sqlite://"), client=client)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"client": "prod"}, pgiam.WrongTypeError),
        ({"tls": "on"}, pgiam.ConfigurationError),
        ({"tls": False}, pgiam.ConfigurationError),
    ],
)
def test_options_of_the_wrong_kind_are_refused(options: dict[str, Any], error: type[pgiam.Error]) -> None:
    engine = sa.create_engine(URL)
    with pytest.raises(error) as raised:
        pgiam.sqlalchemy.attach(engine, **options)
    assert raised.value.hint
    assert not listeners(engine)


@pytest.mark.parametrize(("host", "recycle"), [(RDS, 1800), (PROXY, 1500), (DSQL, 3000)])
@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "pg8000"])
def test_pools_suit_the_endpoint(client: pgiam.Client, driver: str, host: str, recycle: int) -> None:
    engine = pgiam.sqlalchemy.create_engine(f"postgresql+{driver}://app@{host}/app", client=client)
    assert (engine.pool._recycle, engine.pool._pre_ping) == (recycle, True)
    if driver != "pg8000":
        assert engine.dialect.use_native_hstore is (host != DSQL)  # type: ignore[attr-defined]
    assert len(listeners(engine)) == 1


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_pools_of_async_engines_do_too(client: pgiam.Client, driver: str) -> None:
    url = sa.URL.create(f"postgresql+{driver}", username="app", host=DSQL, database="postgres")
    engine = pgiam.sqlalchemy.create_async_engine(url, client=client)
    assert (engine.pool._recycle, engine.pool._pre_ping) == (3000, True)


def test_a_token_host_decides_what_the_endpoint_is(client: pgiam.Client) -> None:
    url = "postgresql+psycopg://app@localhost:15432/app"
    engine = pgiam.sqlalchemy.create_engine(url, client=client, token_host=DSQL)
    assert engine.pool._recycle == 3000


def test_what_the_caller_says_wins(client: pgiam.Client) -> None:
    url = f"postgresql+psycopg://app@{DSQL}/postgres"
    engine = pgiam.sqlalchemy.create_engine(
        url, client=client, pool_recycle=60, pool_pre_ping=False, use_native_hstore=True, poolclass=NullPool
    )
    assert (engine.pool._recycle, engine.pool._pre_ping) == (60, False)
    assert engine.dialect.use_native_hstore is True  # type: ignore[attr-defined]
    assert isinstance(engine.pool, NullPool)


@pytest.mark.parametrize(
    ("url", "options", "hint"),
    [
        (f"postgresql+psycopg://{RDS}/app", {}, "PGUSER"),
        ("postgresql+psycopg://app@/app", {}, "PGHOST"),
        ("postgresql+psycopg://app@localhost/app", {}, "token_host="),
        (f"{URL}?sslmode=prefer", {}, 'tls="off"'),
        (f"{URL}?sslmode=prefer", {"connect_args": {"sslmode": "disable"}}, 'tls="off"'),
        (f"postgresql+psycopg://app@/app?host={RDS}:5432&host=db-2{RDS}:5432", {}, "asyncpg"),
        (f"{ASYNC_URL}?sslmode=require", {}, "?ssl=require"),
        ("sqlite://", {}, "postgresql+"),
        (None, {}, "postgresql+"),
        (URL.encode(), {}, "postgresql+"),
    ],
)
def test_what_is_wrong_with_a_url_is_said_when_the_engine_is_made(
    client: pgiam.Client, url: Any, options: dict[str, Any], hint: str
) -> None:
    with pytest.raises((pgiam.ConfigurationError, pgiam.EndpointError)) as raised:
        pgiam.sqlalchemy.create_engine(url, client=client, **options)
    assert hint in raised.value.hint


def test_an_unknown_option_is_refused(client: pgiam.Client) -> None:
    with pytest.raises(TypeError, match="poolsize"):
        pgiam.sqlalchemy.create_engine(URL, client=client, poolsize=3)
