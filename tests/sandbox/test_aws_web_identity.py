"""AssumeRoleWithWebIdentity against boto3: what is exchanged, and what is refused with which words."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import jwt as pyjwt
import pytest
from botocore.exceptions import ClientError

from aws_box import REGION, AwsBox, call, form
from pgiam.sandbox import jwt
from pgiam.sandbox.claim_shapes import SHAPES
from pgiam.sandbox.iam import CONNECT, TrustRule

PLATFORMS = [platform for platform in SHAPES if platform != "eks_pod_identity"]


@pytest.fixture(scope="module")
def shared() -> Iterator[AwsBox]:
    with AwsBox() as box:
        yield box


@pytest.fixture
def box(shared: AwsBox) -> AwsBox:
    """A box as good as new: making keys takes longer than any test."""
    shared.clock.offset = 0.0
    shared.control("clear_faults")
    shared.control("reset_stats")
    shared.control("session_lifetime", seconds=None)
    shared.directory.add_role(
        "app", trust=[shared.services.trust(platform) for platform in PLATFORMS], db_users=["app"]
    )
    return shared


def refusal(box: AwsBox, token: str, **more: Any) -> tuple[str, str, int]:
    with pytest.raises(ClientError) as caught:
        box.exchange(token, **more)
    response = caught.value.response
    assert re.fullmatch(r"[0-9a-f-]{36}", response["ResponseMetadata"]["RequestId"])
    return response["Error"]["Code"], response["Error"]["Message"], response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_identity_token_of_every_platform_is_exchanged(box: AwsBox, platform: str) -> None:
    shape = SHAPES[platform]
    box.directory.add_role("one", trust=[box.services.trust(platform)])
    answer = box.exchange(box.token(platform), "one")
    credentials = answer["Credentials"]
    assert answer["SubjectFromWebIdentityToken"] == shape.subject
    assert answer["Audience"] == shape.trusted_audience
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{box.directory.account}:assumed-role/one/test"
    host = shape.issuer.removeprefix("https://").rstrip("/")
    arn = f"arn:aws:iam::{box.directory.account}:oidc-provider/{host}"
    assert answer["Provider"] == ("accounts.google.com" if platform == "gcp" else arn)
    credential = box.directory.find(credentials["AccessKeyId"])
    assert credential is not None
    assert (credential.secret_key, credential.session_token) == (
        credentials["SecretAccessKey"],
        credentials["SessionToken"],
    )
    assert credentials["Expiration"].timestamp() == credential.expires_at
    assert 3590 < (credential.expires_at or 0) - box.clock.now() <= 3600
    assert box.sts(credential).get_caller_identity()["Arn"] == answer["AssumedRoleUser"]["Arn"]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_pyjwt_verifies_what_we_mint_by_the_published_documents(box: AwsBox, platform: str) -> None:
    shape = SHAPES[platform]
    configuration = call(box.services.issuer.discovery_url(shape.issuer)).json()
    assert configuration["issuer"] == shape.issuer
    token = box.token(platform)
    key = pyjwt.PyJWKClient(configuration["jwks_uri"]).get_signing_key_from_jwt(token)
    claims = pyjwt.decode(
        token,
        key,
        algorithms=configuration["id_token_signing_alg_values_supported"],
        audience=shape.audience,
        issuer=shape.issuer,
        options={"require": ["exp", "iat", "sub"]},
    )
    assert claims["sub"] == shape.subject


def altered(part: int, change: Callable[[str], str]) -> Callable[[AwsBox], str]:
    def make(box: AwsBox) -> str:
        parts = box.token("github_actions").split(".")
        parts[part] = change(parts[part])
        return ".".join(parts)

    return make


def minted(**arguments: Any) -> Callable[[AwsBox], str]:
    return lambda box: box.token("github_actions", **arguments)


def resigned(header: dict[str, Any], *, sign: Callable[[bytes, AwsBox], bytes]) -> Callable[[AwsBox], str]:
    """The claims of a genuine token under another header and signature."""

    def make(box: AwsBox) -> str:
        genuine = box.token("github_actions").split(".")
        kid = json.loads(decoded(genuine[0]))["kid"]
        head = encoded(json.dumps({"kid": kid, **header}).encode())
        return f"{head}.{genuine[1]}.{encoded(sign(f'{head}.{genuine[1]}'.encode(), box))}"

    return make


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def public_key_as_secret(data: bytes, box: AwsBox) -> bytes:
    """The confusion of RS256's public key with an HS256 secret."""
    jwk = box.services.issuer.jwks(SHAPES["github_actions"].issuer)["keys"][0]
    return hmac.new(json.dumps(jwk).encode(), data, hashlib.sha256).digest()


def other_key(data: bytes, _: AwsBox) -> bytes:
    key = jwt.generate_key("RS256")
    return decoded(jwt.sign({"data": data.decode()}, key).split(".")[2])


