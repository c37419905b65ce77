"""The Django project, with a connection per thread and with Django's pool."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from examples.service import run, serving, workload
from examples.traffic import has_grown, traffic
from pgiam.sandbox import Sandbox

EXAMPLE = "django"
APP = "config.asgi:application"

both = pytest.mark.parametrize("pool", ["", "1"], ids=["connection per thread", "pool"])


def environment(box: Sandbox, pool: str) -> dict[str, str]:
    place = {"DATABASE_HOST": box.host, "DATABASE_PORT": str(box.port), "DATABASE_USER": box.user}
    return workload(box, "ecs", **place, DATABASE_POOL=pool, DJANGO_SECRET_KEY="only of this test")


@pytest.fixture
def box(pgiam_sandbox: Sandbox) -> Iterator[Sandbox]:
    env = environment(pgiam_sandbox, "")
    run(EXAMPLE, "manage.py", "migrate", env=env, module=False)
    assert "No changes detected" in run(EXAMPLE, "manage.py", "makemigrations", "--check", env=env, module=False)
    yield pgiam_sandbox
    pgiam_sandbox.control("aws/session_lifetime", seconds=None)
    pgiam_sandbox.faults.clear()
    run(EXAMPLE, "manage.py", "migrate", "guestbook", "zero", env=environment(pgiam_sandbox, ""), module=False)


@both
def test_entries(box: Sandbox, pool: str) -> None:
    with serving(EXAMPLE, APP, env=environment(box, pool)) as service:
        http = service.http
        assert http.get("/health").json() == {"database_user": "app"}
        made = http.post("/entries", json={"name": "Ada", "text": "I was here."})
        assert made.status_code == 201
        assert http.get("/entries").json() == {"entries": [made.json()]}
        assert http.post("/entries", json={"name": "", "text": ""}).status_code == 400
        assert http.post("/entries", content=b"{").status_code == 400
        assert http.delete(f"/entries/{made.json()['id']}").status_code == 204
        assert http.delete(f"/entries/{made.json()['id']}").status_code == 404


@both
def test_no_request_fails_while_credentials_and_connections_end(box: Sandbox, pool: str) -> None:
    box.control("aws/session_lifetime", seconds=3)
    box.control("aws/rotate_machine_credentials")
    with serving(EXAMPLE, APP, env={**environment(box, pool), "DATABASE_MAX_LIFETIME": "0.5"}) as service:
        # Not under the pool: for a second after a failed check it tries no other connection, and that one would be
        # closed by then.
        if not pool:
            box.faults.idle_close(0.3)

        def visit(http: httpx.Client) -> httpx.Response:
            return http.post("/entries", json={"name": "Ada", "text": "Again."})

        with traffic(service, visit, callers=3, pause=0.6) as seen:
            for _ in range(3):
                seen.wait_for(has_grown(lambda: fetches(box), by=1))
                seen.wait_for(has_grown(lambda: int(box.stats()["tokens"]), by=3))
        assert seen.failures == []
        assert set(seen.answers) == {"201"}


def fetches(box: Sandbox) -> int:
    calls: dict[str, int] = box.control("aws/stats")["calls"]
    return sum(count for name, count in calls.items() if name.startswith("ecs"))
