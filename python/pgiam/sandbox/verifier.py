"""Decides whether an auth token opens the door. Pure: the time and the account are arguments.

Recomputes the signature from scratch; see `sigv4`. A token is taken only if every byte of it is what a
signer would have written, so there is exactly one spelling of each token (parameters may come in any order).
"""

from __future__ import annotations

import calendar
import enum
import re
import time
from dataclasses import dataclass, field
from urllib.parse import unquote

from . import iam, sigv4

FUTURE_TOLERANCE = 5 * 60  # seconds; AWS words it "is still later than ... (... + 5 min.)"


class Reason(str, enum.Enum):
    """Why a token was refused."""

    MALFORMED = "malformed"
    WRONG_ACTION = "wrong_action"
    WRONG_USER = "wrong_user"
    WRONG_HOST = "wrong_host"
    WRONG_PORT = "wrong_port"
    WRONG_REGION = "wrong_region"
    WRONG_SERVICE = "wrong_service"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    UNKNOWN_KEY = "unknown_key"
    WRONG_SESSION_TOKEN = "wrong_session_token"
    CREDENTIALS_EXPIRED = "credentials_expired"
    WRONG_SIGNATURE = "wrong_signature"
    NOT_AUTHORIZED = "not_authorized"


@dataclass(frozen=True)
class Target:
    """The database a token must have been signed for."""

    service: str  # "rds-db" or "dsql"
    region: str
    hosts: frozenset[str]  # lower case
    port: int | None  # None: not part of the token (DSQL)
    resource: str  # the ARN that refusals name
    max_lifetime: int

    @staticmethod
    def rds(region: str, hosts: frozenset[str], port: int, resource: str) -> Target:
        return Target("rds-db", region, hosts, port, resource, 900)

    @staticmethod
    def dsql(region: str, hosts: frozenset[str], resource: str) -> Target:
        return Target("dsql", region, hosts, None, resource, 604_800)


@dataclass(frozen=True)
class Accepted:
    """Who is at the door."""

    credential: iam.Credential
    action: str  # as the policy names it: rds-db:connect, dsql:DbConnect, dsql:DbConnectAdmin


@dataclass(frozen=True)
class Refused:
    """Why not. `detail` is for logs and holds nothing secret."""

    reason: Reason
    detail: str


@dataclass(frozen=True)
class Presigned:
    """A token taken apart, before anything in it is believed."""

    host: str
    port: int | None
    pairs: tuple[tuple[str, str], ...] = field(repr=False)

    def __getitem__(self, name: str) -> str:
        return dict(self.pairs)[name]


class _Refusal(Exception):
    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.refused = Refused(reason, detail)


_SIGNING = (
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
)
_HOST = re.compile(r"[A-Za-z0-9.-]{1,255}")
_TIMESTAMP = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_EXPIRES = re.compile(r"[1-9]\d{0,8}", re.ASCII)
_SIGNATURE = re.compile(r"[0-9a-f]{64}")


def verify(token: str, user: str, target: Target, directory: iam.Directory, now: float) -> Accepted | Refused:
    """Whether `token` lets its bearer in as `user` at the time `now`."""
    try:
        presigned = _parse(token, target)
        _check_address(presigned, target)
        action = _check_action(presigned, user, target)
        credential = _check_signature(presigned, target, directory, now)
    except _Refusal as refusal:
        return refusal.refused
    if not directory.may_connect(credential, user, action):
        return Refused(
            Reason.NOT_AUTHORIZED,
            f"User: {credential.principal} is not authorized to perform: {action} on resource: {target.resource}",
        )
    return Accepted(credential, action)


def _parse(token: str, target: Target) -> Presigned:
    address, mark, query = token.partition("?")
    if not mark or not token.isascii():
        raise _Refusal(Reason.MALFORMED, "not a presigned request")
    host, port = _parse_address(address, target)
    pairs = []
    for part in query.split("&"):
        name, equals, value = part.partition("=")
        pair = (unquote(name), unquote(value))
        # Only the canonical spelling counts: "%2f" or "+" would be a second spelling of the same token.
        if not equals or part != f"{sigv4.encode(pair[0])}={sigv4.encode(pair[1])}":
            raise _Refusal(Reason.MALFORMED, "a parameter is not percent-encoded as SigV4 requires")
        pairs.append(pair)
    names = [name for name, _ in pairs]
    required = {"Action", *_SIGNING} | ({"DBUser"} if target.service == "rds-db" else set())
    if len(set(names)) != len(names):
        raise _Refusal(Reason.MALFORMED, "a parameter occurs twice")
    if missing := required - set(names):
        raise _Refusal(Reason.MALFORMED, f"lacks {', '.join(sorted(missing))}")
    if set(names) - required - {"X-Amz-Security-Token"}:
        raise _Refusal(Reason.MALFORMED, "holds a parameter that does not belong there")
    return Presigned(host, port, tuple(pairs))


def _parse_address(address: str, target: Target) -> tuple[str, int | None]:
    # The Go SDK writes a DSQL token without the slash.
    host = address.removesuffix("/")
    if target.port is None:
        port = None
    else:
        host, colon, digits = host.rpartition(":")
        if not address.endswith("/") or not colon or not re.fullmatch(r"[1-9]\d{0,4}", digits, re.ASCII):
            raise _Refusal(Reason.MALFORMED, "does not start with host:port/")
        port = int(digits)
    if not _HOST.fullmatch(host):
        raise _Refusal(Reason.MALFORMED, "does not start with a host name")
    return host, port


