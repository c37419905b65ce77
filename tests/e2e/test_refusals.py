"""What cannot log in: that it fails, in whose words, and that no auth token reaches whom it must not."""

from __future__ import annotations

import datetime
import re
import traceback
from collections.abc import Callable
from typing import Final, NamedTuple

import pytest

import pgiam
from drivers.account import Account
from e2e.ways import WAYS

# A pool of psycopg's tells the reason to its log alone, and callers only that they waited in vain.
SAYS_WHY: Final = [name for name in WAYS if name not in ("psycopg-pool", "psycopg-async-pool")]

SERVER_SAYS: Final = {
    "rds": r'PAM authentication failed for user ".+"',
    "dsql": "unable to accept connection, access denied",
}
FLAVORS = [pytest.param(flavor, marks=pytest.mark.pgiam_sandbox(flavor=flavor)) for flavor in SERVER_SAYS]


class Case(NamedTuple):
    prepare: Callable[[Account, pytest.MonkeyPatch], str]  # gives the user to log in as
    error: str | None  # None: the server's words
    token_arrives: bool


def given(account: Account, lifetime: float | None = None) -> None:
    """Credentials of which the client knows no end, unless one is said."""
    keys = account.box.issue_credentials()
    end = None
    if lifetime is not None:
        end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=lifetime)
    account.client = pgiam.Client(pgiam.Credentials(keys["access_key"], keys["secret_key"], keys["session_token"], end))


def denied_user(account: Account, _: pytest.MonkeyPatch) -> str:
    return "denied"


def wrong_region(account: Account, patch: pytest.MonkeyPatch) -> str:
    patch.setenv("PGIAM_TOKEN_HOST", account.box.token_host.replace("us-east-1", "us-west-2"))
    return account.box.user


def wrong_host(account: Account, patch: pytest.MonkeyPatch) -> str:
    patch.setenv("PGIAM_TOKEN_HOST", account.box.token_host.replace("sandbox", "another", 1))
    return account.box.user


def token_too_old(account: Account, _: pytest.MonkeyPatch) -> str:
    account.box.faults.skew_clock(1000)
    return account.box.user


def credentials_ended_early(account: Account, _: pytest.MonkeyPatch) -> str:
    given(account)
    account.box.faults.expire_credentials()
    return account.box.user


def credentials_known_to_have_ended(account: Account, _: pytest.MonkeyPatch) -> str:
    given(account, lifetime=-1)
    return account.box.user


def wrong_authority(account: Account, patch: pytest.MonkeyPatch) -> str:
    patch.delenv("PGIAM_CA_FILE")  # the certificates of AWS, as shipped
    return account.box.user


def wrong_certificate(account: Account, _: pytest.MonkeyPatch) -> str:
    account.box.faults.certificate("wrong_host")
    return account.box.user


TLS_SAYS: Final = "certificate|does not match host name"
CASES: Final = {
    "denied user": Case(denied_user, None, True),
    "wrong region": Case(wrong_region, None, True),
    "wrong host": Case(wrong_host, None, True),
    "token too old": Case(token_too_old, None, True),
    "credentials ended early": Case(credentials_ended_early, None, True),
    "credentials known to have ended": Case(credentials_known_to_have_ended, "expired", False),
    "wrong authority": Case(wrong_authority, TLS_SAYS, False),
    "wrong certificate": Case(wrong_certificate, TLS_SAYS, False),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("way", SAYS_WHY)
@pytest.mark.parametrize("flavor", FLAVORS)
async def test_it_is_refused(
    account: Account, monkeypatch: pytest.MonkeyPatch, flavor: str, way: str, case: str
) -> None:
    prepare, error, token_arrives = CASES[case]
    user = prepare(account, monkeypatch)
    before = account.box.stats()
    with pytest.raises(Exception) as raised:  # noqa: PT011 - each driver has its own; the words are checked
        async with WAYS[way](account, user) as ask:
            await ask()
    shown = "".join(traceback.format_exception(raised.type, raised.value, raised.tb))
    assert re.search(error or SERVER_SAYS[flavor], shown), shown
    assert "X-Amz-" not in shown
    after = account.box.stats()
    assert after["accepted"] == before["accepted"]
    assert after["tokens"] - before["tokens"] == token_arrives


async def test_it_stays_refused_and_then_recovers(account: Account) -> None:
    """No state is left behind that would keep a service out once its user was let in."""
    revoked = account.box.faults.revoke_rds_iam(account.box.user)
    async with WAYS["sqlalchemy-psycopg"](account, account.box.user) as ask:
        for _ in range(3):
            with pytest.raises(Exception, match="password authentication failed"):
                await ask()
        revoked.clear()
        assert await ask() == account.box.user
