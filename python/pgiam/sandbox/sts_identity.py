"""Whether an identity token is genuine: what STS checks before it looks at any role. Pure.

Texts that were seen from AWS are used as they are, double spaces included; the others are worded alike.
https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pgiam.sandbox import jwt
from pgiam.sandbox.sts_protocol import StsError

GOOGLE: Final = "https://accounts.google.com"
LEEWAY: Final = 300  # seconds that nbf and iat may lie ahead; exp gets none
MAX_SUBJECT: Final = 255
TAGS_CLAIM: Final = "https://aws.amazon.com/tags"
SOURCE_IDENTITY_CLAIM: Final = "https://aws.amazon.com/source_identity"
NO_KEY: Final = (
    "Couldn't retrieve verification key from your identity provider,  "
    "please reference AssumeRoleWithWebIdentity documentation for requirements"
)


@dataclass
class Provider:
    """An IAM OIDC identity provider. `audiences` of None admits all, as IAM does for Google."""

    issuer: str
    audiences: set[str] | None
    jwks: Callable[[], Mapping[str, Any]] = field(repr=False)
    name: str = ""  # as the answer's Provider element has it: an ARN, or Google's host


@dataclass(frozen=True)
class Identity:
    """The bearer of a genuine token."""

    issuer: str
    subject: str
    audiences: tuple[str, ...]  # what the trust policy's `:aud` sees: azp if there is one
    original_audiences: tuple[str, ...]  # `:oaud`
    provider: str
    tags: Mapping[str, str] = field(default_factory=dict)
    transitive_tags: tuple[str, ...] = ()
    source_identity: str | None = None
    expires_at: int = 0

    @property
    def audience(self) -> str:
        return self.audiences[0]


def verify(token: str, providers: Iterable[Provider], now: float) -> Identity:
    """The identity that a token proves at `now`; StsError if it proves none."""
    try:
        parsed = jwt.parse(token)
    except jwt.MalformedJwtError:
        text = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
        raise _invalid(text) from None
    issuer = _text(parsed.claims, "iss")
    provider = next((each for each in providers if _same(each.issuer, issuer)), None)
    if provider is None:
        raise _invalid(f"No OpenIDConnect provider found in your account for {issuer}")
    try:
        jwt.verify(parsed, provider.jwks())
    except jwt.UnknownKeyError:
        raise _invalid(NO_KEY) from None
    except jwt.SignatureError as error:
        raise _invalid(f"The ID Token provided could not be verified: {error}") from None
    expires = _check_times(parsed.claims, int(now))
    subject = _text(parsed.claims, "sub")
    if len(subject) > MAX_SUBJECT:
        raise _invalid(f"The subject of the ID Token is longer than {MAX_SUBJECT} characters")
    audiences, original = _audiences(parsed.claims, provider)
    tags, transitive = _tags(parsed.claims.get(TAGS_CLAIM))
    source_identity = parsed.claims.get(SOURCE_IDENTITY_CLAIM)
    if source_identity is not None and not _is_source_identity(source_identity):
        raise _invalid("The source_identity claim is not valid")
    return Identity(issuer, subject, audiences, original, provider.name, tags, transitive, source_identity, expires)


def _invalid(message: str) -> StsError:
    return StsError("InvalidIdentityToken", message)


def _same(left: str, right: str) -> bool:
    return left.removesuffix("/") == right.removesuffix("/")


def _text(claims: jwt.Claims, name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise _invalid(f"Missing a required claim: {name}")
    return value


def _check_times(claims: jwt.Claims, now: int) -> int:
    """`exp` and `iat` are required, and all three are whole seconds: STS refuses fractions."""
    times: dict[str, int] = {}
    for name in ("exp", "iat", "nbf"):
        value = claims.get(name)
        if value is None:
            if name == "nbf":
                continue
            raise _invalid(f"Missing a required claim: {name}")
        if not isinstance(value, int) or isinstance(value, bool):
            raise _invalid(f"The claim {name} must be an integer")
        times[name] = value
    if times["exp"] <= now:
        raise StsError(
            "ExpiredTokenException",
            f"Token expired: current date/time {now} must be before the expiration date/time {times['exp']}",
        )
    for name in ("iat", "nbf"):
        if times.get(name, 0) > now + LEEWAY:
            raise _invalid(f"Token not yet valid: {name} {times[name]} is after the current date/time {now}")
    return times["exp"]


def _audiences(claims: jwt.Claims, provider: Provider) -> tuple[tuple[str, ...], tuple[str, ...]]:
    value = claims.get("aud")
    audiences = [value] if isinstance(value, str) else value
    if not isinstance(audiences, list) or not audiences or not all(isinstance(each, str) for each in audiences):
        raise _invalid("Missing a required claim: aud")
    party = claims.get("azp")
    if party is not None and not isinstance(party, str):
        raise _invalid("The claim azp must be a string")
    candidates = audiences if party is None else [party]
    admitted = tuple(each for each in candidates if provider.audiences is None or each in provider.audiences)
    if not admitted:
        raise _invalid("Incorrect token audience")
    return admitted, tuple(audiences)


def _tags(value: Any) -> tuple[dict[str, str], tuple[str, ...]]:
    """Session tags in the token: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html"""
    if value is None:
        return {}, ()
    principal = value.get("principal_tags", {}) if isinstance(value, dict) else None
    transitive = value.get("transitive_tag_keys", []) if isinstance(value, dict) else None
    if not isinstance(principal, dict) or not isinstance(transitive, list):
        raise _invalid("The tags claim is not valid")
    tags: dict[str, str] = {}
    for key, values in principal.items():
        one = values[0] if isinstance(values, list) and len(values) == 1 else values
        if not isinstance(one, str):
            raise _invalid("The tags claim is not valid")
        tags[key] = one
    return tags, tuple(key for key in transitive if key in tags)


def _is_source_identity(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[\w+=,.@-]{2,64}", value, re.ASCII) is not None
