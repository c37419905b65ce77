"""AssumeRoleWithWebIdentity against boto3: what is exchanged, and what is refused with which words."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import jwt as pyjwt
import pytest
from botocore.exceptions import ClientError

from aws_box import AwsBox, call
from pgiam.sandbox import jwt
from pgiam.sandbox.claim_shapes import SHAPES
from pgiam.sandbox.iam import TrustRule

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
