"""The todo service on Vercel: the identity token comes in the request, and nowhere else."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import httpx
import pytest

from examples.service import Service, run, serving, workload
from examples.traffic import has_grown, traffic
from pgiam.sandbox import Sandbox

EXAMPLE = "fastapi_asyncpg"
APP = "index:app"
HEADER = "x-vercel-oidc-token"

both = pytest.mark.parametrize(
    "flavor", [pytest.param(name, marks=pytest.mark.pgiam_sandbox(flavor=name)) for name in ("rds", "dsql")]
)


def on_vercel(box: Sandbox, **more: str) -> dict[str, str]:
    """A function's environment: Vercel sets VERCEL_OIDC_TOKEN in builds only."""
    place = {"DATABASE_HOST": box.host, "DATABASE_PORT": str(box.port), "DATABASE_USER": box.user}
    env = workload(box, "vercel", **place)
    del env["VERCEL_OIDC_TOKEN"]
    return {**env, **more}


@pytest.fixture
def box(pgiam_sandbox: Sandbox) -> Iterator[Sandbox]:
    building = {"VERCEL_OIDC_TOKEN": pgiam_sandbox.issue_identity_token("vercel")}
    run(EXAMPLE, "todos.schema", env=on_vercel(pgiam_sandbox, **building))
    pgiam_sandbox.control("aws/reset_stats")
    yield pgiam_sandbox
    pgiam_sandbox.control("aws/session_lifetime", seconds=None)
    pgiam_sandbox.sql("DROP TABLE todos")


def with_token(service: Service, box: Sandbox) -> httpx.Client:
    service.http.headers[HEADER] = box.issue_identity_token("vercel")
    return service.http


def exchanges(box: Sandbox) -> int:
    return int(box.control("aws/stats")["calls"].get("sts:AssumeRoleWithWebIdentity", 0))


@both
def test_todos_come_change_and_go(box: Sandbox, flavor: str) -> None:
    assert box.flavor == flavor
    with serving(EXAMPLE, APP, env=on_vercel(box)) as service:
        http = with_token(service, box)
        assert http.get("/todos").json() == []
        made = http.post("/todos", json={"title": "Drop the password'; --"})
        assert made.status_code == 201
        todo = made.json()
        assert (todo["title"], todo["done"]) == ("Drop the password'; --", False)
        place = f"/todos/{uuid.UUID(todo['id'])}"
        assert http.patch(place, json={"done": True}).json() == {**todo, "done": True}
        assert http.patch(place, json={"title": "Rest"}).json() == {**todo, "done": True, "title": "Rest"}
        assert [each["title"] for each in http.get("/todos").json()] == ["Rest"]
        assert http.delete(place).status_code == 204
        assert http.get("/todos").json() == []
        assert exchanges(box) == 1


@both
def test_errors_are_json(box: Sandbox, flavor: str) -> None:
    with serving(EXAMPLE, APP, env=on_vercel(box)) as service:
        http = with_token(service, box)
        missing = f"/todos/{uuid.uuid4()}"
        for answer in (http.patch(missing, json={"done": True}), http.delete(missing)):
            assert answer.status_code == 404
            assert answer.json() == {"error": {"code": "not_found", "message": "There is no such todo."}}
        assert http.get("/nothing").json()["error"]["code"] == "not_found"
        assert http.put("/todos").json()["error"]["code"] == "method_not_allowed"
        invalid = http.post("/todos", json={"title": ""})
        assert invalid.status_code == 422
        assert invalid.json()["error"]["code"] == "invalid"
        assert invalid.json()["error"]["fields"][0]["field"] == "title"
        with box.faults.refuse_connections():
            box.faults.kill_sessions()
            answer = http.get("/todos")
            assert answer.status_code == 503
            assert answer.json()["error"]["code"] == "database_unavailable"
        assert http.get("/todos").status_code == 200


def test_without_an_identity_token_there_is_no_login(box: Sandbox) -> None:
    with serving(EXAMPLE, APP, env=on_vercel(box)) as service:
        answer = service.http.get("/todos")
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "no_database_login"
        # Not ours, though well signed: another team's.
        service.http.headers[HEADER] = box.issue_identity_token(
            "vercel", subject="owner:others:project:shop:environment:production"
        )
        answer = service.http.get("/todos")
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "no_database_login"
        assert "others" not in answer.text


@both
def test_no_request_fails_while_everything_is_renewed(box: Sandbox, flavor: str) -> None:
    """Sessions of seconds, connections that are replaced all the time, one identity token after the other."""
    box.control("aws/session_lifetime", seconds=4)
    with serving(EXAMPLE, APP, env=on_vercel(box, DATABASE_IDLE_SECONDS="0.01")) as service:
        todo = with_token(service, box).post("/todos", json={"title": "Go on"}).json()["id"]

        def visit(http: httpx.Client) -> httpx.Response:
            http.headers[HEADER] = box.issue_identity_token("vercel")
            http.get("/todos").raise_for_status()
            return http.patch(f"/todos/{todo}", json={"done": True})

        with traffic(service, visit, callers=4) as seen:
            for _ in range(3):
                seen.wait_for(has_grown(lambda: exchanges(box), by=1))
                seen.wait_for(has_grown(lambda: int(box.stats()["tokens"]), by=4))
        assert seen.failures == []
        assert set(seen.answers) == {"200"}


def test_sts_is_not_missed_while_credentials_last(box: Sandbox) -> None:
    with serving(EXAMPLE, APP, env=on_vercel(box)) as service:
        http = with_token(service, box)
        assert http.get("/todos").status_code == 200
        box.faults.sts.internal_error()
        box.faults.kill_sessions()
        del http.headers[HEADER]
        for _ in range(5):
            assert http.get("/todos").status_code == 200
        assert exchanges(box) == 1


def test_readers_survive_killed_sessions(box: Sandbox) -> None:
    with serving(EXAMPLE, APP, env=on_vercel(box)) as service:
        with_token(service, box).get("/todos").raise_for_status()
        killed = 0
        with traffic(service, lambda http: http.get("/todos"), callers=1) as seen:
            for _ in range(20):
                killed += box.faults.kill_sessions()
                seen.wait_for_more(3)
        assert killed >= 10
        assert seen.failures == []


@pytest.mark.pgiam_sandbox(flavor="dsql")
def test_conflicts_are_tried_again(box: Sandbox) -> None:
    with serving(EXAMPLE, APP, env=on_vercel(box)) as service:
        http = with_token(service, box)
        box.faults.conflict("OC000", count=3)
        assert http.post("/todos", json={"title": "Win in the end"}).status_code == 201
        with box.faults.conflict("OC001", count=None):
            answer = http.post("/todos", json={"title": "Lose"})
            assert answer.status_code == 409
            assert answer.json()["error"]["code"] == "conflict"
        assert [each["title"] for each in http.get("/todos").json()] == ["Win in the end"]
