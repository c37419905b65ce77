"""The same logins against PostgreSQL's own PAM authentication over its own TLS: no gateway in between.

What holds here and at the gateway holds for the way RDS does it. Needs Linux, a PostgreSQL built with PAM, a
C compiler and PAM's headers; on Debian: apt install postgresql gcc libpam0g-dev.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest

from botocore_tokens import rds_token, token_for
from driver_logins import DRIVERS, by_asyncpg, by_psycopg, libpq, trusting
from leftovers import assert_nothing_left, eventually, processes_in
from pgiam.sandbox import Sandbox, SandboxError, binaries, pam

REQUIRED = "FIDELITY_REQUIRED"  # set where a skip would hide that the lane does not run


def obstacle() -> str | None:
    try:
        return pam.obstacle(binaries.find("system"))
    except SandboxError as error:
        return str(error)


WHY_NOT = obstacle()
pytestmark = pytest.mark.skipif(WHY_NOT is not None and not os.environ.get(REQUIRED), reason=str(WHY_NOT))


@pytest.fixture(scope="module")
def started() -> Iterator[Sandbox]:
    with Sandbox(authentication="pam", postgres="system") as box:
        yield box


@pytest.fixture
def box(started: Sandbox) -> Iterator[Sandbox]:
    started.faults.clear()
    yield started
    started.faults.clear()


def refused(box: Sandbox, user: str, password: str) -> tuple[str, str]:
    with pytest.raises(asyncpg.PostgresError) as caught:
        by_asyncpg(box, user, password)
    error: Any = caught.value
    return error.sqlstate, str(error)


def test_there_is_no_gateway(box: Sandbox) -> None:
    assert "pam" in {row[0] for row in box.sql("SELECT auth_method FROM pg_hba_file_rules")}
    with psycopg.connect(**libpq(box, password=token_for(box))) as connection:
        row = connection.execute(
            "SELECT ssl, inet_server_port() FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        ).fetchone()
    assert row == (True, box.port)
    assert box.stats()["connections"] == 0


@pytest.mark.parametrize("driver", DRIVERS)
def test_every_driver_logs_in(box: Sandbox, driver: str) -> None:
    assert DRIVERS[driver](box, "app", token_for(box)) == "app"


@pytest.mark.parametrize("size", [None, 64, 1024, 2048, 4096])
def test_tokens_of_every_size(box: Sandbox, size: int | None) -> None:
    credentials = (
        box.add_user("sized", db_users=["app"]) if size is None else box.issue_credentials(session_token_size=size)
    )
    assert by_psycopg(box, "app", token_for(box, credentials=credentials)) == "app"


@pytest.mark.parametrize("wrong", ["user", "host", "port", "region", "byte", "role", "not-a-token"])
def test_a_wrong_token_is_refused_in_the_gateway_s_words(box: Sandbox, wrong: str) -> None:
    credentials = box.issue_credentials("outsider" if wrong == "role" else "app")
    token = token_for(box, "app", credentials)
    token = {
        "user": token_for(box, "reporting", credentials),
        "host": rds_token("x" + box.token_host, box.port, "app", box.region, credentials),
        "port": rds_token(box.token_host, box.port + 1, "app", box.region, credentials),
        "region": rds_token(box.token_host, box.port, "app", "eu-west-1", credentials),
        "byte": token[:-1] + ("0" if token[-1] != "0" else "1"),
        "role": token,
        "not-a-token": "hunter2",
    }[wrong]
    assert refused(box, "app", token) == ("28000", 'PAM authentication failed for user "app"')
    with pytest.raises(psycopg.OperationalError, match='PAM authentication failed for user "app"'):
        by_psycopg(box, "app", token)


def test_a_token_one_second_too_old(box: Sandbox) -> None:
    token = token_for(box)
    box.faults.skew_clock(895)
    assert by_psycopg(box, "app", token) == "app"
    box.faults.skew_clock(902)
    assert refused(box, "app", token)[0] == "28000"


def test_passwords_and_rds_iam(box: Sandbox) -> None:
    assert by_psycopg(box, "legacy", box.password_of("legacy")) == "legacy"
    assert refused(box, "legacy", "x") == ("28P01", 'password authentication failed for user "legacy"')
    with box.faults.revoke_rds_iam("app"):
        assert refused(box, "app", token_for(box))[0] == "28P01"
    assert by_psycopg(box, "app", token_for(box)) == "app"


def test_clear_text_is_turned_away_in_the_gateway_s_words(box: Sandbox) -> None:
    with pytest.raises(psycopg.OperationalError, match=r"no pg_hba.conf entry for host .+, no encryption"):
        psycopg.connect(**libpq(box, password=token_for(box), sslmode="disable", sslrootcert=""))


def test_200_asyncpg_connections_at_once(box: Sandbox) -> None:
    async def run() -> int:
        token, context = token_for(box), trusting(box)
        connections = await asyncio.gather(
            *[
                asyncpg.connect(
                    host=box.host,
                    port=box.port,
                    user="app",
                    password=token,
                    database=box.database,
                    ssl=context,
                    timeout=120,
                )
                for _ in range(200)
            ]
        )
        answers = await asyncio.gather(*[connection.fetchval("SELECT 1") for connection in connections])
        await asyncio.gather(*[connection.close() for connection in connections])
        return sum(answers)

    assert asyncio.run(run()) == 200


def test_faults_of_the_gateway_say_that_there_is_none(box: Sandbox) -> None:
    with pytest.raises(SandboxError, match="needs the gateway"):
        box.faults.waking_up()


def test_it_leaves_nothing() -> None:
    with Sandbox(authentication="pam", postgres="system") as other:
        directory, port = str(Path(other.ca_file).parent), other.port
    assert_nothing_left(directory, port)
    killed = Sandbox(authentication="pam", postgres="system").start()
    assert killed._process is not None
    killed._process.kill()
    folder = str(Path(killed.ca_file).parent)
    assert eventually(lambda: not processes_in(folder)), processes_in(folder)
    killed.close()
    assert not Path(f"/etc/pam.d/{pam.SERVICE}").exists()


def test_other_flavors_have_no_pam() -> None:
    with pytest.raises(SandboxError, match="'rds' only"):
        Sandbox("dsql", authentication="pam", postgres="system").start()
