"""Which host, port and user the hook signs for, and what it leaves in `cparams`."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

import pgiam
from drivers.hooked import RDS, dialect_of, hooked, signed_for

OTHER = "db.cluster-ro-abc.us-east-1.rds.amazonaws.com"
DSQL = "ab1cdef2ghijk3lmnop4qrst5u.dsql.us-east-1.on.aws"
SYNC = ("psycopg2", "psycopg", "pg8000")


@pytest.mark.parametrize("driver", SYNC)
def test_the_token_is_for_the_login_in_cparams(client: pgiam.Client, driver: str) -> None:
    cparams = hooked(client, driver, host=RDS, port=5433, user="app", password="stale")
    assert signed_for(cparams["password"]) == f"app@{RDS}:5433"
    assert (cparams["host"], cparams["port"], cparams["user"]) == (RDS, 5433, "app")


@pytest.mark.parametrize("driver", SYNC)
def test_what_is_missing_comes_from_the_environment(
    client: pgiam.Client, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOST", RDS)
    monkeypatch.setenv("PGPORT", "6000")
    monkeypatch.setenv("PGUSER", "app")
    cparams = hooked(client, driver)
    assert signed_for(cparams["password"]) == f"app@{RDS}:6000"
    # pg8000 does not read the environment, so the parameters must say it.
    assert (cparams["host"], cparams["port"], cparams["user"]) == (RDS, 6000, "app")


async def test_asyncpg_gets_one_token_per_host_in_its_order(client: pgiam.Client) -> None:
    cparams = hooked(client, "asyncpg", host=[RDS, OTHER], port=[5432, 5433], user="app")
    assert callable(cparams["password"])
    assert signed_for(await cparams["password"]()) == f"app@{RDS}:5432"
    assert signed_for(await cparams["password"]()) == f"app@{OTHER}:5433"
    assert cparams["host"] == [RDS, OTHER]


async def test_asyncpg_is_given_the_hosts_that_pghost_names(
    client: pgiam.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOST", f"{RDS},{OTHER}")
    cparams = hooked(client, "asyncpg", user="app")
    assert (cparams["host"], cparams["port"]) == ([RDS, OTHER], 5432)
    assert [signed_for(await cparams["password"]()) for _ in range(2)] == [f"app@{RDS}:5432", f"app@{OTHER}:5432"]


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_libpq_with_hosts_that_need_different_tokens_is_refused(client: pgiam.Client, driver: str) -> None:
    with pytest.raises(pgiam.ConfigurationError, match="2 hosts") as raised:
        hooked(client, driver, host=f"{RDS},{OTHER}", port="5432,5432", user="app")
    assert "asyncpg" in raised.value.hint
    assert client.stats().tokens == 0


@pytest.mark.parametrize(("port", "fits"), [("5432,5433", False), ("5432", True), ("5432,", True)])
def test_libpq_with_several_addresses_of_one_endpoint(
    client: pgiam.Client, monkeypatch: pytest.MonkeyPatch, port: str, fits: bool
) -> None:
    monkeypatch.setenv("PGIAM_TOKEN_HOST", RDS)
    login = {"host": "10.0.0.1,10.0.0.2", "port": port, "user": "app"}
    if fits:
        assert signed_for(hooked(client, "psycopg", **login)["password"]) == f"app@{RDS}:5432"
    else:
        with pytest.raises(pgiam.ConfigurationError, match="one password"):
            hooked(client, "psycopg", **login)


@pytest.mark.parametrize(("host", "port"), [([RDS], [5433]), ((RDS,), (5433,)), (RDS, "5433")])
@pytest.mark.parametrize("driver", [*SYNC, "asyncpg"])
def test_one_host_in_a_list_is_one_host(client: pgiam.Client, driver: str, host: Any, port: Any) -> None:
    cparams = hooked(client, driver, host=host, port=port, user="app")
    assert (cparams["host"], cparams["port"]) == (RDS, 5433)


def test_the_port_is_no_part_of_a_dsql_token(client: pgiam.Client) -> None:
    cparams = hooked(client, "psycopg", host=f"{DSQL},{DSQL}", port="5432,5433", user="app")
    assert cparams["password"].startswith(f"{DSQL}/?Action=DbConnect&")


def test_a_bare_dsql_cluster_id_becomes_a_host(client: pgiam.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert hooked(client, "psycopg", host=DSQL.partition(".")[0], user="admin")["host"] == DSQL


def test_one_listener_serves_many_engines(client: pgiam.Client) -> None:
    first = hooked(client, "psycopg", host=RDS, user="one")
    second = hooked(client, "psycopg2", host=OTHER, user="two")
    assert [signed_for(each["password"]) for each in (first, second)] == [f"one@{RDS}:5432", f"two@{OTHER}:5432"]


@pytest.mark.parametrize("driver", [*SYNC, "asyncpg"])
@pytest.mark.parametrize(
    ("cparams", "hint"),
    [
        ({"user": "app"}, "PGHOST"),
        ({"host": RDS}, "PGUSER"),
        ({"host": "", "user": "app"}, "PGHOST"),
        ({"host": RDS, "user": ""}, "PGUSER"),
        ({"host": "/run/postgresql", "user": "app"}, "endpoint's host name"),
        ({"host": RDS, "user": "app", "port": 0}, "1 to 65535"),
        ({"host": RDS, "user": "app", "port": -1}, "1 to 65535"),
        ({"host": RDS, "user": "app", "port": 65536}, "1 to 65535"),
        ({"host": RDS, "user": "app", "port": "x"}, "1 to 65535"),
        ({"host": RDS, "user": "app", "port": True}, "1 to 65535"),
        ({"host": RDS, "user": "app", "port": b"5432"}, "1 to 65535"),
        ({"host": RDS, "user": "app", "port": [5432, 5433]}, "as many ports as hosts"),
        ({"host": [RDS, ""], "user": "app"}, "Name every host"),
        ({"host": [], "user": "app"}, "PGHOST"),
        ({"dsn": f"host={RDS}", "user": "app"}, "instead of dsn="),
        ({"hostaddr": "10.0.0.1", "user": "app"}, "beside hostaddr="),
    ],
)
def test_an_unusable_login_is_refused_with_the_way_out(
    client: pgiam.Client, driver: str, cparams: dict[str, Any], hint: str
) -> None:
    with pytest.raises(pgiam.ConfigurationError) as raised:
        hooked(client, driver, **cparams)
    assert hint in raised.value.hint
    assert client.stats().tokens == 0


@pytest.mark.parametrize("cparams", [{"host": b"db", "user": "app"}, {"host": RDS, "user": b"app"}])
def test_a_wrong_type_is_a_type_error_too(client: pgiam.Client, cparams: dict[str, Any]) -> None:
    with pytest.raises(TypeError) as raised:
        hooked(client, "psycopg", **cparams)
    assert isinstance(raised.value, pgiam.WrongTypeError)


@pytest.mark.parametrize("host", ["db\0.example", "db example", "h" * 1_000_000, "localhost"])
def test_a_host_that_is_no_endpoint_is_refused(client: pgiam.Client, host: str) -> None:
    with pytest.raises(pgiam.EndpointError) as raised:
        hooked(client, "psycopg", host=host, user="app")
    assert raised.value.hint
    assert len(str(raised.value)) < 1_000


def test_a_service_file_cannot_hide_what_is_signed(client: pgiam.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(pgiam.ConfigurationError, match="port and user may come from the service 'prod'"):
        hooked(client, "psycopg", service="prod", host=RDS)
    monkeypatch.setenv("PGSERVICE", "prod")
    with pytest.raises(pgiam.ConfigurationError, match="service"):
        hooked(client, "psycopg2", host=RDS, user="app")
    assert signed_for(hooked(client, "psycopg", host=RDS, port=5432, user="app")["password"]) == f"app@{RDS}:5432"


def test_positional_arguments_and_other_databases_are_refused(client: pgiam.Client) -> None:
    with pytest.raises(pgiam.ConfigurationError, match="positional"):
        client.do_connect(dialect_of("psycopg2"), None, [f"host={RDS} user=app"], {})  # type: ignore[arg-type]
    with pytest.raises(pgiam.ConfigurationError, match=r"sqlite\+pysqlite"):
        client.do_connect(sa.create_engine("sqlite://").dialect, None, [], {})  # type: ignore[arg-type]


def test_the_default_client_serves_the_plain_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    monkeypatch.setattr(pgiam.client, "_made", {})
    cparams: dict[str, Any] = {"host": RDS, "user": "app"}
    pgiam.do_connect(dialect_of("psycopg"), None, [], cparams)  # type: ignore[arg-type]
    assert signed_for(cparams["password"]) == f"app@{RDS}:5432"


def test_a_token_that_cannot_be_made_is_logged_once_and_raised_unchanged(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> None:
        raise RuntimeError("the vault is closed")

    with pytest.raises(pgiam.CredentialsError) as raised:
        hooked(pgiam.Client(broken), "psycopg", host=RDS, user="app")
    assert isinstance(raised.value.__cause__, RuntimeError)
    [record] = [record for record in caplog.records if record.name == "pgiam"]
    assert f"app@{RDS}:5432" in record.getMessage()
