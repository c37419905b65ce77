"""Who signed a request to STS: SigV4 in the Authorization header, recomputed from scratch. Pure.

The texts are AWS's own.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final
from urllib.parse import parse_qsl

from pgiam.sandbox import sigv4
from pgiam.sandbox.http import Request
from pgiam.sandbox.iam import Credential, Directory
from pgiam.sandbox.sts_protocol import StsError

SERVICE: Final = "sts"
WINDOW: Final = timedelta(minutes=15)
_FORMAT: Final = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Authorization:
    access_key: str
    date: str
    region: str
    service: str
    signed: tuple[str, ...]
    signature: str


def authenticate(request: Request, directory: Directory, region: str, now: float) -> Credential:
    """The credential that made the signature; StsError if it made none, or may not use it."""
    header = request.headers.get("authorization")
    if header is None:
        raise StsError("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
    authorization = parse_authorization(header)
    credential = _credential(authorization, request, directory, now)
    _check_scope(authorization, region)
    moment = _check_date(authorization, request, now)
    _check_signed_headers(authorization, request)
    expected = _signature(authorization, request, credential, moment)
    if not sigv4.equal(expected, authorization.signature):
        raise _mismatch(
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
        )
    return credential


def parse_authorization(header: str) -> Authorization:
    algorithm, _, rest = header.partition(" ")
    if algorithm != sigv4.ALGORITHM:
        raise StsError("IncompleteSignature", "Unsupported AWS 'algorithm'")
    fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    missing = [name for name in ("Credential", "Signature", "SignedHeaders") if not fields.get(name)]
    if missing:
        # AWS repeats the header here; it holds a signature, so the sandbox does not.
        text = " ".join(f"Authorization header requires '{name}' parameter." for name in missing)
        raise StsError("IncompleteSignature", text)
    scope = fields["Credential"].split("/")
    if len(scope) != 5 or scope[4] != "aws4_request":
        raise StsError("IncompleteSignature", "Credential must have exactly 5 slash-delimited elements.")
    access_key, date, region, service, _ = scope
    signed = tuple(fields["SignedHeaders"].split(";"))
    return Authorization(access_key, date, region, service, signed, fields["Signature"])


def _credential(authorization: Authorization, request: Request, directory: Directory, now: float) -> Credential:
    credential = directory.find(authorization.access_key)
    session_token = request.headers.get("x-amz-security-token")
    if credential is None or not _same(credential.session_token, session_token):
        text = "The security token included in the request is invalid."
        raise StsError("InvalidClientTokenId", text, 403)
    if credential.expires_at is not None and credential.expires_at <= now:
        raise StsError("ExpiredToken", "The security token included in the request is expired", 403)
    return credential


def _same(known: str | None, given: str | None) -> bool:
    if known is None or given is None:
        return known is given
    return sigv4.equal(known, given)


def _check_scope(authorization: Authorization, region: str) -> None:
    if authorization.service != SERVICE:
        raise _mismatch(f"Credential should be scoped to correct service: '{SERVICE}'. ")
    if authorization.region != region:
        raise _mismatch("Credential should be scoped to a valid region. ")


def _check_date(authorization: Authorization, request: Request, now: float) -> datetime:
    text = request.headers.get("x-amz-date", "")
    if not re.fullmatch(r"\d{8}T\d{6}Z", text, re.ASCII):
        raise StsError(
            "IncompleteSignature",
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
        )
    try:
        moment = datetime.strptime(text, _FORMAT).replace(tzinfo=timezone.utc)
    except ValueError:
        raise StsError("IncompleteSignature", "Date must be in ISO-8601 'basic format'.") from None
    if authorization.date != text[:8]:
        raise _mismatch(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{authorization.date}' != '{text[:8]}', from '{text}'."
        )
    here = datetime.fromtimestamp(int(now), timezone.utc)
    if moment < here - WINDOW:
        raise _mismatch(
            f"Signature expired: {text} is now earlier than {here - WINDOW:{_FORMAT}} ({here:{_FORMAT}} - 15 min.)"
        )
    if moment > here + WINDOW:
        raise _mismatch(
            f"Signature not yet current: {text} is still later than {here + WINDOW:{_FORMAT}} "
            f"({here:{_FORMAT}} + 15 min.)"
        )
    return moment


def _check_signed_headers(authorization: Authorization, request: Request) -> None:
    signed = authorization.signed
    if list(signed) != sorted(set(signed)) or any(name != name.lower() for name in signed):
        raise _mismatch("The 'SignedHeaders' are not in lower case, sorted and unique.")
    if "host" not in signed:
        raise _mismatch("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    if absent := [name for name in signed if name not in request.headers]:
        raise _mismatch(f"Signed headers are not in the request: {', '.join(absent)}")
    if loose := [name for name in request.headers if name.startswith("x-amz-") and name not in signed]:
        raise _mismatch(f"There were headers present in the request which were not signed: {', '.join(loose)}")


def _signature(authorization: Authorization, request: Request, credential: Credential, moment: datetime) -> str:
    pairs = parse_qsl(request.raw_query, keep_blank_values=True)
    canonical = sigv4.canonical_request(
        request.method,
        request.raw_path or "/",
        sigv4.canonical_query(pairs),
        request.headers,
        authorization.signed,
        hashlib.sha256(request.body).hexdigest(),
    )
    scope = sigv4.credential_scope(authorization.date, authorization.region, authorization.service)
    to_sign = sigv4.string_to_sign(f"{moment:{_FORMAT}}", scope, canonical)
    key = sigv4.signing_key(credential.secret_key, authorization.date, authorization.region, authorization.service)
    return sigv4.signature(key, to_sign)


def _mismatch(message: str) -> StsError:
    return StsError("SignatureDoesNotMatch", message, 403)
