"""A role on top of other credentials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import pgiam
from aws_box import AwsBox
from identity.workload import ROLE, mint
from pgiam.sandbox.iam import Credential, TrustRule

ASSUME = "sts:AssumeRole"


@pytest.fixture
def user(box: AwsBox) -> Credential:
    return box.directory.add_user("deployer")


@pytest.fixture
def keys(user: Credential) -> pgiam.Credentials:
    return pgiam.Credentials(user.access_key, user.secret_key)


@pytest.fixture
def target(box: AwsBox) -> str:
    trust = [TrustRule(principal=f"arn:aws:iam::{box.directory.account}:*")]
    trust.append(TrustRule(principal=f"arn:aws:sts::{box.directory.account}:assumed-role/*"))
    box.directory.add_role("target", trust=trust, db_users=["app"], external_id="tenant:42", max_session=7200)
    return box.directory.role_arn("target")


def test_everything_that_sts_takes(
    box: AwsBox, keys: pgiam.Credentials, target: str, opens: Callable[[str], object]
) -> None:
    role = pgiam.AssumeRole(
        role_arn=target,
        source=keys,
        external_id="tenant:42",
        session_name="deploy",
        duration=7200,
        tags={"team": "shop", "cost": ""},
        source_identity="alice",
        region="eu-west-1",
    )
    client = pgiam.Client(role)
    assert client.whoami().arn.endswith("assumed-role/target/deploy")
    opens(mint(client))
    session = box.control("sessions")["sessions"][-1]
    assert session["tags"] == {"team": "shop", "cost": ""}
    assert session["source_identity"] == "alice"
    lasting = client.credentials().expires_at
    assert lasting is not None
    assert 7190 < lasting.timestamp() - box.clock.now() <= 7200
    assert [(found.source, found.state) for found in client.explain()] == [
        ("credentials", "taken"),
        (f"role {target}", "taken"),
    ]


def test_a_wrong_external_id(keys: pgiam.Credentials, target: str) -> None:
    for external_id in (None, "tenant:43"):
        client = pgiam.Client(pgiam.AssumeRole(role_arn=target, source=keys, external_id=external_id))
        with pytest.raises(pgiam.ExchangeError) as caught:
            client.credentials()
        assert caught.value.code == "AccessDenied"
        assert target in str(caught.value)
        assert "external_id" in caught.value.hint
        assert keys.secret_key not in str(caught.value)


def test_on_top_of_the_place_where_it_runs(box: AwsBox, on: Callable[..., dict[str, str]], target: str) -> None:
    on("ec2")
    role = pgiam.AssumeRole(role_arn=target, external_id="tenant:42", session_name="cross")
    client = pgiam.Client(role)
    client.refresh()
    asked = box.calls("imds:credentials")
    assert asked > 0
    for _ in range(3):
        client.refresh()
    assert client.whoami().arn.endswith("assumed-role/target/cross")
    assert box.calls(ASSUME) == 4
    # What lies under the role is kept: the machine is not asked at each renewal.
    assert box.calls("imds:credentials") == asked


def test_on_top_of_another_client(box: AwsBox, on: Callable[..., dict[str, str]], role_arn: str, target: str) -> None:
    on("github_actions")
    below = pgiam.Client(
        pgiam.WebIdentity(role_arn=role_arn, identity_token=pgiam.oidc.github_actions(), session_name="job")
    )
    below.credentials()
    client = pgiam.Client(pgiam.AssumeRole(role_arn=target, source=below, external_id="tenant:42"))
    assert client.whoami().arn.startswith(f"arn:aws:sts::{box.directory.account}:assumed-role/target/pgiam")
    assert box.calls("sts:AssumeRoleWithWebIdentity") == 1
    assert client.credentials().source == "assumed role, by web identity (GitHub Actions)"


def test_chaining_for_more_than_an_hour_is_refused_before_sts_is_asked(
    box: AwsBox, role_arn: str, target: str, keys: pgiam.Credentials
) -> None:
    below = pgiam.WebIdentity(role_arn=role_arn, identity_token=pgiam.oidc.github_actions())
    for source in (below, pgiam.Client(below), pgiam.AssumeRole(role_arn=target, source=keys)):
        with pytest.raises(pgiam.ConfigurationError, match="role chaining") as caught:
            pgiam.AssumeRole(role_arn=target, source=source, duration=3601)
        assert "3600" in caught.value.hint
    assert box.control("stats")["calls"] == {}


def test_chaining_that_only_sts_can_see(box: AwsBox, on: Callable[..., dict[str, str]], target: str) -> None:
    on("session")
    role = pgiam.AssumeRole(role_arn=target, external_id="tenant:42", duration=3601)
    with pytest.raises(pgiam.ExchangeError, match="role chaining") as caught:
        pgiam.Client(role).credentials()
    assert "duration=3600" in caught.value.hint


def test_credentials_below_that_end_before_their_time_are_fetched_anew(
    box: AwsBox, on: Callable[..., dict[str, str]], target: str
) -> None:
    on("github_actions")
    source = pgiam.WebIdentity(role_arn=box.directory.role_arn(ROLE), identity_token=pgiam.oidc.github_actions())
    client = pgiam.Client(pgiam.AssumeRole(role_arn=target, source=source, external_id="tenant:42"))
    client.credentials()
    box.control("expire_credentials")
    with pytest.raises(pgiam.ExchangeError) as caught:
        client.refresh()
    assert caught.value.code == "ExpiredToken"
    client.refresh()
    assert box.calls("sts:AssumeRoleWithWebIdentity") == 2


async def test_the_callable_below_runs_on_the_callers_loop(box: AwsBox, user: Credential, target: str) -> None:
    import asyncio

    seen: list[object] = []

    async def source() -> dict[str, str]:
        seen.append(asyncio.get_running_loop())
        return {"AccessKeyId": user.access_key, "SecretAccessKey": user.secret_key}

    client = pgiam.Client(pgiam.AssumeRole(role_arn=target, source=source, external_id="tenant:42"))
    assert (await client.whoami_async()).account == box.directory.account
    assert seen == [asyncio.get_running_loop()]


def test_what_cannot_be_right(target: str, keys: pgiam.Credentials) -> None:
    wrong: tuple[dict[str, Any], ...] = (
        {"external_id": "x"},
        {"source_identity": "a b"},
        {"tags": {"": "x"}},
        {"tags": [("a", "b")]},
        {"tags": {"a": 1}},
        {"source": 7},
        {"duration": 60},
        {"role_arn": "target"},
    )
    for options in wrong:
        with pytest.raises(pgiam.ConfigurationError):
            pgiam.AssumeRole(**{"role_arn": target, "source": keys, **options})
