"""asyncpg without SQLAlchemy: `pgiam.asyncpg`, and `Password` as asyncpg's own password."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any

import asyncpg
import pytest

import pgiam
from drivers.account import Account
from drivers.hooked import RDS

DSQL = "ab1cdef2ghijk3lmnop4qrst5u.dsql.us-east-1.on.aws"


def login(account: Account) -> dict[str, Any]:
    box = account.box
    return {"host": box.host, "port": box.port, "user": box.user, "database": box.database}


def dsn(account: Account, query: str = "") -> str:
    box = account.box
    return f"postgresql://{box.user}@{box.host}:{box.port}/{box.database}{query}"


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


async def user_of(connection: Any) -> str:
    try:
        return str(await connection.fetchval("SELECT current_user"))
    finally:
        await connection.close()


async def test_connect(account: Account) -> None:
    assert await user_of(await pgiam.asyncpg.connect(**login(account), client=account.client)) == "app"
    assert await user_of(await pgiam.asyncpg.connect(dsn(account), client=account.client)) == "app"
    assert account.client.stats().tokens == 2


async def test_the_default_client_and_the_environment(account: Account) -> None:
    with account.surroundings():
        assert await user_of(await pgiam.asyncpg.connect()) == "app"


async def test_every_connection_of_a_pool_gets_a_token_of_its_own(account: Account) -> None:
    async with pgiam.asyncpg.create_pool(dsn(account), client=account.client, min_size=3, max_size=3) as pool:
        assert await pool.fetchval("SELECT current_user") == "app"
    assert account.client.stats().tokens == 3


async def test_direct_tls(account: Account) -> None:
    direct = await pgiam.asyncpg.connect(dsn(account, "?sslnegotiation=direct"), client=account.client)
    assert await user_of(direct) == "app"


@pytest.mark.parametrize("order", [1, -1])
async def test_several_hosts(account: Account, closed_port: int, order: int) -> None:
    ports = [closed_port, account.box.port][::order]
    several = {**login(account), "host": ["localhost"] * 2, "port": ports}
    assert await user_of(await pgiam.asyncpg.connect(**several, client=account.client)) == "app"
    hosts = ",".join(f"localhost:{port}" for port in ports)
    async with pgiam.asyncpg.create_pool(
        f"postgresql://app@{hosts}/postgres", client=account.client, min_size=2, max_size=2
    ) as pool:
        assert await pool.fetchval("SELECT current_user") == "app"


async def test_what_a_dsn_says_about_tls_counts(account: Account) -> None:
    with account.box.faults.certificate("unknown_ca"):
        with pytest.raises(ssl.SSLCertVerificationError):
            await pgiam.asyncpg.connect(dsn(account, "?sslmode=verify-ca"), client=account.client)
        connection = await pgiam.asyncpg.connect(dsn(account, "?sslmode=require"), client=account.client)
        assert await user_of(connection) == "app"
    with account.box.faults.certificate("wrong_host"):
        connection = await pgiam.asyncpg.connect(dsn(account, "?sslmode=verify-ca"), client=account.client)
        assert await user_of(connection) == "app"


async def test_credentials_that_the_server_refuses_are_replaced(account: Account) -> None:
    account.client.refresh()
    account.box.faults.revoke_credentials()
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        await pgiam.asyncpg.connect(dsn(account), client=account.client)
    assert await user_of(await pgiam.asyncpg.connect(dsn(account), client=account.client)) == "app"
    assert account.fetches == 2


async def test_the_event_loop_runs_while_credentials_are_fetched(account: Account) -> None:
    account.release.clear()
    connecting = asyncio.create_task(pgiam.asyncpg.connect(dsn(account), client=account.client))
    assert await asyncio.to_thread(account.fetching.wait, 60)
    account.release.set()
    assert await user_of(await connecting) == "app"


async def test_a_pool_on_dsql_resets_its_connections_as_dsql_allows(dsql_account: Account) -> None:
    async with pgiam.asyncpg.create_pool(dsn(dsql_account), client=dsql_account.client, min_size=1, max_size=1) as pool:
        async with pool.acquire() as connection:
            await connection.execute("SET application_name = 'changed'")
        assert await pool.fetchval("SELECT current_setting('application_name')") != "changed"
        assert pool.get_size() == 1
    assert dsql_account.client.stats().tokens == 1


async def test_a_reset_of_ones_own_is_used(dsql_account: Account) -> None:
    calls = []

    async def reset(connection: Any) -> None:
        calls.append(connection)

    async with pgiam.asyncpg.create_pool(
        dsn(dsql_account), client=dsql_account.client, min_size=1, max_size=1, reset=reset
    ) as pool:
        await pool.fetchval("SELECT 1")
    assert calls


@pytest.mark.parametrize(
    ("text", "options", "hint"),
    [
        (f"postgresql://{RDS}/app", {}, "PGUSER"),
        ("postgresql://app@/app", {}, "PGHOST"),
        ("postgresql://app@localhost/app", {}, "token_host="),
        (f"postgresql://app@{RDS}/app?sslmode=prefer", {}, 'tls="off"'),
        (f"postgresql://app@{RDS}/app?sslrootcert=own.pem", {}, "SSLContext"),
        (f"postgresql://app@{RDS}/app?service=prod", {}, "in the DSN itself"),
        (f"postgresql://app@{RDS}:x/app", {}, "1 to 65535"),
        ("postgresql://app:secret@[::1/app", {}, "user@host"),
        ("postgresql://app@[::1]:5432/app", {}, "token_host="),
        (None, {"host": RDS, "user": "app", "ssl": False}, 'tls="off"'),
        (None, {"host": RDS, "user": "app", "sslmode": "require"}, "?ssl=require"),
        (None, {"host": RDS, "user": "app", "client": "prod"}, "client="),
        (None, {"host": RDS, "user": "app", "tls": "none"}, "tls"),
        (None, {"host": RDS.encode(), "user": "app"}, "str"),
        (b"postgresql://", {}, "postgresql://"),
    ],
)
async def test_what_cannot_work_is_refused_before_anything_is_sent(text: Any, options: Any, hint: str) -> None:
    for refuse in (pgiam.asyncpg.connect, pgiam.asyncpg.create_pool):
        with pytest.raises((pgiam.ConfigurationError, pgiam.EndpointError)) as raised:
            await refuse(text, **options)
        assert hint in raised.value.hint


@pytest.mark.parametrize("on", [RDS, DSQL])
async def test_only_pools_on_dsql_get_another_reset(client: pgiam.Client, on: str) -> None:
    pool = pgiam.asyncpg.create_pool(host=on, user="app", client=client, min_size=0)
    assert (pool._reset is not None) == (on == DSQL)


def test_an_asyncpg_that_is_too_old_is_told_so(client: pgiam.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def create_pool(dsn: str | None = None, **connect_kwargs: Any) -> None:
        """As in asyncpg 0.29."""

    monkeypatch.setattr(asyncpg, "create_pool", create_pool)
    with pytest.raises(pgiam.ConfigurationError) as raised:
        pgiam.asyncpg.create_pool(host=RDS, user="app", client=client)
    assert "asyncpg 0.30" in raised.value.hint


async def test_a_password_object_logs_in(account: Account) -> None:
    box = account.box
    password = account.client.password(host=box.host, port=box.port, user=box.user)
    options = {**login(account), "password": password, "ssl": pgiam.ssl_context()}
    assert await user_of(await asyncpg.connect(**options)) == "app"
    async with asyncpg.create_pool(**options, min_size=3, max_size=3) as pool:
        assert await pool.fetchval("SELECT current_user") == "app"
    assert account.client.stats().tokens == 4


async def test_a_password_object_does_not_hold_up_the_event_loop(account: Account) -> None:
    account.release.clear()
    password = account.client.password(host=account.box.host, port=account.box.port, user=account.box.user)
    connecting = asyncio.create_task(
        asyncpg.connect(**login(account), password=password, ssl=pgiam.ssl_context(), timeout=60)
    )
    assert await asyncio.to_thread(account.fetching.wait, 60)
    account.release.set()
    assert await user_of(await connecting) == "app"


async def test_a_source_that_cannot_be_reached_does_not_send_asyncpg_to_the_next_host() -> None:
    calls = []

    def unreachable() -> None:
        calls.append(1)
        raise ConnectionRefusedError

    client = pgiam.Client(unreachable)
    with pytest.raises(pgiam.CredentialsError) as raised:
        await pgiam.asyncpg.connect(host=[RDS, "db-2" + RDS], user="app", client=client)
    assert isinstance(raised.value.__cause__, ConnectionRefusedError)
    assert len(calls) == 1
