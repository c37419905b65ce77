"""AssumeRole and GetCallerIdentity: who may call, with which signature, and what comes of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, SSLError

from aws_box import REGION, AwsBox, call
from pgiam.sandbox.certificates import Authority
from pgiam.sandbox.http import Request
from pgiam.sandbox.iam import Credential, TrustRule
from pgiam.sandbox.sts import region_of
from pgiam.sandbox.sts_auth import authenticate
from pgiam.sandbox.sts_protocol import StsError

BODY = b"Action=GetCallerIdentity&Version=2011-06-15"
TYPE = "application/x-www-form-urlencoded; charset=utf-8"


@pytest.fixture(scope="module")
def shared() -> Iterator[AwsBox]:
    with AwsBox() as box:
        yield box


@pytest.fixture
def box(shared: AwsBox) -> AwsBox:
    shared.clock.offset = 0.0
    shared.control("clear_faults")
    shared.control("session_lifetime", seconds=None)
    return shared


@pytest.fixture
def user(box: AwsBox) -> Credential:
    return box.directory.add_user("ann")


def refusal(action: Callable[[], object]) -> tuple[str, str, int]:
    with pytest.raises(ClientError) as caught:
        action()
    response = caught.value.response
    return response["Error"]["Code"], response["Error"]["Message"], response["ResponseMetadata"]["HTTPStatusCode"]


def signed(box: AwsBox, credential: Credential, *, service: str = "sts", region: str = REGION) -> dict[str, str]:
    """The headers that botocore's own signer makes for GetCallerIdentity."""
    keys = Credentials(credential.access_key, credential.secret_key, credential.session_token)
    request = AWSRequest("POST", f"{box.sts_url}/", {"Content-Type": TYPE}, BODY)
    SigV4Auth(keys, service, region).add_auth(request)
    return {**dict(request.headers.items()), "Host": urlsplit(box.sts_url).netloc}


def send(box: AwsBox, headers: dict[str, str], body: bytes = BODY) -> tuple[int, str, str]:
    answer = call(f"{box.sts_url}/", method="POST", headers=headers, body=body)
    code = re.search(rb"<Code>(.*)</Code>", answer.body)
    message = re.search(rb"<Message>(.*)</Message>", answer.body)
    return answer.status, code[1].decode() if code else "", message[1].decode() if message else ""


def test_get_caller_identity_of_a_user_and_of_a_session(box: AwsBox, user: Credential) -> None:
    answer = box.sts(user).get_caller_identity()
    assert (answer["Account"], answer["Arn"]) == ("123456789012", "arn:aws:iam::123456789012:user/ann")
    assert re.fullmatch("AIDA[A-Z2-7]{17}", answer["UserId"])
    box.directory.add_role("r")
    session = box.directory.issue("r", "s", 900, box.clock.now())
    answer = box.sts(session).get_caller_identity()
    assert answer["Arn"] == "arn:aws:sts::123456789012:assumed-role/r/s"
    assert re.fullmatch("AROA[A-Z2-7]{17}:s", answer["UserId"])


