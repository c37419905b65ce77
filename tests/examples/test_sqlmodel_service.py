"""The SQLModel service: IAM in production, a password in development, migrations, rotation under load."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from examples.service import Service, run, serving, surroundings, workload
from examples.traffic import has_grown, traffic
from pgiam.sandbox import Sandbox

EXAMPLE = "sqlmodel_service"
APP = "inventory.main:app"

pytestmark = pytest.mark.pgiam_sandbox(flavor="rds-proxy", platform="ecs")


def production(box: Sandbox, **more: str) -> dict[str, str]:
    place = {"ENV": "production", "DB_HOST": box.host, "DB_PORT": str(box.port), "DB_USER": box.user}
    return workload(box, "ecs", **place, **more)


def development(box: Sandbox) -> dict[str, str]:
    place = {"DB_HOST": box.host, "DB_PORT": str(box.port), "DB_USER": "legacy"}
    return {**surroundings(), "ENV": "development", "DB_PASSWORD": box.password_of("legacy"), **place}


@pytest.fixture
def migrated(pgiam_sandbox: Sandbox) -> Iterator[Sandbox]:
    box = pgiam_sandbox
    env = production(box)
    run(EXAMPLE, "alembic", "upgrade", "head", env=env)
    assert "No new upgrade operations" in run(EXAMPLE, "alembic", "check", env=env)
    yield box
    box.control("aws/session_lifetime", seconds=None)
    run(EXAMPLE, "alembic", "downgrade", "base", env=production(box))


def create(service: Service, name: str, quantity: int) -> int:
    response = service.http.post("/items", json={"name": name, "quantity": quantity})
    assert response.status_code == 201
    return int(response.json()["id"])


def test_production_has_no_password(migrated: Sandbox) -> None:
    env = production(migrated)
    assert not any("PASSWORD" in name for name in env)
    with serving(EXAMPLE, APP, env=env) as service:
        http = service.http
        assert http.get("/health").json() == {"database_user": "app"}
        bolts, nuts = create(service, "bolts", 20), create(service, "nuts", 0)
        assert http.patch(f"/items/{nuts}", json={"quantity": 5}).json() == {"id": nuts, "name": "nuts", "quantity": 5}
        assert http.delete(f"/items/{bolts}").status_code == 204
        assert http.get(f"/items/{bolts}").status_code == 404
        assert http.get("/items").json() == [{"id": nuts, "name": "nuts", "quantity": 5}]
        assert http.post("/items", json={"name": "", "quantity": -1}).status_code == 422
        assert http.get("/items", params={"limit": "x"}).status_code == 422


def test_development_logs_in_with_its_password(migrated: Sandbox) -> None:
    migrated.sql("GRANT ALL ON item, item_id_seq TO legacy")
    tokens = migrated.stats()["tokens"]
    with serving(EXAMPLE, APP, env=development(migrated)) as service:
        assert service.http.get("/health").json() == {"database_user": "legacy"}
        create(service, "washers", 7)
    assert migrated.stats()["tokens"] == tokens


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"ENV": "production", "DB_PASSWORD": "hunter2"}, "production logs in with IAM"),
        ({"ENV": "development"}, "DB_PASSWORD is missing"),
        ({"ENV": "staging"}, "ENV must be"),
    ],
)
def test_settings_that_make_no_sense_end_the_start(wrong: dict[str, str], complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        run(EXAMPLE, "inventory.database", env={**surroundings(), **wrong})


def test_credentials_rotate_in_mid_traffic(migrated: Sandbox) -> None:
    """Every few seconds the session ends, RDS Proxy hangs up on idlers, and the pool retires connections."""
    box = migrated
    box.control("aws/session_lifetime", seconds=4)
    box.control("aws/rotate_machine_credentials")
    with serving(EXAMPLE, APP, env=production(box, DB_POOL_RECYCLE="1")) as service:
        item = create(service, "screws", 0)
        box.faults.idle_close(0.5)

        def visit(http: httpx.Client) -> httpx.Response:
            http.get("/health").raise_for_status()
            return http.patch(f"/items/{item}", json={"quantity": 1})

        with traffic(service, visit) as seen:
            first = _keys_fetched(box)
            for _ in range(3):
                box.control("aws/rotate_machine_credentials")
                seen.wait_for(has_grown(lambda: _keys_fetched(box), by=1))
                seen.wait_for(has_grown(lambda: int(box.stats()["tokens"]), by=8))
            seen.wait_for_more(200)
            assert _keys_fetched(box) >= first + 3
        assert seen.failures == []
        assert set(seen.answers) == {"200"}
        assert service.http.get(f"/items/{item}").json()["quantity"] == 1


def test_an_outage_is_an_answer_and_ends_by_itself(migrated: Sandbox) -> None:
    with serving(EXAMPLE, APP, env=production(migrated)) as service:
        assert service.http.get("/items").status_code == 200
        with migrated.faults.refuse_connections():
            migrated.faults.kill_sessions()
            response = service.http.get("/items")
            assert response.status_code == 503
            assert response.json() == {"detail": "The database cannot be reached."}
        assert service.http.get("/items").status_code == 200


def _keys_fetched(box: Sandbox) -> int:
    calls = box.control("aws/stats")
    return sum(int(count) for name, count in calls["calls"].items() if name.startswith("ecs"))
