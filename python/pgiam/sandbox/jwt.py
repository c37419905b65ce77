"""JSON Web Tokens of the six algorithms that STS accepts: signing, parsing, verification. Pure.

RFC 7515 (JWS), RFC 7517 (JWK), RFC 7518 (algorithms). Nothing here decides who is trusted.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

Algorithm = Literal["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"]
Claims = Mapping[str, Any]

_HASHES: Final[Mapping[str, hashes.HashAlgorithm]] = {
    "256": hashes.SHA256(),
    "384": hashes.SHA384(),
    "512": hashes.SHA512(),
}
# Each ES algorithm goes with one curve (RFC 7518, 3.4).
_CURVES: Final[Mapping[str, ec.EllipticCurve]] = {
    "ES256": ec.SECP256R1(),
    "ES384": ec.SECP384R1(),
    "ES512": ec.SECP521R1(),
}
_CURVE_NAMES: Final = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
ALGORITHMS: Final = ("RS256", "RS384", "RS512", *_CURVES)
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")
_MINIMUM_RSA_BITS = 2048  # RFC 7518, 3.3


class MalformedJwtError(ValueError):
    """Not a JWT. The text is not repeated here: it may be a secret."""


class SignatureError(ValueError):
    """No key of the set made this signature."""


class UnknownKeyError(SignatureError):
    """The set has no key of that `kid` that fits the algorithm."""


@dataclass(frozen=True)
class SigningKey:
    """A private key with the name and the algorithm that it signs under."""

    kid: str
    algorithm: Algorithm
    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = field(repr=False)

    def jwk(self) -> dict[str, str]:
        """The public half, as a JWKS publishes it."""
        common = {"kid": self.kid, "use": "sig", "alg": self.algorithm}
        if isinstance(self.private, rsa.RSAPrivateKey):
            public = self.private.public_key().public_numbers()
            return {**common, "kty": "RSA", "n": _encode_integer(public.n), "e": _encode_integer(public.e)}
        point = self.private.public_key().public_numbers()
        size = _coordinate_size(self.private.curve)
        return {
            **common,
            "kty": "EC",
            "crv": _CURVE_NAMES[self.algorithm],
            "x": _encode_integer(point.x, size),
            "y": _encode_integer(point.y, size),
        }


@dataclass(frozen=True)
class Jwt:
    """A parsed token. Its claims are only claims until `verify` has returned."""

    header: Claims
    claims: Claims = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def generate_key(algorithm: Algorithm = "RS256", kid: str | None = None) -> SigningKey:
    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    if algorithm.startswith("RS"):
        private = rsa.generate_private_key(public_exponent=65537, key_size=_MINIMUM_RSA_BITS)
    else:
        private = ec.generate_private_key(_CURVES[algorithm])
    return SigningKey(kid or secrets.token_hex(16), algorithm, private)


def sign(claims: Claims, key: SigningKey) -> str:
    header = {"alg": key.algorithm, "kid": key.kid, "typ": "JWT"}
    signing_input = f"{_encode_json(header)}.{_encode_json(claims)}".encode()
    digest = _HASHES[key.algorithm[2:]]
    if isinstance(key.private, rsa.RSAPrivateKey):
        signature = key.private.sign(signing_input, padding.PKCS1v15(), digest)
    else:
        r, s = decode_dss_signature(key.private.sign(signing_input, ec.ECDSA(digest)))
        size = _coordinate_size(key.private.curve)
        signature = r.to_bytes(size, "big") + s.to_bytes(size, "big")
    return f"{signing_input.decode()}.{_encode(signature)}"


def parse(token: str) -> Jwt:
    parts = token.split(".")
    if len(parts) != 3:
        raise MalformedJwtError("a JWT has three parts")
    header, claims = _decode_object(parts[0], "header"), _decode_object(parts[1], "payload")
    signing_input = f"{parts[0]}.{parts[1]}".encode("ascii")
    return Jwt(header, claims, signing_input, _decode(parts[2], "signature"))


def verify(token: Jwt, jwks: Claims) -> None:
    """Return if a key of the set, named by the token's `kid`, made its signature; raise otherwise."""
    algorithm, kid = token.header.get("alg"), token.header.get("kid")
    if algorithm not in ALGORITHMS or not isinstance(algorithm, str):
        raise SignatureError("the algorithm is not one of RS256, RS384, RS512, ES256, ES384, ES512")
    if "crit" in token.header:
        raise SignatureError("the header demands an extension that is not understood")
    candidates = [
        jwk
        for jwk in jwks.get("keys", [])
        if jwk.get("kid") == kid and jwk.get("alg", algorithm) == algorithm and jwk.get("use", "sig") == "sig"
    ]
    if not candidates:
        raise UnknownKeyError("no published key has the kid and the algorithm of the token")
    if not any(_made_by(token, algorithm, jwk) for jwk in candidates):
        raise SignatureError("the signature is not that of the published key")


def _made_by(token: Jwt, algorithm: str, jwk: Mapping[str, str]) -> bool:
    digest = _HASHES[algorithm[2:]]
    try:
        if algorithm.startswith("RS") and jwk.get("kty") == "RSA":
            numbers = rsa.RSAPublicNumbers(_decode_integer(jwk["e"]), _decode_integer(jwk["n"]))
            public = numbers.public_key()
            if public.key_size < _MINIMUM_RSA_BITS:
                return False
            public.verify(token.signature, token.signing_input, padding.PKCS1v15(), digest)
            return True
        if algorithm.startswith("ES") and jwk.get("crv") == _CURVE_NAMES[algorithm]:
            curve = _CURVES[algorithm]
            size = _coordinate_size(curve)
            if len(token.signature) != 2 * size:
                return False
            point = ec.EllipticCurvePublicNumbers(_decode_integer(jwk["x"]), _decode_integer(jwk["y"]), curve)
            r, s = (int.from_bytes(half, "big") for half in (token.signature[:size], token.signature[size:]))
            point.public_key().verify(encode_dss_signature(r, s), token.signing_input, ec.ECDSA(digest))
            return True
    except (InvalidSignature, KeyError, ValueError):
        return False
    return False


def _coordinate_size(curve: ec.EllipticCurve) -> int:
    return (curve.key_size + 7) // 8


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _encode_json(value: Claims) -> str:
    return _encode(json.dumps(value, separators=(",", ":")).encode())


def _encode_integer(value: int, size: int | None = None) -> str:
    return _encode(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def _decode(text: str, what: str) -> bytes:
    # The standard library skips characters outside the alphabet; a verifier must not.
    if not _BASE64URL.fullmatch(text):
        raise MalformedJwtError(f"the {what} is not base64url")
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise MalformedJwtError(f"the {what} is not base64url") from None
    if _encode(data) != text:
        raise MalformedJwtError(f"the {what} has stray bits at its end")
    return data


def _decode_integer(text: str) -> int:
    return int.from_bytes(_decode(text, "number"), "big")


def _decode_object(text: str, what: str) -> dict[str, Any]:
    try:
        value = json.loads(_decode(text, what))
    except (ValueError, RecursionError):
        raise MalformedJwtError(f"the {what} is not base64url of JSON") from None
    if not isinstance(value, dict):
        raise MalformedJwtError(f"the {what} is not a JSON object")
    return value