def _check_address(presigned: Presigned, target: Target) -> None:
    # Host names know no case, but a mixed spelling is nothing that a signer would produce from an endpoint.
    host = presigned.host
    if host.lower() not in target.hosts or host not in (host.lower(), host.upper()):
        raise _Refusal(Reason.WRONG_HOST, f"signed for host {host}, this is {' or '.join(sorted(target.hosts))}")
    if presigned.port != target.port:
        raise _Refusal(Reason.WRONG_PORT, f"signed for port {presigned.port}, this is {target.port}")


def _check_action(presigned: Presigned, user: str, target: Target) -> str:
    action = presigned["Action"]
    if target.service == "rds-db":
        if action != "connect":
            raise _Refusal(Reason.WRONG_ACTION, "the action is not 'connect'")
        if presigned["DBUser"] != user:
            raise _Refusal(Reason.WRONG_USER, f"signed for another database user than {user!r}")
        return iam.CONNECT
    if action not in ("DbConnect", "DbConnectAdmin"):
        raise _Refusal(Reason.WRONG_ACTION, "the action is neither 'DbConnect' nor 'DbConnectAdmin'")
    if (user == "admin") != (action == "DbConnectAdmin"):
        raise _Refusal(Reason.WRONG_ACTION, f"Wrong user to action mapping. user: {user}, action: {action}")
    return f"dsql:{action}"


def _check_signature(presigned: Presigned, target: Target, directory: iam.Directory, now: float) -> iam.Credential:
    if presigned["X-Amz-Algorithm"] != sigv4.ALGORITHM or presigned["X-Amz-SignedHeaders"] != "host":
        raise _Refusal(Reason.MALFORMED, "another algorithm than AWS4-HMAC-SHA256 over 'host'")
    access_key, date, region = _check_scope(presigned, target)
    _check_lifetime(presigned, target, now)
    credential = directory.find(access_key)
    if credential is None:
        raise _Refusal(Reason.UNKNOWN_KEY, "The security token included in the request is invalid.")
    if dict(presigned.pairs).get("X-Amz-Security-Token") != credential.session_token:
        raise _Refusal(Reason.WRONG_SESSION_TOKEN, "The security token included in the request is invalid.")
    expected = _signature(presigned, credential.secret_key, date, region, target.service)
    if not _SIGNATURE.fullmatch(presigned["X-Amz-Signature"]) or not sigv4.equal(
        presigned["X-Amz-Signature"], expected
    ):
        raise _Refusal(
            Reason.WRONG_SIGNATURE,
            "The request signature we calculated does not match the signature you provided.",
        )
    if credential.expires_at is not None and now > credential.expires_at:
        raise _Refusal(Reason.CREDENTIALS_EXPIRED, "The security token included in the request is expired")
    return credential


def _check_scope(presigned: Presigned, target: Target) -> tuple[str, str, str]:
    scope = presigned["X-Amz-Credential"].split("/")
    if len(scope) != 5 or scope[4] != "aws4_request":
        raise _Refusal(Reason.MALFORMED, "X-Amz-Credential is not key/date/region/service/aws4_request")
    access_key, date, region, service, _ = scope
    if service != target.service:
        raise _Refusal(Reason.WRONG_SERVICE, f"signed for service {service!r}, this is {target.service!r}")
    if region != target.region:
        raise _Refusal(Reason.WRONG_REGION, f"signed for region {region!r}, this is {target.region!r}")
    if not presigned["X-Amz-Date"].startswith(f"{date}T"):
        raise _Refusal(Reason.MALFORMED, "X-Amz-Date is of another day than the credential scope")
    return access_key, date, region


def _check_lifetime(presigned: Presigned, target: Target, now: float) -> None:
    stamp = presigned["X-Amz-Date"]
    expires = presigned["X-Amz-Expires"]
    if not _TIMESTAMP.fullmatch(stamp) or not _EXPIRES.fullmatch(expires):
        raise _Refusal(Reason.MALFORMED, "X-Amz-Date or X-Amz-Expires is not well formed")
    if int(expires) > target.max_lifetime:
        raise _Refusal(Reason.MALFORMED, f"X-Amz-Expires is over {target.max_lifetime}")
    try:
        signed_at = calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        raise _Refusal(Reason.MALFORMED, "X-Amz-Date is no date") from None
    if now > signed_at + int(expires):
        raise _Refusal(
            Reason.EXPIRED,
            f"Signature expired: {_stamp(signed_at + int(expires))} is now earlier than {_stamp(now)}",
        )
    if now < signed_at - FUTURE_TOLERANCE:
        raise _Refusal(
            Reason.NOT_YET_VALID,
            f"Signature not yet current: {stamp} is still later than {_stamp(now + FUTURE_TOLERANCE)}"
            f" ({_stamp(now)} + 5 min.)",
        )


def _signature(presigned: Presigned, secret: str, date: str, region: str, service: str) -> str:
    # Port 443 is https's own and so is left out of the Host header, although the token's text keeps it.
    host = presigned.host.lower()
    if presigned.port is not None and presigned.port != 443:
        host = f"{host}:{presigned.port}"
    query = sigv4.canonical_query(pair for pair in presigned.pairs if pair[0] != "X-Amz-Signature")
    request = sigv4.canonical_request("GET", "/", query, {"host": host}, ["host"], sigv4.EMPTY_PAYLOAD_HASH)
    scope = sigv4.credential_scope(date, region, service)
    to_sign = sigv4.string_to_sign(presigned["X-Amz-Date"], scope, request)
    return sigv4.signature(sigv4.signing_key(secret, date, region, service), to_sign)


def _stamp(at: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
