"""What STS refuses, and what whoever must act is told. The identity token is never in it."""

from __future__ import annotations

import time
import traceback
from typing import Any

import pytest

import pgiam
from aws_box import AwsBox
from pgiam.sandbox.claim_shapes import SHAPES
from pgiam.sandbox.iam import TrustRule

GITHUB = SHAPES["github_actions"]
WEB_IDENTITY = "sts:AssumeRoleWithWebIdentity"


def refusal(token: str, role_arn: str, **options: Any) -> pgiam.ExchangeError:
    with pytest.raises(pgiam.ExchangeError) as caught:
        pgiam.exchange_oidc_token(token, role_arn=role_arn, **options)
    everything = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
    for part in token.split("."):
        assert part not in everything
    return caught.value


def test_a_subject_that_the_role_does_not_trust(box: AwsBox, role_arn: str) -> None:
    token = box.token("github_actions", subject="repo:acme/other:ref:refs/heads/main")
    error = refusal(token, role_arn)
    assert error.code == "AccessDenied"
    assert error.request_id
    assert error.claims["sub"] == "repo:acme/other:ref:refs/heads/main"
    assert error.claims["iss"] == GITHUB.issuer
    assert error.claims["aud"] == "sts.amazonaws.com"
    for part in (role_arn, GITHUB.issuer, "repo:acme/other:ref:refs/heads/main", "sts.amazonaws.com"):
        assert part in str(error)
    assert (
        "principal Federated oidc-provider/token.actions.githubusercontent.com where "
        "token.actions.githubusercontent.com:sub is repo:acme/other:ref:refs/heads/main"
    ) in error.hint
    # Access denials are final.
    assert box.calls(WEB_IDENTITY) == 1


def test_the_trust_policy_that_the_hint_asks_for_is_the_one_that_helps(box: AwsBox) -> None:
    arn = box.directory.role_arn("strict")
    box.directory.add_role("strict")
    token = box.token("gcp")
    error = refusal(token, arn)
    provider, subject, audience = "accounts.google.com", SHAPES["gcp"].subject, SHAPES["gcp"].authorized_party
    condition = f"{provider}:sub is {subject} and {provider}:aud is {audience}"
    assert f"principal Federated {provider} where {condition}" in error.hint
    box.directory.add_role("strict", trust=[TrustRule(issuer=provider, audience=audience, subject=subject)])
    assert pgiam.exchange_oidc_token(token, role_arn=arn).account_id == box.directory.account


@pytest.mark.parametrize(
    ("minting", "code", "hint"),
    [
        (
            {"issuer": "https://oidc.example.com"},
            "InvalidIdentityToken",
            "Create an IAM OIDC identity provider for https://oidc.example.com",
        ),
        ({"audience": "https://other.example"}, "InvalidIdentityToken", "Add https://other.example to the audiences"),
        ({"claims": {"sub": None}}, "InvalidIdentityToken", "signed with RS256"),
    ],
)
def test_tokens_that_are_not_valid(box: AwsBox, role_arn: str, minting: dict[str, Any], code: str, hint: str) -> None:
    error = refusal(box.token("github_actions", **minting), role_arn)
    assert error.code == code
    assert hint in error.hint
    assert box.calls(WEB_IDENTITY) == 1


def test_an_expired_token_given_by_hand_is_not_tried_twice(box: AwsBox, role_arn: str) -> None:
    token = box.token("github_actions", lifetime=1)
    time.sleep(2)
    error = refusal(token, role_arn)
    assert error.code == "ExpiredTokenException"
    assert "new identity token" in error.hint
    assert box.calls(WEB_IDENTITY) == 1
    source = pgiam.WebIdentity(role_arn=role_arn, identity_token=token)
    with pytest.raises(pgiam.ExchangeError):
        pgiam.Client(source).credentials()
    assert box.calls(WEB_IDENTITY) == 2


def test_an_expired_token_of_a_source_is_fetched_anew_once(box: AwsBox, role_arn: str) -> None:
    old = box.token("github_actions", lifetime=1)
    time.sleep(2)
    tokens = [old, box.token("github_actions")]
    client = pgiam.Client(pgiam.WebIdentity(role_arn=role_arn, identity_token=lambda: tokens.pop(0)))
    assert client.credentials().account_id == box.directory.account
    assert tokens == []
    assert box.calls(WEB_IDENTITY) == 2
    tokens[:] = [old, box.token("github_actions", lifetime=1)]
    time.sleep(2)
    with pytest.raises(pgiam.ExchangeError):
        client.refresh()
    assert tokens == []
    assert box.calls(WEB_IDENTITY) == 4


@pytest.mark.parametrize("kind", ["throttled", "internal_error", "unavailable", "idp_communication_error", "reset"])
def test_what_may_pass_is_tried_again(box: AwsBox, role_arn: str, kind: str) -> None:
    token = box.token("github_actions")
    box.control("fault", target="sts", kind=kind, count=1)
    assert pgiam.exchange_oidc_token(token, role_arn=role_arn).account_id
    assert box.calls(WEB_IDENTITY) == 2