def test_the_endpoint_over_https(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority("sandbox")
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(authority.pem())
    with AwsBox(tls=authority.server_context(["localhost"])) as secure:
        ann = secure.directory.add_user("ann")
        with pytest.raises(SSLError):
            secure.sts(ann, url=secure.services.secure_sts_url).get_caller_identity()
        monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
        assert secure.sts(ann, url=secure.services.secure_sts_url).get_caller_identity()["Arn"] == ann.principal


def test_get_is_as_good_as_post(box: AwsBox, user: Credential) -> None:
    url = f"{box.sts_url}/?Version=2011-06-15&Action=GetCallerIdentity"
    request = AWSRequest("GET", url)
    SigV4Auth(Credentials(user.access_key, user.secret_key), "sts", REGION).add_auth(request)
    assert call(url, headers=dict(request.headers.items())).status == 200


def changed(name: str, change: Callable[[str], str]) -> Callable[[dict[str, str]], dict[str, str]]:
    return lambda headers: {**headers, name: change(headers[name])}


def without(name: str) -> Callable[[dict[str, str]], dict[str, str]]:
    return lambda headers: {key: value for key, value in headers.items() if key != name}


def plus(name: str, value: str) -> Callable[[dict[str, str]], dict[str, str]]:
    return lambda headers: {**headers, name: value}


MISMATCH = "The request signature we calculated does not match the signature you provided."


@pytest.mark.parametrize(
    ("change", "status", "code", "message"),
    [
        (without("Authorization"), 403, "MissingAuthenticationToken", "Request is missing Authentication Token"),
        (plus("Authorization", "Bearer x"), 400, "IncompleteSignature", "Unsupported AWS 'algorithm'"),
        (plus("Authorization", "AWS4-HMAC-SHA256"), 400, "IncompleteSignature", "requires 'Credential' parameter"),
        (
            changed("Authorization", lambda text: text.replace("/aws4_request", "")),
            400,
            "IncompleteSignature",
            "Credential must have exactly 5 slash-delimited elements",
        ),
        (
            changed("Authorization", lambda text: re.sub("Signature=.*", "", text)),
            400,
            "IncompleteSignature",
            "'Signature'",
        ),
        (
            changed("Authorization", lambda text: re.sub("AKIA[A-Z2-7]+", "AKIAAAAAAAAAAAAAAAAA", text)),
            403,
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
        ),
        (plus("X-Amz-Security-Token", "x"), 403, "InvalidClientTokenId", "is invalid."),
        (
            changed("Authorization", lambda text: text[:-1] + ("0" if text[-1] != "0" else "1")),
            403,
            "SignatureDoesNotMatch",
            MISMATCH,
        ),
        (changed("Authorization", lambda text: text[:-1]), 403, "SignatureDoesNotMatch", MISMATCH),
        (changed("Authorization", lambda text: text.replace("host;", "")), 403, "SignatureDoesNotMatch", "'Host'"),
        (
            changed("Authorization", lambda text: text.replace("content-type;host;", "host;content-type;")),
            403,
            "SignatureDoesNotMatch",
            "sorted",
        ),
        (
            changed("Authorization", lambda text: text.replace("x-amz-date", "x-amz-date;x-amz-more")),
            403,
            "SignatureDoesNotMatch",
            "not in the request",
        ),
        (plus("X-Amz-Target", "x"), 403, "SignatureDoesNotMatch", "were not signed"),
        (changed("Content-Type", lambda text: text.upper()), 403, "SignatureDoesNotMatch", MISMATCH),
        (plus("Host", "sts.amazonaws.com:1"), 403, "SignatureDoesNotMatch", MISMATCH),
        (without("X-Amz-Date"), 400, "IncompleteSignature", "X-Amz-Date"),
        (
            plus("X-Amz-Date", "20260101T000000Z"),
            403,
            "SignatureDoesNotMatch",
            "Date in Credential scope does not match",
        ),
        (plus("X-Amz-Date", "20269999T000000Z"), 400, "IncompleteSignature", "ISO-8601"),
        (plus("X-Amz-Date", "yesterday"), 400, "IncompleteSignature", "X-Amz-Date"),
    ],
)
def test_signatures_that_are_refused(
    box: AwsBox,
    user: Credential,
    change: Callable[[dict[str, str]], dict[str, str]],
    status: int,
    code: str,
    message: str,
) -> None:
    headers = signed(box, user)
    assert send(box, headers)[0] == 200
    got = send(box, change(headers))
    assert got[:2] == (status, code)
    assert message in got[2].replace("&#39;", "'")


def test_the_body_is_signed(box: AwsBox, user: Credential) -> None:
    assert send(box, signed(box, user), BODY + b"&x=1")[1] == "SignatureDoesNotMatch"


def test_scope_of_another_service_or_region(box: AwsBox, user: Credential) -> None:
    assert "correct service: 'sts'" in send(box, signed(box, user, service="rds-db"))[2].replace("&#39;", "'")
    assert "valid region" in send(box, signed(box, user, region="us-east-2"))[2]


def test_keys_that_are_unknown_wrong_disabled_or_expired(box: AwsBox, user: Credential) -> None:
    box.directory.add_role("r")
    session = box.directory.issue("r", "s", 900, box.clock.now())
    invalid = ("InvalidClientTokenId", "The security token included in the request is invalid.", 403)
    stranger = replace(user, access_key="AKIAIOSFODNN7EXAMPLE")
    assert refusal(box.sts(stranger).get_caller_identity) == invalid
    assert refusal(box.sts(replace(session, session_token="x")).get_caller_identity) == invalid
    assert refusal(box.sts(replace(session, session_token=None)).get_caller_identity) == invalid
    wrong = refusal(box.sts(replace(user, secret_key="x" * 40)).get_caller_identity)
    assert (wrong[0], wrong[2]) == ("SignatureDoesNotMatch", 403)
    box.control("disable_key", access_key=user.access_key)
    assert refusal(box.sts(user).get_caller_identity) == invalid
    box.control("enable_key", access_key=user.access_key)
    assert box.sts(user).get_caller_identity()["Account"] == "123456789012"
    assert box.control("expire_credentials")["expired"] >= 1
    expired = ("ExpiredToken", "The security token included in the request is expired", 403)
    assert refusal(box.sts(session).get_caller_identity) == expired
    assert box.control("revoke_credentials")["revoked"] >= 1
    assert refusal(box.sts(session).get_caller_identity) == invalid


@pytest.mark.parametrize(
    ("offset", "opening"), [(901.0, "Signature expired: "), (-901.0, "Signature not yet current: ")]
)
def test_a_quarter_of_an_hour_of_skew_is_too_much(box: AwsBox, user: Credential, offset: float, opening: str) -> None:
    box.clock.offset = offset * 0.95
    assert box.sts(user).get_caller_identity()["Account"] == "123456789012"
    box.clock.offset = offset + (5 if offset > 0 else -5)
    code, message, status = refusal(box.sts(user).get_caller_identity)
    assert (code, status) == ("SignatureDoesNotMatch", 403)
    assert message.startswith(opening)
    assert message.endswith(" 15 min.)")


def test_assume_role(box: AwsBox, user: Credential) -> None:
    arn = box.directory.role_arn("target")
    box.directory.add_role("target", trust=[TrustRule(principal=user.principal)], max_session=7200)
    answer = box.sts(user).assume_role(RoleArn=arn, RoleSessionName="n1", DurationSeconds=7200)
    assert answer["AssumedRoleUser"]["Arn"] == "arn:aws:sts::123456789012:assumed-role/target/n1"
    assert 7190 < answer["Credentials"]["Expiration"].timestamp() - box.clock.now() <= 7200
    assert "PackedPolicySize" not in answer
    code, message, _ = refusal(
        lambda: box.sts(user).assume_role(RoleArn=arn, RoleSessionName="n1", DurationSeconds=7201)
    )
    assert code == "ValidationError"
    assert message == "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."


@pytest.mark.parametrize(
    ("principal", "admitted"),
    [
        ("arn:aws:iam::123456789012:user/ann", True),
        ("arn:aws:iam::123456789012:root", True),
        ("123456789012", True),
        ("*", True),
        ("arn:aws:iam::123456789012:user/a*", True),
        ("arn:aws:iam::123456789012:user/bob", False),
        ("arn:aws:iam::210987654321:root", False),
        (None, False),
    ],
)
def test_trust_by_principal(box: AwsBox, user: Credential, principal: str | None, admitted: bool) -> None:
    arn = box.directory.role_arn("target")
    box.directory.add_role("target", trust=[TrustRule(principal=principal)] if principal else [])
    if admitted:
        box.sts(user).assume_role(RoleArn=arn, RoleSessionName="n1")
        return
    assert refusal(lambda: box.sts(user).assume_role(RoleArn=arn, RoleSessionName="n1")) == (
        "AccessDenied",
        f"User: {user.principal} is not authorized to perform: sts:AssumeRole on resource: {arn}",
        403,
    )


def test_external_id(box: AwsBox, user: Credential) -> None:
    arn = box.directory.role_arn("target")
    box.directory.add_role("target", trust=[TrustRule(principal="*")], external_id="customer-7")
    assume = box.sts(user).assume_role
    assert refusal(lambda: assume(RoleArn=arn, RoleSessionName="n1"))[0] == "AccessDenied"
    assert refusal(lambda: assume(RoleArn=arn, RoleSessionName="n1", ExternalId="customer-8"))[0] == "AccessDenied"
    assert assume(RoleArn=arn, RoleSessionName="n1", ExternalId="customer-7")["Credentials"]
    assert refusal(lambda: assume(RoleArn=arn, RoleSessionName="n1", ExternalId="a b"))[0] == "ValidationError"


def test_a_chain_of_roles_lasts_an_hour_at_most(box: AwsBox, user: Credential) -> None:
    box.directory.add_role("first", trust=[TrustRule(principal="*")], max_session=43200)
    first_arn = box.directory.role_arn("first")
    box.directory.add_role("second", trust=[TrustRule(principal=first_arn)], max_session=43200)
    arn = box.directory.role_arn("second")
    assert refusal(lambda: box.sts(user).assume_role(RoleArn=arn, RoleSessionName="n1"))[0] == "AccessDenied"
    answer = box.sts(user).assume_role(RoleArn=first_arn, RoleSessionName="n1", DurationSeconds=43200)
    first = box.directory.find(answer["Credentials"]["AccessKeyId"])
    assert first is not None
    code, message, _ = refusal(
        lambda: box.sts(first).assume_role(RoleArn=arn, RoleSessionName="n1", DurationSeconds=3601)
    )
    assert code == "ValidationError"
    assert message.endswith("exceeds the 1 hour session limit for roles assumed by role chaining.")
    assert box.sts(first).assume_role(RoleArn=arn, RoleSessionName="n1", DurationSeconds=3600)["Credentials"]


def test_tags_and_source_identity_go_along_the_chain(box: AwsBox, user: Credential) -> None:
    for name in ("first", "second"):
        box.directory.add_role(name, trust=[TrustRule(principal="*")])
    first = box.sts(user).assume_role(
        RoleArn=box.directory.role_arn("first"),
        RoleSessionName="n1",
        SourceIdentity="ann",
        Tags=[{"Key": "team", "Value": "db"}, {"Key": "stage", "Value": "prod"}],
        TransitiveTagKeys=["team"],
    )
    assert (first["SourceIdentity"], first["PackedPolicySize"]) == ("ann", 1)
    credential = box.directory.find(first["Credentials"]["AccessKeyId"])
    assert credential is not None
    second = box.sts(credential).assume_role(RoleArn=box.directory.role_arn("second"), RoleSessionName="n2")
    assert second["SourceIdentity"] == "ann"
    session = box.control("sessions")["sessions"][-1]
    assert (session["tags"], session["source_identity"]) == ({"team": "db"}, "ann")
    denied = refusal(
        lambda: box.sts(credential).assume_role(
            RoleArn=box.directory.role_arn("second"), RoleSessionName="n2", SourceIdentity="bob"
        )
    )
    assert denied[0] == "AccessDenied"
    assert "sts:SetSourceIdentity" in denied[1]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"Tags": [{"Key": "k", "Value": "v"}] * 2}, "InvalidParameterValue"),
        ({"Tags": [{"Key": f"k{i}", "Value": "v"} for i in range(51)]}, "ValidationError"),
        ({"Tags": [{"Key": "k", "Value": "v"}], "TransitiveTagKeys": ["other"]}, "ValidationError"),
        ({"SourceIdentity": "a b"}, "ValidationError"),
        ({"Policy": "{}"}, "MalformedPolicyDocument"),
        ({"Policy": "[]"}, "MalformedPolicyDocument"),
        ({"Tags": [{"Key": f"k{i}", "Value": "v" * 250} for i in range(20)]}, "PackedPolicyTooLarge"),
    ],
)
def test_assume_role_parameters_that_are_refused(
    box: AwsBox, user: Credential, more: dict[str, Any], code: str
) -> None:
    box.directory.add_role("target", trust=[TrustRule(principal="*")])
    arn = box.directory.role_arn("target")
    before = len(box.services.sts.sessions())
    assert refusal(lambda: box.sts(user).assume_role(RoleArn=arn, RoleSessionName="n1", **more))[0] == code
    assert len(box.services.sts.sessions()) == before


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "MissingAction"),
        (b"Action=DeleteEverything&Version=2011-06-15", 400, "InvalidAction"),
        (b"Action=GetCallerIdentity", 400, "InvalidAction"),
        (b"Action=GetCallerIdentity&Version=2010-05-08", 400, "InvalidAction"),
        (b"Action=GetCallerIdentity&Action=AssumeRole&Version=2011-06-15", 400, "MalformedInput"),
        (b"Action=\xff", 400, "MalformedInput"),
        (b"Action=GetCallerIdentity%FF&Version=2011-06-15", 400, "MalformedInput"),
        (b"\x00\x01\x02", 400, "MissingAction"),
        (b"Action=<script>&Version=2011-06-15", 400, "InvalidAction"),
        (b"Action=%00%01&Version=2011-06-15", 400, "InvalidAction"),
        (json.dumps({"Action": "GetCallerIdentity"}).encode(), 400, "MissingAction"),
    ],
)
def test_requests_that_are_no_operation(box: AwsBox, body: bytes, status: int, code: str) -> None:
    assert send(box, {"Content-Type": TYPE}, body)[:2] == (status, code)


