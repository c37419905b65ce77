"""Clients for the drivers' tests: with credentials that no account knows, and with those of a sandbox's account."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

import pgiam
from drivers.account import Account
from pgiam.sandbox import Sandbox


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
def account(rds_sandbox: Sandbox) -> Iterator[Account]:
    yield from _account(rds_sandbox)


@pytest.fixture
def dsql_account(dsql_sandbox: Sandbox) -> Iterator[Account]:
    yield from _account(dsql_sandbox)


def _account(box: Sandbox) -> Iterator[Account]:
    box.faults.clear()
    # What a service behind a tunnel sets; tests/conftest.py takes it back.
    os.environ["PGIAM_TOKEN_HOST"] = box.token_host
    os.environ["PGIAM_CA_FILE"] = box.ca_file
    yield Account(box)
    box.faults.clear()
