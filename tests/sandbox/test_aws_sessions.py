"""What AssumeRoleWithWebIdentity makes of its other parameters: sessions, their length, limits and tags."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from aws_box import REGION, AwsBox, form
from pgiam.sandbox.iam import CONNECT


@pytest.fixture(scope="module")
def shared() -> Iterator[AwsBox]:
    with AwsBox() as box:
        yield box


@pytest.fixture
def box(shared: AwsBox) -> AwsBox:
    shared.clock.offset = 0.0
    shared.control("session_lifetime", seconds=None)
    trust = [shared.services.trust(platform) for platform in ("eks", "github_actions")]
    shared.directory.add_role("app", trust=trust, db_users=["app"])
    return shared


def refusal(box: AwsBox, token: str, **more: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        box.exchange(token, **more)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"RoleArn": "short"},
            "Value 'short' at 'roleArn' failed to satisfy constraint: Member must have length greater",
        ),
        ({"RoleArn": "x" * 2049}, "Member must have length less than or equal to 2048"),
        ({"RoleArn": "arn:aws:iam::123456789012:user/somebody"}, "arn:aws:iam::123456789012:user/somebody is invalid"),
        (
            {"RoleSessionName": "a"},
            "at 'roleSessionName' failed to satisfy constraint: Member must have length greater",
        ),
        ({"RoleSessionName": "a" * 65}, "Member must have length less than or equal to 64"),
        ({"RoleSessionName": "a b"}, r"Member must satisfy regular expression pattern: [\w+=,.@-]*"),
        ({"RoleSessionName": "caf\u00e9"}, r"Member must satisfy regular expression pattern: [\w+=,.@-]*"),
        ({"RoleSessionName": ""}, "1 validation error detected"),
        ({"WebIdentityToken": "abc"}, "at 'webIdentityToken'"),
        ({"WebIdentityToken": "a" * 20001}, "Value '***' at 'webIdentityToken'"),
        (
            {"DurationSeconds": "899"},
            "Value '899' at 'durationSeconds' failed to satisfy constraint: Member must have value",
        ),
        ({"DurationSeconds": "43201"}, "Member must have value less than or equal to 43200"),
        (
            {"DurationSeconds": "3601"},
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ),
        ({"Policy": "x" * 2049}, "at 'policy' failed to satisfy constraint: Member must have length less than"),
        ({"RoleArn": "short", "RoleSessionName": "a"}, "2 validation errors detected: "),
    ],
)
def test_parameters_out_of_range(box: AwsBox, parameters: dict[str, str], message: str) -> None:
    given = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": box.directory.role_arn("app"),
        "RoleSessionName": "test",
        "WebIdentityToken": box.token("eks"),
        **parameters,
    }
    answer = form(box.sts_url, given)
    assert answer.status == 400
    assert b"<Code>ValidationError</Code>" in answer.body
    assert message in answer.body.decode().replace("&#39;", "'")


@pytest.mark.parametrize("missing", ["RoleArn", "RoleSessionName", "WebIdentityToken"])
def test_required_parameters(box: AwsBox, missing: str) -> None:
    given = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": box.directory.role_arn("app"),
        "RoleSessionName": "test",
        "WebIdentityToken": box.token("eks"),
    }
    del given[missing]
    member = missing[0].lower() + missing[1:]
    assert f"Value null at '{member}'" in form(box.sts_url, given).body.decode()


def test_the_longest_session_that_the_role_allows(box: AwsBox) -> None:
    box.directory.add_role("long", trust=[box.services.trust("eks")], max_session=43200)
    before = box.clock.now()
    answer = box.exchange(box.token("eks"), "long", DurationSeconds=43200)
    assert 43190 < answer["Credentials"]["Expiration"].timestamp() - before <= 43201


def test_sessions_of_seconds_for_compressed_time(box: AwsBox) -> None:
    box.control("session_lifetime", seconds=2.5)
    before = box.clock.now()
    credentials = box.exchange(box.token("eks"), DurationSeconds=900)["Credentials"]
    assert 2.4 < credentials["Expiration"].timestamp() - before < 12.5
    credential = box.directory.find(credentials["AccessKeyId"])
    assert credential is not None
    # What the client is told is what is enforced, to the millisecond.
    assert credential.expires_at is not None
    assert abs(credential.expires_at - credentials["Expiration"].timestamp()) < 0.001


def test_times_follow_the_sandbox_clock(box: AwsBox) -> None:
    token = box.token("github_actions")
    box.clock.offset = 301.0
    code, message = refusal(box, token)
    assert code == "ExpiredTokenException"
    now, expiry = (int(number) for number in re.findall(r"date/time (\d+)", message))
    assert now > expiry
    box.clock.offset = -600.0
    assert refusal(box, token)[1].startswith("Token not yet valid")
    answer = box.exchange(box.token("github_actions"))
    date = answer["ResponseMetadata"]["HTTPHeaders"]["date"]
    assert abs(parsedate_to_datetime(date).timestamp() - box.clock.now()) < 30


def test_session_tags_and_source_identity_come_from_the_token(box: AwsBox) -> None:
    tags = {"principal_tags": {"team": ["db"], "stage": "prod"}, "transitive_tag_keys": ["team"]}
    claims = {"https://aws.amazon.com/tags": tags, "https://aws.amazon.com/source_identity": "octocat"}
    answer = box.exchange(box.token("eks", claims=claims))
    assert answer["SourceIdentity"] == "octocat"
    assert answer["PackedPolicySize"] > 0
    session = box.control("sessions")["sessions"][-1]
    assert session["tags"] == {"team": "db", "stage": "prod"}
    assert session["transitive_tags"] == ["team"]
    assert session["access_key"] == answer["Credentials"]["AccessKeyId"]


def test_a_session_policy_narrows_what_the_database_lets_in(box: AwsBox) -> None:
    box.directory.add_role("app", trust=[box.services.trust("eks")], db_users=["app", "report"])
    statement = {"Effect": "Allow", "Action": "rds-db:connect", "Resource": "arn:aws:rds-db:*:*:dbuser:*/report"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})

    def users(**more: Any) -> list[str]:
        answer = box.exchange(box.token("eks"), **more)
        credential = box.directory.find(answer["Credentials"]["AccessKeyId"])
        assert credential is not None
        return [user for user in ("app", "report", "admin") if box.directory.may_connect(credential, user, CONNECT)]

    arn = "arn:aws:iam::123456789012:policy/report-only"
    assert users() == ["app", "report"]
    assert users(Policy=policy) == ["report"]
    assert refusal(box, box.token("eks"), PolicyArns=[{"arn": arn}])[0] == "MalformedPolicyDocument"
    box.control("add_managed_policy", arn=arn, document=policy)
    assert users(PolicyArns=[{"arn": arn}]) == ["report"]
    assert refusal(box, box.token("eks"), Policy="{")[0] == "MalformedPolicyDocument"
    # A grant of the policy that the role does not have adds nothing.
    wide = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})
    assert users(Policy=wide) == ["app", "report"]


def test_minimum_session_token_size(box: AwsBox) -> None:
    given = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": box.directory.role_arn("app"),
        "RoleSessionName": "test",
        "WebIdentityToken": box.token("eks"),
        "MinimumSessionTokenSize": "2048",
    }
    answer = form(box.sts_url, given)
    token = re.search(rb"<SessionToken>(.*)</SessionToken>", answer.body)
    assert token is not None
    assert len(token[1]) >= 2048


def test_regions_by_path(box: AwsBox) -> None:
    caller = box.directory.issue("app", "s", 900, box.clock.now())
    elsewhere = f"{box.sts_url}/sts/ap-southeast-2"
    assert box.sts(caller, url=elsewhere, region="ap-southeast-2").get_caller_identity()["UserId"] == caller.user_id
    with pytest.raises(ClientError, match="valid region"):
        box.sts(caller, url=elsewhere, region=REGION).get_caller_identity()
    box.control("disable_region", region="ap-southeast-2")
    try:
        with pytest.raises(ClientError, match="RegionDisabledException"):
            box.sts(caller, url=elsewhere, region="ap-southeast-2").get_caller_identity()
    finally:
        box.control("enable_region", region="ap-southeast-2")


def test_regions_by_host_name_through_a_proxy(box: AwsBox, monkeypatch: pytest.MonkeyPatch) -> None:
    caller = box.directory.issue("app", "s", 900, box.clock.now())
    monkeypatch.setenv("HTTP_PROXY", box.sts_url)
    elsewhere = "http://sts.ap-south-1.amazonaws.com"
    assert box.sts(caller, url=elsewhere, region="ap-south-1").get_caller_identity()["UserId"] == caller.user_id
    with pytest.raises(ClientError, match="valid region"):
        box.sts(caller, url=elsewhere, region=REGION).get_caller_identity()