@pytest.mark.parametrize(
    ("kind", "raised", "hint"),
    [
        ("throttled", pgiam.TransportError, "share one pgiam.Client"),
        ("unavailable", pgiam.TransportError, "tries again"),
        ("idp_communication_error", pgiam.ExchangeError, "could not reach https://token.actions"),
        ("garbage", pgiam.TransportError, "AWS_ENDPOINT_URL_STS"),
        ("truncated", pgiam.TransportError, ""),
    ],
)
def test_what_does_not_pass_is_said(
    box: AwsBox, role_arn: str, kind: str, raised: type[pgiam.Error], hint: str
) -> None:
    token = box.token("github_actions")
    box.control("fault", target="sts", kind=kind)
    with pytest.raises(raised) as caught:
        pgiam.exchange_oidc_token(token, role_arn=role_arn)
    assert hint in caught.value.hint
    assert box.calls(WEB_IDENTITY) == 3 or kind in ("garbage", "truncated")


def test_nobody_listens(role_arn: str, box: AwsBox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    with pytest.raises(pgiam.TransportError, match="STS in eu-west-1 could not be asked"):
        pgiam.exchange_oidc_token(box.token("gcp"), role_arn=role_arn)


def test_a_region_that_is_not_active(box: AwsBox, role_arn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    box.control("disable_region", region="eu-west-1")
    try:
        error = refusal(box.token("github_actions"), role_arn)
    finally:
        box.control("enable_region", region="eu-west-1")
    assert error.code == "RegionDisabledException"
    assert "Activate eu-west-1" in error.hint


def test_durations(box: AwsBox, role_arn: str) -> None:
    token = box.token("github_actions")
    error = refusal(token, role_arn, duration=7201)
    assert error.code == "ValidationError"
    assert "MaxSessionDuration" in error.hint
    lasting = pgiam.exchange_oidc_token(token, role_arn=role_arn, duration=900).expires_at
    assert lasting is not None
    assert 890 < lasting.timestamp() - box.clock.now() <= 900
    for duration in (899, 43201, 0, -1, 2**70):
        with pytest.raises(pgiam.ConfigurationError):
            pgiam.exchange_oidc_token(token, role_arn=role_arn, duration=duration)
    with pytest.raises(pgiam.WrongTypeError):
        pgiam.exchange_oidc_token(token, role_arn=role_arn, duration=3600.0)  # type: ignore[arg-type]
    assert box.calls(WEB_IDENTITY) == 2


@pytest.mark.parametrize(
    "options",
    [
        {"role_arn": "app"},
        {"role_arn": "arn:aws:sts::123456789012:assumed-role/app/s"},
        {"session_name": "a b"},
        {"policy": "not json"},
        {"policy_arns": ["ReadOnlyAccess"]},
        {"policy_arns": "arn:aws:iam::aws:policy/ReadOnlyAccess"},
        {"region": "nowhere"},
    ],
)
def test_what_cannot_be_right_is_refused_before_sts_sees_it(
    box: AwsBox, role_arn: str, options: dict[str, Any]
) -> None:
    token = box.token("github_actions")
    with pytest.raises(pgiam.ConfigurationError):
        pgiam.exchange_oidc_token(token, **{"role_arn": role_arn, **options})
    with pytest.raises(pgiam.ConfigurationError):
        pgiam.WebIdentity(identity_token=token, **{"role_arn": role_arn, **options})
    assert box.control("stats")["calls"] == {}


def test_what_is_no_identity_token(box: AwsBox, role_arn: str) -> None:
    with pytest.raises(pgiam.IdentityTokenError) as caught:
        pgiam.exchange_oidc_token("opaque-secret-text", role_arn=role_arn)
    assert "opaque-secret-text" not in str(caught.value)
    with pytest.raises(pgiam.WrongTypeError):
        pgiam.exchange_oidc_token(b"a.b.c", role_arn=role_arn)  # type: ignore[arg-type]
    with pytest.raises(pgiam.WrongTypeError):
        pgiam.WebIdentity(role_arn=role_arn, identity_token=7)  # type: ignore[arg-type]


def test_policies_and_names_reach_sts(box: AwsBox, role_arn: str) -> None:
    arn = "arn:aws:iam::123456789012:policy/narrow"
    policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"rds-db:connect","Resource":"*"}]}'
    box.control("add_managed_policy", arn=arn, document=policy)
    token = box.token("github_actions")
    pgiam.exchange_oidc_token(
        token, role_arn=role_arn, session_name="by-hand", policy=policy, policy_arns=[arn], region="eu-west-1"
    )
    session = box.control("sessions")["sessions"][-1]
    assert (session["session_name"], session["policies"], session["region"]) == ("by-hand", 2, "eu-west-1")
    pgiam.exchange_oidc_token(token, role_arn=role_arn)
    assert box.control("sessions")["sessions"][-1]["session_name"] == "pgiam-acme-shop"


async def test_the_exchange_is_there_for_event_loops(box: AwsBox, role_arn: str) -> None:
    token = box.token("github_actions")
    credentials = await pgiam.exchange_oidc_token_async(token, role_arn=role_arn)
    assert (await pgiam.Client(credentials).whoami_async()).arn.endswith("/app/pgiam-acme-shop")
    with pytest.raises(pgiam.ExchangeError):
        await pgiam.exchange_oidc_token_async(box.token("github_actions", subject="x"), role_arn=role_arn)


def test_whoami_of_keys_that_are_unknown(box: AwsBox) -> None:
    client = pgiam.Client(pgiam.Credentials("AKIDUNKNOWN", "not-a-key"))
    with pytest.raises(pgiam.ExchangeError) as caught:
        client.whoami()
    assert caught.value.code == "InvalidClientTokenId"
    assert caught.value.claims == {}
