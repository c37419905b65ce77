"""Every way in, to every kind of endpoint, with every kind of credentials."""

from __future__ import annotations

from typing import Any

import pytest

import pgiam
from drivers.account import Account
from e2e.ways import WAYS
from pgiam.sandbox import Sandbox

FLAVORS = [
    pytest.param(flavor, marks=pytest.mark.pgiam_sandbox(flavor=flavor)) for flavor in ("rds", "rds-proxy", "dsql")
]


def static(box: Sandbox) -> dict[str, Any]:
    return box.add_user("deployer", db_users=["app"], dsql_admin=True)


def session(box: Sandbox) -> dict[str, Any]:
    return box.issue_credentials()


def session_of_2_kb(box: Sandbox) -> dict[str, Any]:
    return box.issue_credentials(session_token_size=2048)


@pytest.mark.parametrize("issue", [static, session, session_of_2_kb])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("flavor", FLAVORS)
async def test_it_logs_in(account: Account, flavor: str, way: str, issue: Any) -> None:
    keys = issue(account.box)
    account.client = pgiam.Client(pgiam.Credentials(keys["access_key"], keys["secret_key"], keys["session_token"]))
    accepted = account.box.stats()["accepted"]
    async with WAYS[way](account, account.box.user) as ask:
        assert [await ask() for _ in range(2)] == [account.box.user] * 2
    assert account.client.stats().tokens == account.box.stats()["accepted"] - accepted
    assert account.client.stats().waits == 0
