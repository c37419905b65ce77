"""The AsyncEngine service, on both of its drivers."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import httpx
import pytest

from examples.service import serving, workload
from examples.traffic import has_grown, traffic
from pgiam.sandbox import Sandbox

EXAMPLE = "sqlalchemy_async"
APP = "notes.main:app"

both = pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])


@pytest.fixture
def box(pgiam_sandbox: Sandbox) -> Iterator[Sandbox]:
    yield pgiam_sandbox
    pgiam_sandbox.control("aws/session_lifetime", seconds=None)
    pgiam_sandbox.sql("DROP TABLE notes")


def environment(box: Sandbox, driver: str) -> dict[str, str]:
    place = {"DATABASE_HOST": box.host, "DATABASE_PORT": str(box.port), "DATABASE_USER": box.user}
    return workload(box, "eks", **place, DATABASE_DRIVER=driver)


@both
def test_notes(box: Sandbox, driver: str) -> None:
    with serving(EXAMPLE, APP, env=environment(box, driver)) as service:
        http = service.http
        assert http.get("/health").json() == {"database_user": "app", "driver": driver}
        note = http.post("/notes", json={"text": "Water the plants"}).json()
        assert http.get("/notes").json() == [note]
        assert http.delete(f"/notes/{note['id']}").status_code == 204
        assert http.delete(f"/notes/{uuid.uuid4()}").status_code == 404
        assert http.get("/notes").json() == []


@both
def test_no_request_fails_while_credentials_and_connections_end(box: Sandbox, driver: str) -> None:
    box.control("aws/session_lifetime", seconds=3)
    box.control("aws/reset_stats")
    with serving(EXAMPLE, APP, env=environment(box, driver)) as service:
        box.faults.idle_close(0.3)

        def visit(http: httpx.Client) -> httpx.Response:
            return http.post("/notes", json={"text": "More"})

        # Whatever is in the pool has been hung up on by the time that a caller comes again.
        with traffic(service, visit, callers=3, pause=0.6) as seen:
            for _ in range(3):
                seen.wait_for(has_grown(lambda: exchanges(box), by=1))
                seen.wait_for(has_grown(lambda: int(box.stats()["tokens"]), by=3))
        assert seen.failures == []
        assert set(seen.answers) == {"201"}


@both
def test_revoked_credentials_are_given_up(box: Sandbox, driver: str) -> None:
    with serving(EXAMPLE, APP, env=environment(box, driver)) as service:
        assert service.http.get("/health").status_code == 200
        box.faults.revoke_credentials()
        box.faults.kill_sessions()
        # The server refuses the first login; the client drops what was refused and asks STS anew.
        assert service.http.get("/health").status_code == 503
        assert service.http.get("/health").status_code == 200


def exchanges(box: Sandbox) -> int:
    return int(box.control("aws/stats")["calls"].get("sts:AssumeRoleWithWebIdentity", 0))
