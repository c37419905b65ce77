"""Every driver through the door, by real TLS, with tokens that botocore made."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import Any

import asyncpg
import psycopg
import pytest

from botocore_tokens import rds_token, token_for
from driver_logins import DRIVERS, by_asyncpg, by_pg8000, by_psycopg, by_psycopg2, libpq, trusting
from pgiam.sandbox import Sandbox

FLAVORS = [
    pytest.param(flavor, marks=pytest.mark.pgiam_sandbox(flavor=flavor)) for flavor in ("rds", "rds-proxy", "dsql")
]


@pytest.mark.parametrize("flavor", FLAVORS)
@pytest.mark.parametrize("driver", DRIVERS)
def test_every_driver_logs_in(pgiam_sandbox: Sandbox, flavor: str, driver: str) -> None:
    assert pgiam_sandbox.flavor == flavor
    assert DRIVERS[driver](pgiam_sandbox, pgiam_sandbox.user, token_for(pgiam_sandbox)) == pgiam_sandbox.user


@pytest.mark.parametrize("flavor", FLAVORS)
@pytest.mark.parametrize("size", [None, 64, 1024, 2048])
def test_tokens_of_every_size(pgiam_sandbox: Sandbox, flavor: str, size: int | None) -> None:
    box = pgiam_sandbox
    credentials = (
        box.add_user("sized", db_users=["app"], dsql_admin=True)
        if size is None
        else box.issue_credentials(session_token_size=size)
    )
    token = token_for(box, credentials=credentials)
    assert by_psycopg(box, box.user, token) == box.user
    assert by_asyncpg(box, box.user, token) == box.user


REFUSALS = {
    "rds": 'PAM authentication failed for user "app"',
    "rds-proxy": "The IAM authentication failed for the role app. Check the IAM token for this role and try again.",
    "dsql": "unable to accept connection, access denied",
}
SQLSTATES = {"rds": "28000", "rds-proxy": "28000", "dsql": "08006"}


def sqlstate_by_asyncpg(box: Sandbox, user: str, password: str) -> tuple[str, str, str | None]:
    with pytest.raises(asyncpg.PostgresError) as caught:
        by_asyncpg(box, user, password)
    error: Any = caught.value
    return error.sqlstate, str(error), error.hint


@pytest.mark.parametrize("flavor", FLAVORS)
@pytest.mark.parametrize("wrong", ["user", "host", "port", "region", "byte", "role", "session", "not-a-token"])
def test_a_wrong_token_is_refused_in_the_service_s_words(pgiam_sandbox: Sandbox, flavor: str, wrong: str) -> None:
    box = pgiam_sandbox
    credentials = box.issue_credentials("outsider" if wrong == "role" else "app")
    token = token_for(box, "app", credentials)
    if wrong == "user":
        token = token_for(box, "denied", credentials) if flavor != "dsql" else token_for(box, "admin", credentials)
    elif wrong == "host":
        token = token.replace("sandbox", "another", 1)
    elif wrong == "port" and flavor != "dsql":
        token = rds_token(box.token_host, box.port + 1, "app", box.region, credentials)
    elif wrong == "region":
        token = token.replace("us-east-1%2F", "us-east-2%2F")
    elif wrong == "byte" or (wrong == "port" and flavor == "dsql"):
        token = token[:-1] + ("0" if token[-1] != "0" else "1")
    elif wrong == "session":
        token = token_for(box, "app", {**credentials, "session_token": "IQoJb3JpZ2lu"})
    elif wrong == "not-a-token":
        token = "hunter2"
    sqlstate, text, hint = sqlstate_by_asyncpg(box, "app", token)
    assert sqlstate == SQLSTATES[flavor]
    assert REFUSALS[flavor] in text
    assert (hint is not None) == (flavor == "dsql")
    with pytest.raises(psycopg.OperationalError, match=REFUSALS[flavor].split(",")[0]):
        by_psycopg(box, "app", token)


@pytest.mark.parametrize("flavor", FLAVORS)
def test_a_token_one_second_too_old(pgiam_sandbox: Sandbox, flavor: str) -> None:
    box = pgiam_sandbox
    token = token_for(box)
    box.faults.skew_clock(895)
    assert by_psycopg(box, box.user, token) == box.user
    box.faults.skew_clock(902)  # the token's own clock counts whole seconds
    _, _, hint = sqlstate_by_asyncpg(box, box.user, token)
    if flavor == "dsql":
        assert hint is not None
        assert hint.startswith("Signature expired: ")


@pytest.mark.pgiam_sandbox(flavor="dsql")
def test_dsql_hints_say_what_was_wrong(pgiam_sandbox: Sandbox) -> None:
    box = pgiam_sandbox
    credentials = box.issue_credentials("app")
    _, _, hint = sqlstate_by_asyncpg(box, "admin", token_for(box, "app", credentials))
    assert hint == "Wrong user to action mapping. user: admin, action: DbConnect"
    _, _, hint = sqlstate_by_asyncpg(box, "denied", token_for(box, "denied", credentials))
    assert hint is not None
    assert hint.startswith("User: arn:aws:sts::123456789012:assumed-role/app/")
    assert "is not authorized to perform: dsql:DbConnect on resource: arn:aws:dsql:us-east-1:" in hint


def test_roles_that_are_no_iam_users_keep_their_passwords(pgiam_sandbox: Sandbox) -> None:
    box = pgiam_sandbox
    password = box.password_of("legacy")
    for connect in (by_psycopg, by_psycopg2, by_asyncpg, by_pg8000):
        assert connect(box, "legacy", password) == "legacy"
    for wrong in ("x", token_for(box, "legacy")):
        sqlstate, text, _ = sqlstate_by_asyncpg(box, "legacy", wrong)
        assert (sqlstate, text) == ("28P01", 'password authentication failed for user "legacy"')
    sqlstate, _, _ = sqlstate_by_asyncpg(box, "nobody-of-that-name", token_for(box))
    assert sqlstate == "28P01"


def test_rds_iam_is_read_from_the_database(pgiam_sandbox: Sandbox) -> None:
    box = pgiam_sandbox
    box.add_role("late", db_users=["late"])
    with psycopg.connect(
        **libpq(box, user="postgres", password=box.password_of("postgres")), autocommit=True
    ) as master:
        master.execute("DROP ROLE IF EXISTS late")
        master.execute("CREATE ROLE late LOGIN PASSWORD 'secret'")
        assert by_psycopg(box, "late", "secret") == "late"
        master.execute("CREATE ROLE team IN ROLE rds_iam")
        master.execute("GRANT team TO late")  # a member of a member is one, too
        assert sqlstate_by_asyncpg(box, "late", "secret")[0] == "28000"
        assert by_psycopg(box, "late", token_for(box, "late", box.issue_credentials("late"))) == "late"
        master.execute("REVOKE team FROM late")
        assert by_psycopg(box, "late", "secret") == "late"
        master.execute("DROP ROLE late; DROP ROLE team")


@pytest.mark.parametrize("flavor", FLAVORS)
def test_nobody_becomes_the_sandbox_s_own_superuser(pgiam_sandbox: Sandbox, flavor: str) -> None:
    sqlstate, _, _ = sqlstate_by_asyncpg(pgiam_sandbox, "pgiam_sandbox", token_for(pgiam_sandbox, "pgiam_sandbox"))
    assert sqlstate == "28000"


def test_hosts_by_their_aws_names_verify_too(pgiam_sandbox: Sandbox) -> None:
    box = pgiam_sandbox
    options = libpq(box, host=box.token_host, hostaddr="127.0.0.1", password=token_for(box))
    with psycopg.connect(**options) as connection:
        assert connection.info.host == box.token_host


@pytest.mark.pgiam_sandbox(accept_localhost_tokens=True)
def test_tokens_for_localhost_if_told_so(pgiam_sandbox: Sandbox) -> None:
    box = pgiam_sandbox
    token = rds_token("localhost", box.port, "app", box.region, box.issue_credentials())
    assert by_psycopg(box, "app", token) == "app"
    assert by_psycopg(box, "app", token_for(box)) == "app"


@pytest.mark.skipif(psycopg.pq.version() < 170000, reason="libpq knows sslnegotiation from 17 on")
def test_direct_tls(pgiam_sandbox: Sandbox) -> None:
    box = pgiam_sandbox
    with psycopg.connect(**libpq(box, password=token_for(box), sslnegotiation="direct")) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    # Without the ALPN protocol it is not PostgreSQL that speaks; the server hangs up.
    plain = socket.create_connection(("127.0.0.1", box.port), timeout=30)
    with plain, trusting(box).wrap_socket(plain, server_hostname="localhost") as tls:
        with contextlib.suppress(ConnectionError):
            assert tls.recv(1) == b""


@pytest.mark.parametrize("flavor", FLAVORS)
def test_clear_text_connections_are_turned_away(pgiam_sandbox: Sandbox, flavor: str) -> None:
    box = pgiam_sandbox
    expected = {
        "rds": f'no pg_hba.conf entry for host ".+", user "{box.user}", database "postgres", no encryption',
        "rds-proxy": "This RDS Proxy requires TLS connections",
        "dsql": "unable to accept connection, sni was not received",
    }[flavor]
    with pytest.raises(psycopg.OperationalError, match=expected):
        psycopg.connect(**libpq(box, password=token_for(box), sslmode="disable", sslrootcert=""))


@pytest.mark.pgiam_sandbox(flavor="dsql")
def test_dsql_finds_its_cluster_by_sni(pgiam_sandbox: Sandbox) -> None:
    box = pgiam_sandbox
    token = token_for(box)
    loose = {"sslmode": "require", "sslrootcert": "", "password": token}
    with pytest.raises(psycopg.OperationalError, match="sni was not received"):
        psycopg.connect(**libpq(box, **loose, sslsni="0"))
    # libpq sends no SNI for an address.
    with pytest.raises(psycopg.OperationalError, match="sni was not received"):
        psycopg.connect(**libpq(box, **{**loose, "host": "127.0.0.1"}))
    other = "zzzzzzzzzzzzzzzzzzzzzzzzzz.dsql.us-east-1.on.aws"
    with pytest.raises(psycopg.OperationalError, match="access denied"):
        psycopg.connect(**libpq(box, **{**loose, "host": other, "hostaddr": "127.0.0.1"}))
    link = "vpce-1234.dsql-abc.us-east-1.vpce.amazonaws.com"
    named = {**loose, "host": link, "hostaddr": "127.0.0.1", "options": f"-c amzn-cluster-id={box.token_host[:26]}"}
    with psycopg.connect(**libpq(box, **named)) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.pgiam_sandbox(flavor="rds-proxy")
def test_rds_proxy_takes_no_startup_options(pgiam_sandbox: Sandbox) -> None:
    box = pgiam_sandbox
    with pytest.raises(psycopg.OperationalError, match="doesn't support the option options"):
        psycopg.connect(**libpq(box, password=token_for(box), options="-c statement_timeout=1000"))


def test_200_asyncpg_connections_at_once(pgiam_sandbox: Sandbox) -> None:
    box = pgiam_sandbox

    async def run() -> int:
        token, context = token_for(box), trusting(box)

        async def connect() -> asyncpg.Connection:
            return await asyncpg.connect(
                host=box.host,
                port=box.port,
                user=box.user,
                password=token,
                database=box.database,
                ssl=context,
                timeout=120,
            )

        connections = await asyncio.gather(*[connect() for _ in range(200)])
        answers = await asyncio.gather(*[connection.fetchval("SELECT 1") for connection in connections])
        assert box.stats()["sessions"] >= 200
        await asyncio.gather(*[connection.close() for connection in connections])
        return sum(answers)

    assert asyncio.run(run()) == 200


def test_cancel_requests_arrive(pgiam_sandbox: Sandbox) -> None:
    box = pgiam_sandbox
    for cancel in ("cancel", "cancel_safe"):  # in clear, and inside TLS
        with psycopg.connect(**libpq(box, password=token_for(box))) as connection:
            threading.Timer(0.3, getattr(connection, cancel)).start()
            with pytest.raises(psycopg.errors.QueryCanceled):
                connection.execute("SELECT pg_sleep(60)")
    assert box.stats()["cancels"] >= 2


def test_bulk_data_in_both_directions(pgiam_sandbox: Sandbox) -> None:
    """More than any buffer on the way holds, with a reader slower than the writer."""
    size = 20_000_000
    with psycopg.connect(**libpq(pgiam_sandbox, password=token_for(pgiam_sandbox))) as connection:
        connection.execute("CREATE TEMP TABLE bulk (line text)")
        with connection.cursor().copy("COPY bulk FROM STDIN") as copy:
            for _ in range(size // 100_000):
                copy.write(b"x" * 99_999 + b"\n")
        received = 0
        with connection.cursor().copy("COPY bulk TO STDOUT") as copy:
            for block in copy:
                received += len(block)
    assert received == size


@pytest.mark.parametrize(
    "bytes_sent",
    [
        b"",
        b"\0",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0\0\0\x08\0\0\0\0",
        b"\0\0\0\x04",
        b"\xff" * 64,
        b"\0\0\x27\x11" + b"x" * 10_001,
        b"\0\0\0\x08\x04\xd2\x16\x2f" * 5,
        b"\x16\x03\x01\x02\x00" + b"\0" * 600,
        b"\0\0\0\x10\x04\xd2\x16\x2e" + b"\0" * 8,
    ],
)
def test_garbage_harms_nobody(pgiam_sandbox: Sandbox, bytes_sent: bytes) -> None:
    box = pgiam_sandbox
    with socket.create_connection(("127.0.0.1", box.port), timeout=30) as visitor:
        visitor.sendall(bytes_sent)
        with contextlib.suppress(OSError):  # it may have hung up by now
            visitor.shutdown(socket.SHUT_WR)
            while visitor.recv(4096):
                pass
    assert by_psycopg(box, box.user, token_for(box)) == box.user
    assert not [line for line in box.log() if "Traceback" in line or "itself failed" in line]


@pytest.mark.parametrize("flavor", FLAVORS)
def test_no_secret_reaches_the_log(pgiam_sandbox: Sandbox, flavor: str) -> None:
    box = pgiam_sandbox
    credentials = box.issue_credentials()
    token = token_for(box, credentials=credentials)
    by_psycopg(box, box.user, token)
    with pytest.raises(psycopg.OperationalError):
        by_psycopg(box, box.user, token[:-1])
    log = "\n".join(box.log())
    assert "accepted: user" in log
    assert "refused: user" in log
    secrets = [token, token.rpartition("=")[2], credentials["secret_key"], credentials["session_token"][:32]]
    secrets += [box.password_of("legacy")] if flavor != "dsql" else []
    for secret in secrets:
        assert secret not in log
