"""What the AWS half does when told to fail, what it counts, and that it leaves nothing behind."""

from __future__ import annotations

import asyncio
import http.client
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from aws_box import AwsBox, call
from pgiam.sandbox.aws_control import OPERATIONS, ControlError
from pgiam.sandbox.aws_faults import KINDS, TARGETS, AwsFaults, Trouble, UnknownFaultError
from pgiam.sandbox.aws_stats import AwsStats


@pytest.fixture(scope="module")
def shared() -> Iterator[AwsBox]:
    with AwsBox() as box:
        yield box


@pytest.fixture
def box(shared: AwsBox) -> AwsBox:
    shared.clock.offset = 0.0
    shared.control("clear_faults")
    shared.control("reset_stats")
    shared.directory.add_role("app", trust=[shared.services.trust("eks")])
    return shared


# --- the standing orders ----------------------------------------------------------------------------


def test_counts_are_used_up_and_delays_add_to_failures() -> None:
    faults = AwsFaults()
    faults.add("sts", "slow", seconds=1.5)
    faults.add("sts", "slow", seconds=0.5, count=1)
    faults.add("sts", "throttled", count=2)
    assert faults.take("imds", "token") == Trouble()
    assert faults.take("sts", "AssumeRole") == Trouble(2.0, "throttled")
    assert faults.take("sts", "AssumeRole") == Trouble(1.5, "throttled")
    assert faults.take("sts", "AssumeRole") == Trouble(1.5, None)
    assert [fault.kind for fault in faults.standing()] == ["slow"]


def test_the_first_failure_wins_and_the_next_waits_its_turn() -> None:
    faults = AwsFaults()
    faults.add("sts", "unavailable", count=1)
    faults.add("sts", "throttled", count=1)
    assert [faults.take("sts").kind for _ in range(3)] == ["unavailable", "throttled", None]


def test_faults_of_one_operation_and_clearing() -> None:
    faults = AwsFaults()
    number = faults.add("sts", "reset", operation="AssumeRole")
    other = faults.add("ecs", "not_found")
    assert faults.take("sts", "GetCallerIdentity").kind is None
    assert faults.take("sts", "AssumeRole").kind == "reset"
    assert faults.clear(number) == 1
    assert faults.clear(number) == 0
    assert [fault.number for fault in faults.standing()] == [other]
    assert faults.clear(target="ecs") == 1


@pytest.mark.parametrize(
    ("target", "kind", "more"),
    [
        ("s3", "slow", {"seconds": 1}),
        ("sts", "sleepy", {}),
        ("imds", "throttled", {}),
        ("identity", "reset", {}),
        ("sts", "slow", {}),
        ("sts", "reset", {"seconds": 1}),
        ("sts", "slow", {"seconds": -1}),
        ("sts", "reset", {"count": 0}),
    ],
)
def test_faults_that_make_no_sense(target: str, kind: str, more: dict[str, Any]) -> None:
    with pytest.raises(UnknownFaultError):
        AwsFaults().add(target, kind, **more)


def test_a_count_is_exact_under_concurrency() -> None:
    faults = AwsFaults()
    faults.add("sts", "throttled", count=500)
    taken: list[Trouble] = []
    threads = [threading.Thread(target=lambda: taken.extend(faults.take("sts") for _ in range(200))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(trouble.kind == "throttled" for trouble in taken) == 500


# --- on the wire --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("throttled", "Throttling", 400),
        ("internal_error", "InternalFailure", 500),
        ("unavailable", "ServiceUnavailable", 503),
        ("idp_communication_error", "IDPCommunicationError", 400),
        ("expired_token", "ExpiredTokenException", 400),
        ("invalid_token", "InvalidIdentityToken", 400),
        ("access_denied", "AccessDenied", 403),
        ("not_found", "InvalidAction", 404),
    ],
)
def test_sts_fails_once_as_told(box: AwsBox, kind: str, code: str, status: int) -> None:
    token = box.token("eks")
    box.control("fault", target="sts", kind=kind, count=1)
    with pytest.raises(ClientError) as caught:
        box.exchange(token)
    response = caught.value.response
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    assert box.exchange(token)["Credentials"]
    stats = box.control("stats")
    assert stats["calls"] == {"sts:AssumeRoleWithWebIdentity": 2}
    assert stats["errors"] == {"sts:AssumeRoleWithWebIdentity": {code: 1}}


