"""Clients for the drivers' tests: with credentials that no account knows, and with those of a sandbox's account."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

import pgiam
from drivers.account import Account
from pgiam.sandbox import Sandbox


@pytest.fixture(autouse=True)
def nothing_secret_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """By pgiam, SQLAlchemy or a driver, however much they log."""
    caplog.set_level(logging.DEBUG)
    yield
    for phase in ("setup", "call"):
        for record in caplog.get_records(phase):
            message = record.getMessage()
            assert "X-Amz-Signature" not in message
            assert "wJalrXUtnFEMI" not in message


@pytest.fixture
def client() -> pgiam.Client:
    return pgiam.Client(pgiam.Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"))


@pytest.fixture(scope="session")
def rds_sandbox() -> Iterator[Sandbox]:
    with Sandbox("rds") as box:
        yield box


@pytest.fixture(scope="session")
def dsql_sandbox() -> Iterator[Sandbox]:
    with Sandbox("dsql") as box:
        yield box


@pytest.fixture
def account(rds_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    yield from _account(rds_sandbox, monkeypatch)


@pytest.fixture
def dsql_account(dsql_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    yield from _account(dsql_sandbox, monkeypatch)


def _account(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    box.faults.clear()
    # What a service behind a tunnel sets.
    monkeypatch.setenv("PGIAM_TOKEN_HOST", box.token_host)
    monkeypatch.setenv("PGIAM_CA_FILE", box.ca_file)
    yield Account(box)
    box.faults.clear()