NOT_A_JWT = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
NO_KEY = (
    "Couldn't retrieve verification key from your identity provider,  "
    "please reference AssumeRoleWithWebIdentity documentation for requirements"
)


@pytest.mark.parametrize(
    ("make", "code", "message"),
    [
        (lambda _: "opaque-token", "InvalidIdentityToken", NOT_A_JWT),
        (lambda _: "a.b.c", "InvalidIdentityToken", NOT_A_JWT),
        (lambda _: "....", "InvalidIdentityToken", NOT_A_JWT),
        (altered(0, lambda _: encoded(b"[]")), "InvalidIdentityToken", NOT_A_JWT),
        (altered(1, lambda _: encoded(b"[" * 9000)), "InvalidIdentityToken", NOT_A_JWT),
        (altered(2, lambda text: text + "!"), "InvalidIdentityToken", NOT_A_JWT),
        (altered(2, lambda text: text[:-4] + "AAAA"), "InvalidIdentityToken", "could not be verified"),
        (altered(1, lambda text: encoded(decoded(text).replace(b"acme", b"evil"))), "InvalidIdentityToken", "verified"),
        (resigned({"alg": "none"}, sign=lambda *_: b"x"), "InvalidIdentityToken", "algorithm"),
        (resigned({"alg": "HS256"}, sign=public_key_as_secret), "InvalidIdentityToken", "algorithm"),
        (resigned({"alg": "RS256"}, sign=other_key), "InvalidIdentityToken", "could not be verified"),
        (resigned({"alg": "RS256", "kid": "gone"}, sign=other_key), "InvalidIdentityToken", NO_KEY),
        (resigned({"alg": "RS256", "crit": ["b64"]}, sign=other_key), "InvalidIdentityToken", "extension"),
        (
            minted(issuer="https://evil.example"),
            "InvalidIdentityToken",
            "No OpenIDConnect provider found in your account",
        ),
        (minted(claims={"iss": None}), "InvalidIdentityToken", "Missing a required claim: iss"),
        (minted(claims={"sub": None}), "InvalidIdentityToken", "Missing a required claim: sub"),
        (minted(claims={"aud": None}), "InvalidIdentityToken", "Missing a required claim: aud"),
        (minted(claims={"exp": None}), "InvalidIdentityToken", "Missing a required claim: exp"),
        (minted(claims={"iat": None}), "InvalidIdentityToken", "Missing a required claim: iat"),
        (minted(claims={"iat": 1700000000.5}), "InvalidIdentityToken", "must be an integer"),
        (minted(claims={"exp": "4000000000"}), "InvalidIdentityToken", "must be an integer"),
        (minted(claims={"nbf": 4000000000}), "InvalidIdentityToken", "not yet valid"),
        (minted(claims={"iat": 4000000000}), "InvalidIdentityToken", "not yet valid"),
        (minted(subject="x" * 256), "InvalidIdentityToken", "longer than 255"),
        (minted(audience="https://github.com/acme"), "InvalidIdentityToken", "Incorrect token audience"),
        (minted(claims={"azp": "someone else"}), "InvalidIdentityToken", "Incorrect token audience"),
        (minted(claims={"https://aws.amazon.com/tags": "x"}), "InvalidIdentityToken", "tags claim"),
        (minted(lifetime=0), "ExpiredTokenException", "must be before the expiration date/time"),
        (minted(lifetime=-60), "ExpiredTokenException", "must be before the expiration date/time"),
    ],
)
def test_tokens_that_are_refused(box: AwsBox, make: Callable[[AwsBox], str], code: str, message: str) -> None:
    token = make(box)
    got_code, got_message, status = refusal(box, token)
    assert (got_code, status) == (code, 400)
    assert message in got_message
    assert not [part for part in token.split(".") if len(part) > 20 and part in got_message]


@pytest.mark.parametrize("position", range(0, 900, 37))
def test_no_byte_of_a_token_can_change(box: AwsBox, position: int) -> None:
    token = box.token("eks")
    at = position % len(token)
    replaced = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
    assert refusal(box, replaced)[0] == "InvalidIdentityToken"


@pytest.mark.parametrize(
    ("rule", "arguments"),
    [
        (TrustRule(issuer="https://token.actions.githubusercontent.com", audience="other"), {}),
        (TrustRule(issuer="https://gitlab.com"), {}),
        (TrustRule(issuer=SHAPES["github_actions"].issuer, subject="repo:acme/shop:environment:*"), {}),
        (TrustRule(issuer=SHAPES["github_actions"].issuer, subject="repo:acme/shop"), {}),
        (TrustRule(principal="*"), {}),
        (TrustRule(issuer=SHAPES["github_actions"].issuer, subject="REPO:*"), {}),
    ],
)
def test_a_role_that_does_not_trust_the_bearer(box: AwsBox, rule: TrustRule, arguments: dict[str, Any]) -> None:
    box.directory.add_role("app", trust=[rule])
    expected = ("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", 403)
    assert refusal(box, box.token("github_actions", **arguments)) == expected
    # A role that does not exist looks the same from outside.
    arn = box.directory.role_arn("absent")
    assert refusal(box, box.token("github_actions"), RoleArn=arn) == expected