@pytest.mark.parametrize(
    ("kind", "code"), [("expired_token", "ExpiredToken"), ("invalid_token", "InvalidClientTokenId")]
)
def test_the_same_faults_on_signed_operations(box: AwsBox, kind: str, code: str) -> None:
    user = box.directory.add_user("ann")
    box.control("fault", target="sts", kind=kind, operation="GetCallerIdentity", count=1)
    with pytest.raises(ClientError, match=code):
        box.sts(user).get_caller_identity()
    assert box.sts(user).get_caller_identity()["Account"]


def test_resets_garbage_and_truncation(box: AwsBox) -> None:
    path = f"{box.sts_url}/?Action=GetCallerIdentity&Version=2011-06-15"
    box.control("fault", target="sts", kind="reset", count=1)
    with pytest.raises(ConnectionResetError):
        call(path)
    box.control("fault", target="sts", kind="garbage", count=1)
    with pytest.raises(http.client.BadStatusLine):
        call(path)
    box.control("fault", target="sts", kind="truncated", count=1)
    with pytest.raises(http.client.IncompleteRead):
        call(path)
    assert call(path).status == 403
    assert box.control("stats")["errors"]["sts:GetCallerIdentity"] == {
        "reset": 1,
        "garbage": 1,
        "truncated": 1,
        "MissingAuthenticationToken": 1,
    }


def test_a_hanging_request_holds_up_nobody_else_and_ends_with_its_client(box: AwsBox) -> None:
    host, port = box.sts_url.removeprefix("http://").split(":")
    box.control("fault", target="sts", kind="hang", count=1)
    connection = http.client.HTTPConnection(host, int(port), timeout=0.3)
    connection.request("GET", "/?Action=GetCallerIdentity&Version=2011-06-15")
    with pytest.raises(TimeoutError):
        connection.getresponse()
    assert box.exchange(box.token("eks"))["Credentials"]
    connection.close()


def test_slow_requests_run_side_by_side(box: AwsBox) -> None:
    """Eight slow requests are all in flight at once, and the peak says so."""
    box.control("fault", target="sts", kind="slow", seconds=3.0)
    token = box.token("eks")
    threads = [threading.Thread(target=lambda: box.exchange(token)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = box.control("stats")
    assert stats["peak"]["sts:AssumeRoleWithWebIdentity"] == 8
    assert stats["calls"]["sts:AssumeRoleWithWebIdentity"] == 8
    assert stats["in_flight"] == {}


def test_an_identity_provider_that_sts_cannot_reach(box: AwsBox) -> None:
    token = box.token("eks")
    box.control("fault", target="oidc", kind="unavailable", operation="jwks", count=1)
    with pytest.raises(ClientError, match="IDPCommunicationError"):
        box.exchange(token)
    box.control("fault", target="oidc", kind="not_found", count=1)
    with pytest.raises(ClientError, match="Couldn't retrieve verification key"):
        box.exchange(token)
    assert box.exchange(token)["Credentials"]


def test_identity_tokens_that_are_born_expired(box: AwsBox) -> None:
    box.control("fault", target="identity", kind="expired_token", operation="eks", count=1)
    assert box.exchange_error(box.token("eks")) == "ExpiredTokenException"
    assert box.exchange(box.token("eks"))["Credentials"]


@pytest.mark.parametrize(
    ("target", "path", "method", "headers", "status"),
    [
        ("imds", "/latest/api/token", "PUT", {"X-aws-ec2-metadata-token-ttl-seconds": "60"}, 200),
        ("ecs", "/v2/credentials/x", "GET", {}, 404),
        ("pod_identity", "/v1/credentials", "GET", {}, 400),
        ("github_actions", "/github/token", "GET", {}, 401),
        ("gcp", "/computeMetadata/v1/x", "GET", {}, 403),
        ("azure", "/metadata/identity/oauth2/token", "GET", {}, 400),
        ("vercel", "/v1/projects/p/token", "POST", {}, 403),
        ("buildkite", "/buildkite/x", "POST", {}, 404),
        ("oidc", "/oidc/x", "GET", {}, 404),
    ],
)
def test_every_endpoint_can_fail(
    box: AwsBox, target: str, path: str, method: str, headers: dict[str, str], status: int
) -> None:
    url = box.platform_url + path
    for kind, expected in (("not_found", 404), ("internal_error", 500), ("unavailable", 503)):
        box.control("fault", target=target, kind=kind, count=1)
        assert call(url, method=method, headers=headers).status == expected
    box.control("fault", target=target, kind="reset", count=1)
    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
        call(url, method=method, headers=headers)
    box.control("fault", target=target, kind="slow", seconds=0.01, count=1)
    assert call(url, method=method, headers=headers).status == status
    assert box.control("faults") == {"faults": []}


# --- the control operations ---------------------------------------------------------------------------


def test_operations_are_the_documented_ones() -> None:
    assert set(OPERATIONS) == {
        "fault",
        "clear_faults",
        "faults",
        "stats",
        "reset_stats",
        "sessions",
        "issue_identity_token",
        "rotate_keys",
        "renew_identity_files",
        "add_provider",
        "remove_provider",
        "platforms",
        "environment",
        "trust",
        "add_managed_policy",
        "session_lifetime",
        "disable_region",
        "enable_region",
        "disable_key",
        "enable_key",
        "expire_credentials",
        "revoke_credentials",
        "rotate_machine_credentials",
    }
    document = (Path(__file__).parents[2] / "docs" / "sandbox-aws.md").read_text()
    assert not [name for name in (*OPERATIONS, *KINDS, *TARGETS) if f"`{name}`" not in document]


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("perform", {"operation": "stats", "arguments": {}}),
        ("_services", {}),
        ("__init__", {}),
        ("nothing", {}),
        ("fault", {"target": "sts"}),
        ("fault", {"target": "sts", "kind": "nope"}),
        ("stats", {"unknown": 1}),
        ("environment", {"platform": "nowhere", "role": "app"}),
        ("environment", {"platform": "eks", "role": "absent"}),
        ("issue_identity_token", {"platform": "nowhere"}),
        ("rotate_keys", {"platform": "eks", "algorithm": "HS256"}),
        ("add_managed_policy", {"arn": "a", "document": "{"}),
        ("session_lifetime", {"seconds": 0}),
    ],
)
def test_control_refuses_what_it_cannot_do(box: AwsBox, operation: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ControlError):
        box.control(operation, **arguments)


