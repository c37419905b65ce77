"""The `Password` object: one for every driver, and a token from nowhere but a driver's own `str()` or call."""

from __future__ import annotations

import asyncio
import copy
import inspect
import json
import logging
import pickle
import pprint
import traceback
from typing import Any

import pytest

import pgiam
from drivers.hooked import RDS, signed_for

SHOWN = f"<pgiam.Password app@{RDS}:5432>"


@pytest.fixture
def password(client: pgiam.Client) -> pgiam.Password:
    return client.password(host=RDS, user="app")


def test_str_is_a_fresh_token(password: pgiam.Password, client: pgiam.Client) -> None:
    assert signed_for(str(password)) == f"app@{RDS}:5432"
    str(password)
    assert client.stats().tokens == 2


async def test_calling_it_gives_an_awaitable_token(password: pgiam.Password) -> None:
    awaitable = password()
    assert inspect.isawaitable(awaitable)
    assert signed_for(await awaitable) == f"app@{RDS}:5432"


def test_it_is_shown_without_a_token(
    password: pgiam.Password, client: pgiam.Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("app").info("connecting with %s and %r", password, password)
    shown = [
        repr(password),
        f"{password}",
        f"{password:>60}".strip(),
        "{}".format(password),  # noqa: UP032
        pprint.pformat({"PASSWORD": password}).removeprefix("{'PASSWORD': ").removesuffix("}"),
        f"{[password]}"[1:-1],
    ]
    assert set(shown) == {SHOWN}
    assert f"connecting with {SHOWN} and {SHOWN}" in caplog.messages
    assert client.stats().tokens == 0


def test_a_traceback_that_shows_locals_shows_no_token(password: pgiam.Password, client: pgiam.Client) -> None:
    try:
        raise RuntimeError(repr(password))
    except RuntimeError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert SHOWN in shown
    assert "X-Amz-Signature" not in shown
    assert client.stats().tokens == 0


def test_copies_are_the_same_object(password: pgiam.Password) -> None:
    settings = {"default": {"PASSWORD": password}}
    assert copy.deepcopy(settings)["default"]["PASSWORD"] is password
    assert copy.copy(password) is password
    assert {password: 1}[password] == 1
    assert bool(password) is True  # Django asks


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_cannot_leave_the_process(password: pgiam.Password, protocol: int) -> None:
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(password, protocol)
    with pytest.raises(TypeError):
        json.dumps(password)


def test_the_module_and_the_client_offer_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", RDS)
    monkeypatch.setenv("PGUSER", "app")
    assert isinstance(pgiam.password(), pgiam.Password)
    assert repr(pgiam.password()) == repr(pgiam.Client().password()) == SHOWN


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"user": "app"}, pgiam.ConfigurationError),
        ({"host": RDS}, pgiam.ConfigurationError),
        ({"host": "", "user": "app"}, pgiam.ConfigurationError),
        ({"host": "localhost", "user": "app"}, pgiam.EndpointError),
        ({"host": RDS + "\0", "user": "app"}, pgiam.EndpointError),
        ({"host": "h" * 1_000_000, "user": "app"}, pgiam.EndpointError),
        ({"host": RDS, "user": "app", "region": "eu-west-1"}, pgiam.EndpointError),
        ({"host": RDS, "user": "app", "token_host": "localhost"}, pgiam.EndpointError),
        ({"host": RDS, "user": "app", "port": 70_000}, pgiam.ConfigurationError),
        ({"host": RDS, "user": "app", "port": -1}, pgiam.ConfigurationError),
        ({"host": RDS.encode(), "user": "app"}, pgiam.WrongTypeError),
        ({"host": RDS, "user": b"app"}, pgiam.WrongTypeError),
        ({"host": RDS, "user": "app", "region": b"us-east-1"}, pgiam.WrongTypeError),
        ({"host": RDS, "user": "app", "client": "prod"}, pgiam.WrongTypeError),
        ({"host": [RDS, "db-2" + RDS], "user": "app"}, pgiam.ConfigurationError),
        ({"host": RDS, "user": "app", "hosts": RDS}, TypeError),
    ],
)
def test_what_is_wrong_is_said_when_it_is_made(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error) as raised:
        pgiam.password(**options)
    if isinstance(raised.value, pgiam.Error):
        assert raised.value.hint
        assert len(str(raised.value)) < 1_000


async def test_waiting_on_an_event_loop_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    cold = pgiam.Client(lambda: pgiam.Credentials("AKIDEXAMPLE", "secret"))
    password = cold.password(host=RDS, user="app")
    str(password)
    [warning] = [record for record in caplog.records if record.name == "pgiam"]
    assert "pgiam.psycopg" in warning.getMessage()
    caplog.clear()
    str(password)
    await asyncio.to_thread(str, password)
    assert "pgiam" not in [record.name for record in caplog.records]
