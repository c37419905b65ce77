"""The service on an async pool, and the command on a threaded one."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from examples.service import run, serving, workload
from examples.traffic import has_grown, traffic
from pgiam.sandbox import Sandbox

EXAMPLE = "psycopg_pool"
APP = "links.main:app"


@pytest.fixture
def box(pgiam_sandbox: Sandbox) -> Iterator[Sandbox]:
    yield pgiam_sandbox
    pgiam_sandbox.control("aws/session_lifetime", seconds=None)
    pgiam_sandbox.sql("DROP TABLE links")


def environment(box: Sandbox, **more: str) -> dict[str, str]:
    place = {"DATABASE_HOST": box.host, "DATABASE_PORT": str(box.port), "DATABASE_USER": box.user}
    return workload(box, "ecs", **place, **more)


def test_links_are_made_followed_and_pruned(box: Sandbox) -> None:
    env = environment(box)
    with serving(EXAMPLE, APP, env=env) as service:
        http = service.http
        codes = [http.post("/links", json={"target": f"https://example.org/{n}"}).json()["code"] for n in range(20)]
        answer = http.get(f"/links/{codes[3]}")
        assert (answer.status_code, answer.headers["location"]) == (307, "https://example.org/3")
        assert http.get("/links/none").status_code == 404
        assert http.post("/links", json={"target": "no address"}).status_code == 422
        box.sql("UPDATE links SET used_at = now() - interval '100 days' WHERE target NOT LIKE '%/3'")
        tokens = box.stats()["tokens"]
        assert run(EXAMPLE, "links.prune", "90", env=env) == "19 links removed\n"
        assert box.stats()["tokens"] > tokens
        assert http.get(f"/links/{codes[3]}").status_code == 307
        assert http.get(f"/links/{codes[4]}").status_code == 404


def test_no_request_fails_while_credentials_and_connections_end(box: Sandbox) -> None:
    box.control("aws/session_lifetime", seconds=3)
    box.control("aws/rotate_machine_credentials")
    with serving(EXAMPLE, APP, env=environment(box, DATABASE_MAX_LIFETIME="0.5")) as service:
        code = service.http.post("/links", json={"target": "https://example.org/"}).json()["code"]

        def visit(http: httpx.Client) -> httpx.Response:
            answer = http.get(f"/links/{code}")
            return httpx.Response(200, request=answer.request) if answer.status_code == 307 else answer

        with traffic(service, visit, callers=3) as seen:
            for _ in range(3):
                seen.wait_for(has_grown(lambda: fetches(box), by=1))
                seen.wait_for(has_grown(lambda: int(box.stats()["tokens"]), by=3))
        assert seen.failures == []
        assert set(seen.answers) == {"200"}


def fetches(box: Sandbox) -> int:
    calls: dict[str, int] = box.control("aws/stats")["calls"]
    return sum(count for name, count in calls.items() if name.startswith("ecs"))