def test_trust_as_data(box: AwsBox) -> None:
    assert box.control("trust", platform="vercel") == {
        "issuer": "https://oidc.vercel.com/acme",
        "audience": "https://vercel.com/acme",
        "subject": "owner:acme:project:shop:environment:production",
    }


def test_stats_count_what_failed_by_exception() -> None:
    stats = AwsStats()
    with pytest.raises(asyncio.CancelledError), stats.call("sts", "x"):
        raise asyncio.CancelledError
    assert stats.snapshot()["errors"] == {"sts:x": {"CancelledError": 1}}
    assert stats.snapshot()["in_flight"] == {}


# --- what stays ------------------------------------------------------------------------------------------


def test_no_secret_in_any_log_and_nothing_left_on_disk(caplog: pytest.LogCaptureFixture) -> None:
    secrets: list[str] = []
    with caplog.at_level(logging.DEBUG, logger="pgiam"), AwsBox() as box:
        box.directory.add_role("app", trust=[box.services.trust(name) for name in ("eks", "github_actions")])
        folder = Path(box.common["AWS_CONFIG_FILE"]).parent
        assert folder.stat().st_mode & 0o777 == 0o700
        for platform in box.control("platforms")["platforms"]:
            environment = box.control("environment", platform=platform, role="app")["environment"]
            secrets += [value for name, value in environment.items() if "TOKEN" in name or "SECRET" in name]
        for name in ("eks", "github_actions", "gitlab"):
            token = box.token(name)
            secrets.append(token)
            try:
                credentials = box.exchange(token)["Credentials"]
            except ClientError:
                continue
            secrets += [credentials["SecretAccessKey"], credentials["SessionToken"]]
        call(f"{box.platform_url}/github/token", headers={"Authorization": f"Bearer {secrets[0]}"})
        call(f"{box.sts_url}/", method="POST", body=b"WebIdentityToken=" + secrets[-1].encode())
        text = caplog.text + repr(box.services.sts.sessions()) + repr(box.services.sts.providers)
        urls = [box.sts_url, box.platform_url]
    assert len(secrets) > 20
    assert "sts AssumeRoleWithWebIdentity granted" in caplog.text
    assert "AccessDenied" in caplog.text
    assert not [
        secret for secret in secrets if len(secret) > 15 and not secret.startswith(("/", "http")) and secret in text
    ]
    assert not folder.exists()
    for url in urls:
        with pytest.raises(ConnectionRefusedError):
            call(url)
