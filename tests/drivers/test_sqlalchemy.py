"""SQLAlchemy on each driver, logging in to a server that takes auth tokens only."""

from __future__ import annotations

import asyncio
import socket
from contextvars import ContextVar
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

import pgiam
from drivers.account import ASYNC, SYNC, Account, current_users, dispose, make_engine, query, refused, sync_engine

DRIVERS = (*SYNC, *ASYNC)

# asyncpg closes the connection of a refused login in the background, and a test's event loop ends soon after.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in.*Transport:pytest.PytestUnraisableExceptionWarning"),
]


@pytest.mark.parametrize("driver", DRIVERS)
async def test_the_hook_gives_every_connection_a_token_of_its_own(account: Account, driver: str) -> None:
    engine = make_engine(account.url(driver))
    event.listen(sync_engine(engine), "do_connect", account.client.do_connect)
    received = account.tokens_received
    assert await current_users(engine, 3) == ["app"] * 3
    assert account.tokens_received - received == account.client.stats().tokens == 3
    assert account.fetches == 1


@pytest.mark.parametrize("driver", DRIVERS)
async def test_the_default_client_works_out_where_it_runs(account: Account, driver: str) -> None:
    with account.surroundings():
        engine = make_engine(sa.make_url(f"postgresql+{driver}:///{account.box.database}"))
        event.listen(sync_engine(engine), "do_connect", pgiam.do_connect)
        assert await current_users(engine) == ["app"]


@pytest.mark.parametrize("driver", DRIVERS)
async def test_engines_made_by_pgiam_connect(account: Account, driver: str) -> None:
    create: Any = pgiam.sqlalchemy.create_async_engine if driver in ASYNC else pgiam.sqlalchemy.create_engine
    engine = create(account.url(driver), client=account.client)
    assert await current_users(engine, 2) == ["app"] * 2


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("user", ["admin", "app"])
async def test_engines_made_by_pgiam_connect_to_dsql(dsql_account: Account, driver: str, user: str) -> None:
    create: Any = pgiam.sqlalchemy.create_async_engine if driver in ASYNC else pgiam.sqlalchemy.create_engine
    engine = create(dsql_account.url(driver, user), client=dsql_account.client)
    assert await current_users(engine) == [user]


