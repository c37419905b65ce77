"""AWS Signature Version 4, written from its specification for the side that checks.

Pure functions over hashlib and hmac. Deliberately independent of pgiam's signer and of botocore: a
signer cannot be checked by itself.
https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from urllib.parse import quote

ALGORITHM = "AWS4-HMAC-SHA256"
EMPTY_PAYLOAD_HASH = hashlib.sha256(b"").hexdigest()


def encode(text: str) -> str:
    """Percent-encode as SigV4 wants it: only RFC 3986's unreserved characters stay."""
    return quote(text, safe="-._~")


def canonical_query(pairs: Iterable[tuple[str, str]]) -> str:
    """Encode decoded name/value pairs and sort them by encoded name, then value."""
    return "&".join(f"{name}={value}" for name, value in sorted((encode(name), encode(value)) for name, value in pairs))


def canonical_request(
    method: str, path: str, query: str, headers: Mapping[str, str], signed: Iterable[str], payload_hash: str
) -> str:
    """`query` is already canonical; `headers` has lower-case names; `signed` names the ones that count."""
    names = sorted(signed)
    lines = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in names)
    return "\n".join((method, path, query, lines, ";".join(names), payload_hash))


def credential_scope(date: str, region: str, service: str) -> str:
    """`date` is YYYYMMDD."""
    return f"{date}/{region}/{service}/aws4_request"


def string_to_sign(timestamp: str, scope: str, request: str) -> str:
    """`timestamp` is YYYYMMDDTHHMMSSZ."""
    return "\n".join((ALGORITHM, timestamp, scope, hashlib.sha256(request.encode()).hexdigest()))


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The key derived for one day, region and service."""
    key = _hmac(b"AWS4" + secret.encode(), date)
    for part in (region, service, "aws4_request"):
        key = _hmac(key, part)
    return key


def signature(key: bytes, to_sign: str) -> str:
    """Lower-case hexadecimal, as it is sent."""
    return _hmac(key, to_sign).hex()


def equal(left: str, right: str) -> bool:
    """Compare signatures without telling by time where they differ."""
    return hmac.compare_digest(left.encode(), right.encode())