def test_other_methods_and_paths(box: AwsBox, user: Credential) -> None:
    assert call(f"{box.sts_url}/", method="DELETE").status == 405
    assert refusal(box.sts(user, url=f"{box.sts_url}/elsewhere").get_caller_identity)[2] == 404


def test_region_by_host_name() -> None:
    def region(host: str, path: str = "/") -> str:
        return region_of(Request("POST", path, {}, {"host": host}, b""), "eu-west-1")

    assert region("sts.us-gov-west-1.amazonaws.com") == "us-gov-west-1"
    assert region("sts-fips.us-east-2.amazonaws.com:443") == "us-east-2"
    assert region("sts.cn-north-1.amazonaws.com.cn") == "cn-north-1"
    assert region("sts.eu-central-1.api.aws") == "eu-central-1"
    assert region("sts.amazonaws.com") == "us-east-1"
    assert region("127.0.0.1:8080") == "eu-west-1"
    assert region("127.0.0.1:8080", "/sts/sa-east-1/") == "sa-east-1"
    with pytest.raises(StsError):
        region("127.0.0.1:8080", "/sts/nowhere/")


def test_nothing_of_the_signature_is_told_back(box: AwsBox, user: Credential) -> None:
    headers = signed(box, user)
    with pytest.raises(StsError) as caught:
        authenticate(
            Request("POST", "/", {}, {"host": "h", "authorization": headers["Authorization"] + "0"}, BODY),
            box.directory,
            REGION,
            box.clock.now(),
        )
    assert headers["Authorization"][-20:] not in str(caught.value)