@pytest.mark.parametrize("driver", DRIVERS)
async def test_token_host_may_be_said_to_attach(account: Account, driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGIAM_TOKEN_HOST")
    engine = make_engine(account.url(driver))
    pgiam.sqlalchemy.attach(engine, client=account.client, token_host=account.box.token_host, expires_in=60)
    assert await current_users(engine) == ["app"]


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("fault", ["wrong_host", "unknown_ca", "expired"])
async def test_no_token_reaches_a_server_that_cannot_prove_itself(account: Account, driver: str, fault: Any) -> None:
    engine = make_engine(account.url(driver))
    pgiam.sqlalchemy.attach(engine, client=account.client)
    received = account.tokens_received
    with account.box.faults.certificate(fault):
        await refused(engine, r"(?i)certificate")
    assert account.tokens_received == received
    assert account.client.ready()  # a wrong server says nothing about credentials
    assert await current_users(engine) == ["app"]


@pytest.mark.parametrize("driver", DRIVERS)
async def test_no_token_reaches_a_server_without_tls(account: Account, driver: str) -> None:
    engine = make_engine(account.url(driver))
    pgiam.sqlalchemy.attach(engine, client=account.client)
    received = account.tokens_received
    with account.box.faults.no_tls():
        await refused(engine, r"(?i)ssl")
    assert account.tokens_received == received


@pytest.mark.parametrize("driver", DRIVERS)
async def test_credentials_that_the_server_refuses_are_replaced(account: Account, driver: str) -> None:
    engine = make_engine(account.url(driver))
    pgiam.sqlalchemy.attach(engine, client=account.client)
    assert await current_users(engine) == ["app"]
    account.box.faults.revoke_credentials()
    await refused(engine, "PAM authentication failed")
    assert await current_users(engine) == ["app"]
    assert account.fetches == 2


async def test_many_refusals_at_once_drop_the_credentials_once(account: Account) -> None:
    engine = make_engine(account.url("asyncpg"), pool_size=20)
    pgiam.sqlalchemy.attach(engine, client=account.client)
    account.client.refresh()
    account.box.faults.revoke_credentials()
    connects = [current_users(engine) for _ in range(20)]
    failures = await asyncio.gather(*connects, return_exceptions=True)
    assert all("PAM authentication failed" in str(failure) for failure in failures)
    assert await current_users(engine) == ["app"]
    assert account.fetches == 2
    await asyncio.sleep(0.1)  # asyncpg closes its transports in the background


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_pool_replaces_killed_connections_with_fresh_tokens(account: Account, driver: str) -> None:
    create: Any = pgiam.sqlalchemy.create_async_engine if driver in ASYNC else pgiam.sqlalchemy.create_engine
    engine = create(account.url(driver), client=account.client)
    assert await query(engine) == "app"
    assert account.box.faults.kill_sessions() >= 1
    assert await query(engine) == "app"
    assert account.client.stats().tokens == 2
    await dispose(engine)


@pytest.mark.parametrize("driver", DRIVERS)
async def test_dsql_says_it_otherwise_and_they_are_replaced_too(dsql_account: Account, driver: str) -> None:
    create: Any = pgiam.sqlalchemy.create_async_engine if driver in ASYNC else pgiam.sqlalchemy.create_engine
    engine = create(dsql_account.url(driver), client=dsql_account.client)
    dsql_account.client.refresh()
    dsql_account.box.faults.revoke_credentials()
    await refused(engine, "access denied")
    assert await current_users(engine) == ["admin"]
    assert dsql_account.fetches == 2


@pytest.mark.parametrize("driver", ["psycopg", "psycopg_async"])
async def test_an_engine_that_would_probe_dsql_for_hstore_is_told_so(dsql_account: Account, driver: str) -> None:
    engine = make_engine(dsql_account.url(driver))
    pgiam.sqlalchemy.attach(engine, client=dsql_account.client)
    with pytest.raises(pgiam.ConfigurationError) as raised:
        await current_users(engine)
    assert "use_native_hstore=False" in raised.value.hint


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_user_who_may_not_log_in_does_not_keep_fetching(account: Account, driver: str) -> None:
    engine = make_engine(account.url(driver, "denied"))
    pgiam.sqlalchemy.attach(engine, client=account.client)
    for _ in range(5):
        await refused(engine, "PAM authentication failed")
    assert account.fetches == 2


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_failure_of_another_kind_drops_nothing(account: Account, driver: str) -> None:
    engine = make_engine(account.url(driver))
    pgiam.sqlalchemy.attach(engine, client=account.client)
    account.client.refresh()
    with account.box.faults.too_many_connections():
        await refused(engine, "too many")
    assert await current_users(engine) == ["app"]
    assert account.fetches == 1


@pytest.mark.parametrize("driver", ASYNC)
async def test_the_event_loop_runs_while_credentials_are_fetched(account: Account, driver: str) -> None:
    account.release.clear()
    engine = make_engine(account.url(driver))
    event.listen(sync_engine(engine), "do_connect", account.client.do_connect)
    connecting = asyncio.create_task(current_users(engine))
    assert await asyncio.to_thread(account.fetching.wait, 60)
    account.release.set()  # only a loop that runs comes here before the source gives up
    assert await connecting == ["app"]


@pytest.mark.parametrize("driver", ASYNC)
async def test_a_connect_can_be_cancelled_while_credentials_are_fetched(account: Account, driver: str) -> None:
    account.release.clear()
    engine = make_engine(account.url(driver))
    event.listen(sync_engine(engine), "do_connect", account.client.do_connect)
    connecting = asyncio.create_task(current_users(engine))
    assert await asyncio.to_thread(account.fetching.wait, 60)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    assert sync_engine(engine).pool.checkedout() == 0  # type: ignore[attr-defined]
    account.release.set()
    assert await current_users(engine) == ["app"]
    assert account.fetches == 1


@pytest.mark.parametrize("driver", DRIVERS)
async def test_credentials_are_fetched_in_the_context_of_whoever_connects(account: Account, driver: str) -> None:
    # Where Vercel's functions keep the identity token of a request.
    request: ContextVar[str] = ContextVar("request", default="none")
    seen = []

    def fetch() -> pgiam.Credentials:
        seen.append(request.get())
        return account.client.credentials()

    engine = make_engine(account.url(driver))
    event.listen(sync_engine(engine), "do_connect", pgiam.Client(fetch).do_connect)
    request.set("this one")
    assert await current_users(engine) == ["app"]
    assert seen == ["this one"]


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


@pytest.mark.parametrize("order", [1, -1])
async def test_asyncpg_reaches_the_second_host_with_a_token_for_it(
    account: Account, closed_port: int, order: int
) -> None:
    ports = [closed_port, account.box.port][::order]
    hosts = "&".join(f"host=localhost:{port}" for port in ports)
    engine = pgiam.sqlalchemy.create_async_engine(f"postgresql+asyncpg://app@/postgres?{hosts}", client=account.client)
    assert await current_users(engine, 2) == ["app"] * 2


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "psycopg_async"])
async def test_libpq_reaches_the_second_way_to_one_endpoint(account: Account, closed_port: int, driver: str) -> None:
    hosts = "&".join(f"host=localhost:{port}" for port in (closed_port, account.box.port))
    engine = make_engine(sa.make_url(f"postgresql+{driver}://app@/postgres?{hosts}"))
    token_host = f"{account.box.token_host}:{account.box.port}"
    pgiam.sqlalchemy.attach(engine, client=account.client, token_host=token_host)
    assert await current_users(engine) == ["app"]


async def test_a_creator_of_the_users_own_still_gets_the_password(account: Account) -> None:
    import asyncpg

    calls = []

    async def connect(**options: Any) -> Any:
        calls.append(options.keys())
        return await asyncpg.connect(**options)

    engine = make_engine(account.url("asyncpg"), connect_args={"async_creator_fn": connect})
    pgiam.sqlalchemy.attach(engine, client=account.client)
    assert await current_users(engine) == ["app"]
    assert len(calls) == 1
