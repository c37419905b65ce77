"""Sessions of seconds stand for months: renewals, outages of STS, clocks that are wrong."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import pytest

import pgiam
from aws_box import AwsBox
from identity.workload import mint
from leftovers import eventually
from pgiam.sandbox.iam import TrustRule

WEB_IDENTITY = "sts:AssumeRoleWithWebIdentity"
Opens = Callable[[str], object]


@pytest.fixture
def client(box: AwsBox, on: Callable[..., dict[str, str]]) -> pgiam.Client:
    on("github_actions")
    return pgiam.Client()


def test_renewals_are_not_noticed(box: AwsBox, client: pgiam.Client, opens: Opens) -> None:
    box.control("session_lifetime", seconds=0.5)
    deadline = time.monotonic() + 8
    while time.monotonic() < deadline:
        opens(mint(client))
        time.sleep(0.01)
    stats = client.stats()
    assert stats.refreshes >= 10
    assert stats.refresh_failures == 0
    assert box.calls(WEB_IDENTITY) == stats.refreshes
    # The early refresh runs beside: after the first nobody had to wait.
    assert stats.waits <= 1 + stats.refreshes // 4


@pytest.mark.parametrize("kind", ["access_denied", "unavailable", "reset", "hang"])
def test_an_outage_until_the_last_moment_is_not_noticed(
    box: AwsBox, client: pgiam.Client, opens: Opens, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    box.control("session_lifetime", seconds=10)
    opens(mint(client))
    begun = time.monotonic()
    while time.monotonic() < begun + 7.9:
        opens(mint(client))
        time.sleep(0.1)
    box.control("fault", target="sts", kind=kind)
    # All of the early window, and nearly all of the time in which callers would like to wait.
    while time.monotonic() < begun + 9.7:
        opens(mint(client))
        time.sleep(0.02)
    box.control("clear_faults")
    box.control("session_lifetime", seconds=None)

    def renewed() -> bool:
        # Not once is there nothing to sign with: when the old ones end, STS is asked whatever went before.
        opens(mint(client))
        return client.stats().refreshes >= 2

    assert eventually(renewed)
    if kind == "access_denied":
        warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert any("early refresh of credentials failed" in warning for warning in warnings)


def test_a_refresh_that_was_asked_for_says_that_it_failed(box: AwsBox, client: pgiam.Client, opens: Opens) -> None:
    opens(mint(client))
    box.control("fault", target="sts", kind="access_denied")
    with pytest.raises(pgiam.ExchangeError):
        client.refresh()
    # What was there before is as good as it was.
    opens(mint(client))


def test_a_longer_outage_is_said_at_once_and_ends_by_itself(box: AwsBox, client: pgiam.Client, opens: Opens) -> None:
    box.control("session_lifetime", seconds=0.3)
    opens(mint(client))
    box.control("fault", target="sts", kind="unavailable")
    time.sleep(0.5)
    with pytest.raises(pgiam.TransportError):
        mint(client)
    asked = box.calls(WEB_IDENTITY)
    # While it backs off, callers get the same error without a wait for STS.
    for _ in range(50):
        with pytest.raises(pgiam.TransportError):
            mint(client)
    assert box.calls(WEB_IDENTITY) - asked <= 3
    box.control("clear_faults")
    box.control("session_lifetime", seconds=None)

    def recovered() -> bool:
        try:
            opens(mint(client))
        except pgiam.TransportError:
            return False
        return True

    assert eventually(recovered)


def test_a_throttling_storm_passes(box: AwsBox, client: pgiam.Client, opens: Opens) -> None:
    box.control("fault", target="sts", kind="throttled", count=2)
    opens(mint(client))
    assert box.calls(WEB_IDENTITY) == 3


@pytest.mark.parametrize("off", [-600.0, 600.0, -86_400.0, 86_400.0])
def test_a_clock_that_is_wrong(box: AwsBox, client: pgiam.Client, opens: Opens, off: float) -> None:
    # To this process its own clock is the one that is right.
    box.clock.offset = off
    opens(mint(client))
    expires_at = client.credentials().expires_at
    assert expires_at is not None
    assert 3500 < expires_at.timestamp() - box.clock.now() <= 3600
    assert client.whoami().account == box.directory.account
    # Neither refreshed at each use, nor used beyond their end.
    for _ in range(20):
        opens(mint(client))
    assert box.calls(WEB_IDENTITY) == 1


@pytest.mark.parametrize("off", [-600.0, 600.0])
def test_credentials_end_by_the_clock_of_aws(box: AwsBox, client: pgiam.Client, opens: Opens, off: float) -> None:
    box.clock.offset = off
    # A minute, but for the clock's resolution: `Date` says no more than whole seconds.
    box.control("session_lifetime", seconds=2)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        opens(mint(client))
        time.sleep(0.02)
    assert client.stats().refresh_failures == 0
    assert client.stats().refreshes >= 3


@pytest.mark.parametrize("off", [-600.0, 600.0])
def test_a_role_is_assumed_by_a_wrong_clock(box: AwsBox, opens: Opens, off: float) -> None:
    user = box.directory.add_user("skewed")
    trust = [TrustRule(principal=user.principal)]
    box.directory.add_role("target", trust=trust, db_users=["app"])
    box.clock.offset = off
    keys = pgiam.Credentials(user.access_key, user.secret_key)
    client = pgiam.Client(pgiam.AssumeRole(role_arn=box.directory.role_arn("target"), source=keys))
    opens(mint(client))


def test_a_clock_that_is_a_little_off_is_left_alone(box: AwsBox, client: pgiam.Client) -> None:
    box.clock.offset = 40.0
    token = mint(client)
    assert f"X-Amz-Date={time.strftime('%Y%m%dT%H%M', time.gmtime())}" in token or time.gmtime().tm_sec < 2


def test_rotated_keys_of_the_issuer(box: AwsBox, client: pgiam.Client, opens: Opens) -> None:
    opens(mint(client))
    box.control("rotate_keys", platform="github_actions", keep_old=False)
    client.refresh()
    opens(mint(client))


def test_invalidate_after_credentials_were_revoked(box: AwsBox, client: pgiam.Client, opens: Opens) -> None:
    opens(mint(client))
    box.control("revoke_credentials")
    client.invalidate()
    opens(mint(client))
    assert box.calls(WEB_IDENTITY) == 2