def test_trust_by_subject_pattern(box: AwsBox) -> None:
    box.directory.add_role(
        "app", trust=[TrustRule(issuer=SHAPES["github_actions"].issuer, subject="repo:acme/*:ref:*")]
    )
    box.exchange(box.token("github_actions", subject="repo:acme/other:ref:refs/heads/x"))
    assert refusal(box, box.token("github_actions", subject="repo:evil/shop:ref:x"))[0] == "AccessDenied"


def test_google_names_its_audience_in_azp_and_the_tokens_own_in_oaud(box: AwsBox) -> None:
    token = box.token("gcp", audience="https://acme.example")
    party = SHAPES["gcp"].authorized_party
    accepted = [
        TrustRule(issuer="accounts.google.com", audience=party),
        TrustRule(issuer="https://accounts.google.com", audience=party, original_audience="https://acme.example"),
    ]
    refused = [
        TrustRule(issuer="accounts.google.com", audience="https://acme.example"),
        TrustRule(issuer="accounts.google.com", audience=party, original_audience="https://other.example"),
    ]
    for rule in accepted:
        box.directory.add_role("app", trust=[rule])
        assert box.exchange(token)["Provider"] == "accounts.google.com"
    for rule in refused:
        box.directory.add_role("app", trust=[rule])
        assert refusal(box, token)[0] == "AccessDenied"


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
    code, message, _ = refusal(box, token)
    assert code == "ExpiredTokenException"
    now, expiry = (int(number) for number in re.findall(r"date/time (\d+)", message))
    assert now > expiry
    box.clock.offset = -600.0
    assert refusal(box, token)[1].startswith("Token not yet valid")
    answer = box.exchange(box.token("github_actions"))
    date = answer["ResponseMetadata"]["HTTPHeaders"]["date"]
    assert abs(parsedate_to_datetime(date).timestamp() - box.clock.now()) < 30


@pytest.mark.parametrize("algorithm", jwt.ALGORITHMS)
def test_every_algorithm_that_sts_takes(box: AwsBox, algorithm: str) -> None:
    box.control("rotate_keys", platform="buildkite", algorithm=algorithm)
    token = box.token("buildkite")
    assert pyjwt.get_unverified_header(token)["alg"] == algorithm
    box.exchange(token)
    signature = token.rpartition(".")[2]
    assert refusal(box, token.replace(signature, signature[::-1]))[0] == "InvalidIdentityToken"


def test_key_rotation_keeps_withdraws_and_lags(box: AwsBox) -> None:
    before = box.token("circleci")
    box.control("rotate_keys", platform="circleci")
    box.exchange(before)
    box.exchange(box.token("circleci"))

    box.control("rotate_keys", platform="circleci", keep_old=False)
    assert refusal(box, before)[:2] == ("InvalidIdentityToken", NO_KEY)
    box.exchange(box.token("circleci"))

    box.control("rotate_keys", platform="circleci", publish=False)
    assert refusal(box, box.token("circleci"))[:2] == ("InvalidIdentityToken", NO_KEY)
    box.control("rotate_keys", platform="circleci")
    box.exchange(box.token("circleci"))


def test_a_provider_of_ones_own(box: AwsBox) -> None:
    key = jwt.generate_key("ES256", kid="mine")
    issuer = "https://id.acme.example"
    now = int(box.clock.now())
    token = jwt.sign({"iss": issuer, "aud": "a", "sub": "s", "iat": now, "exp": now + 60}, key)
    box.directory.add_role("own", trust=[TrustRule(issuer=issuer, audience="a", subject="s")])
    assert "No OpenIDConnect provider found" in refusal(box, token, RoleArn=box.directory.role_arn("own"))[1]
    box.control("add_provider", issuer=issuer, audiences=["b"], jwks={"keys": [key.jwk()]})
    assert refusal(box, token, RoleArn=box.directory.role_arn("own"))[1] == "Incorrect token audience"
    box.control("add_provider", issuer=issuer, audiences=["a", "b"], jwks={"keys": [key.jwk()]})
    assert box.exchange(token, "own")["Provider"].endswith(":oidc-provider/id.acme.example")
    assert box.control("remove_provider", issuer=issuer) == {"removed": True}
    assert "No OpenIDConnect provider found" in refusal(box, token, RoleArn=box.directory.role_arn("own"))[1]


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
