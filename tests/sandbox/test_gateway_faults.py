"""Faults of the database: each shows as it would from the service, and is gone when it is cleared."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
import urllib.error
import urllib.request
from typing import Any

import asyncpg
import psycopg
import pytest

from botocore_tokens import token_for
from pgiam.sandbox import Faults, Sandbox, SandboxError

FLAVORS = [
    pytest.param(flavor, marks=pytest.mark.pgiam_sandbox(flavor=flavor)) for flavor in ("rds", "rds-proxy", "dsql")
]


def connect(box: Sandbox, **extra: Any) -> psycopg.Connection[Any]:
    options = {
        "host": box.host,
        "port": box.port,
        "user": box.user,
        "dbname": box.database,
        "sslmode": "verify-full",
        "sslrootcert": box.ca_file,
        "connect_timeout": 30,
    }
    return psycopg.connect(**{**options, "password": token_for(box), **extra})


def works(box: Sandbox) -> bool:
    with connect(box) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def fails(box: Sandbox, match: str) -> None:
    with pytest.raises(psycopg.OperationalError, match=match):
        connect(box)


def sqlstate(box: Sandbox) -> tuple[str, str]:
    async def run() -> asyncpg.PostgresError:
        with pytest.raises(asyncpg.PostgresError) as caught:
            await asyncpg.connect(
                host=box.host,
                port=box.port,
                user=box.user,
                database=box.database,
                password=token_for(box),
                ssl=ssl.create_default_context(cafile=box.ca_file),
            )
        await asyncio.sleep(0.1)  # asyncpg closes a transport that failed without waiting for it
        return caught.value

    error: Any = asyncio.run(run())
    return error.sqlstate, str(error)


def test_refused_by_the_kernel(pgiam_sandbox: Sandbox) -> None:
    port = pgiam_sandbox.port
    with pgiam_sandbox.faults.refuse_connections():
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=30)
        fails(pgiam_sandbox, "refused")
    assert pgiam_sandbox.port == port
    assert works(pgiam_sandbox)


@pytest.mark.parametrize("stage", ["accept", "tls", "startup", "password"])
def test_reset(pgiam_sandbox: Sandbox, stage: Any) -> None:
    with pgiam_sandbox.faults.reset_at(stage):
        fails(pgiam_sandbox, "reset|closed|SYSCALL|unexpected|aborted")
    assert works(pgiam_sandbox)
    assert pgiam_sandbox.stats()["faults"]["reset"] >= 1


def test_a_count_uses_itself_up(pgiam_sandbox: Sandbox) -> None:
    pgiam_sandbox.faults.waking_up(count=2)
    fails(pgiam_sandbox, "starting up")
    fails(pgiam_sandbox, "starting up")
    assert works(pgiam_sandbox)


def test_slow_accept(pgiam_sandbox: Sandbox) -> None:
    with pgiam_sandbox.faults.slow_accept(1.0):
        begun = time.monotonic()
        assert works(pgiam_sandbox)
        assert time.monotonic() - begun >= 1.0


@pytest.mark.parametrize(
    ("kind", "match"),
    [("wrong_host", "does not match host name"), ("unknown_ca", "verify failed"), ("expired", "verify failed")],
)
def test_certificates_not_to_trust(pgiam_sandbox: Sandbox, kind: Any, match: str) -> None:
    with pgiam_sandbox.faults.certificate(kind):
        fails(pgiam_sandbox, match)
        before = pgiam_sandbox.stats()["tokens"]
        fails(pgiam_sandbox, match)
        assert pgiam_sandbox.stats()["tokens"] == before  # no token went to a stranger
    assert works(pgiam_sandbox)


def test_a_server_without_tls(pgiam_sandbox: Sandbox) -> None:
    with pgiam_sandbox.faults.no_tls():
        fails(pgiam_sandbox, "server does not support SSL")
        with pytest.raises(psycopg.OperationalError, match="no encryption"):
            connect(pgiam_sandbox, sslmode="prefer", sslrootcert="")


TEXTS = {
    ("too_many_connections", "rds"): ("53300", "sorry, too many clients already"),
    ("too_many_connections", "rds-proxy"): ("53300", "maximum number of client connections"),
    ("too_many_connections", "dsql"): ("53300", "Unable to accept connection, too many open connections."),
    ("rate_exceeded", "rds"): ("53400", "rate exceeded"),
    ("rate_exceeded", "rds-proxy"): ("53400", "Rate of connection to proxy exceeded"),
    ("rate_exceeded", "dsql"): ("53400", "Unable to accept connection, rate exceeded."),
    ("waking_up", "rds"): ("57P03", "the database system is starting up"),
    ("waking_up", "rds-proxy"): ("08006", "Timed-out waiting to acquire database connection."),
    ("waking_up", "dsql"): ("08006", "unable to accept connection, waking up cluster, please retry later"),
    ("proxy_competing_requests", "rds-proxy"): ("53400", "because of too many competing requests"),
}


@pytest.mark.parametrize("flavor", FLAVORS)
@pytest.mark.parametrize("name", ["too_many_connections", "rate_exceeded", "waking_up", "proxy_competing_requests"])
def test_turned_away_in_the_service_s_words(pgiam_sandbox: Sandbox, flavor: str, name: str) -> None:
    if (name, flavor) not in TEXTS:
        return
    with getattr(pgiam_sandbox.faults, name)():
        code, text = sqlstate(pgiam_sandbox)
    assert code == TEXTS[name, flavor][0]
    assert TEXTS[name, flavor][1] in text
    assert works(pgiam_sandbox)


def test_connection_limit(pgiam_sandbox: Sandbox) -> None:
    with connect(pgiam_sandbox), pgiam_sandbox.faults.connection_limit(1):
        assert sqlstate(pgiam_sandbox)[0] == "53300"
    with pgiam_sandbox.faults.connection_limit(100):
        assert works(pgiam_sandbox)


@pytest.mark.parametrize("abruptly", [False, True])
def test_sessions_killed(pgiam_sandbox: Sandbox, *, abruptly: bool) -> None:
    connections = [connect(pgiam_sandbox) for _ in range(3)]
    assert pgiam_sandbox.faults.kill_sessions(abruptly=abruptly) >= 3
    for connection in connections:
        with pytest.raises(psycopg.OperationalError) as caught:
            connection.execute("SELECT 1")
        assert abruptly or "terminating connection due to administrator command" in str(caught.value)
        connection.close()
    assert works(pgiam_sandbox)


def test_a_superuser_who_ends_every_session_ends_not_the_gateway(pgiam_sandbox: Sandbox) -> None:
    box = pgiam_sandbox
    with connect(box, user="postgres", password=box.password_of("postgres")) as master:
        master.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    assert works(box)
    assert box.sql("SELECT 1") == [["1"]]


def test_idle_sessions_closed_and_busy_ones_not(pgiam_sandbox: Sandbox) -> None:
    with connect(pgiam_sandbox) as busy:
        idle = connect(pgiam_sandbox)
        with pgiam_sandbox.faults.idle_close(1.5):
            deadline = time.monotonic() + 3
            while time.monotonic() < deadline:
                busy.execute("SELECT 1")
                time.sleep(0.02)
        with pytest.raises(psycopg.OperationalError):
            idle.execute("SELECT 1")
        idle.close()
        busy.execute("SELECT 1")


def test_rds_iam_revoked(pgiam_sandbox: Sandbox) -> None:
    with pgiam_sandbox.faults.revoke_rds_iam("app"):
        fails(pgiam_sandbox, 'password authentication failed for user "app"')
    assert works(pgiam_sandbox)


def test_credentials_disabled_expired_and_rotated(pgiam_sandbox: Sandbox) -> None:
    box = pgiam_sandbox
    credentials = box.issue_credentials()
    token = token_for(box, credentials=credentials)
    connect(box, password=token).close()
    with box.faults.disable_key(credentials["access_key"]):
        with pytest.raises(psycopg.OperationalError, match="PAM authentication failed"):
            connect(box, password=token)
    open_session = connect(box, password=token)
    assert box.faults.expire_credentials() >= 1
    with pytest.raises(psycopg.OperationalError, match="PAM authentication failed"):
        connect(box, password=token)
    open_session.execute("SELECT 1")  # authentication counts at login, and then never again
    open_session.close()
    assert works(box)
    old = box.add_user("rotating", db_users=["app"])
    connect(box, password=token_for(box, credentials=old)).close()
    new = box.control("rotate_key", user="rotating")
    with pytest.raises(psycopg.OperationalError, match="PAM authentication failed"):
        connect(box, password=token_for(box, credentials=old))
    connect(box, password=token_for(box, credentials=new)).close()


@pytest.mark.parametrize("seconds", [-1000, 1000])
def test_a_skewed_clock(pgiam_sandbox: Sandbox, seconds: float) -> None:
    credentials = pgiam_sandbox.issue_credentials(lifetime=36_000)
    with pgiam_sandbox.faults.skew_clock(seconds):
        with pytest.raises(psycopg.OperationalError, match="PAM authentication failed"):
            connect(pgiam_sandbox, password=token_for(pgiam_sandbox, credentials=credentials))
    assert works(pgiam_sandbox)


def test_clear_ends_everything(pgiam_sandbox: Sandbox) -> None:
    faults = pgiam_sandbox.faults
    faults.refuse_connections()
    faults.too_many_connections()
    faults.skew_clock(5000)
    faults.sts.throttled()
    faults.clear()
    assert works(pgiam_sandbox)


@pytest.mark.parametrize(
    "order",
    [
        lambda faults: faults.reset_at("nowhere"),
        lambda faults: faults.certificate("right"),
        lambda faults: faults.slow_accept(-1),
        lambda faults: faults.slow_accept("1"),
        lambda faults: faults.waking_up(count=0),
        lambda faults: faults.connection_limit(1.5),
        lambda faults: faults.sts.add("explode"),
    ],
)
def test_orders_that_make_no_sense(pgiam_sandbox: Sandbox, order: Any) -> None:
    assert isinstance(pgiam_sandbox.faults, Faults)
    with pytest.raises(SandboxError):
        order(pgiam_sandbox.faults)
    assert works(pgiam_sandbox)


def test_the_control_port_is_json_for_those_with_the_token(pgiam_sandbox: Sandbox) -> None:
    url = pgiam_sandbox.env["PGIAM_SANDBOX_CONTROL_URL"]
    token = pgiam_sandbox.env["PGIAM_SANDBOX_CONTROL_TOKEN"]

    def post(path: str, body: bytes, token: str) -> tuple[int, Any]:
        request = urllib.request.Request(f"{url}/{path}", body, {"Authorization": f"Bearer {token}"}, method="POST")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    assert post("fault", b'{"name": "waking_up", "count": 1}', token) == (200, {"name": "waking_up"})
    fails(pgiam_sandbox, "starting up")
    assert post("fault", b'{"name": "waking_up"}', "wrong")[0] == 401
    assert works(pgiam_sandbox)
    for body in (b"[]", b"{", b'{"nome": 1}', b'{"name": []}'):
        status, answer = post("fault", body, token)
        assert status == 400
        assert answer["error"]
    assert post("no_such_operation", b"{}", token)[0] == 400
    assert post("aws/no_such_operation", b"{}", token)[0] == 400
    status, stats = post("stats", b"", token)
    assert status == 200
    assert stats["accepted"] >= 1
