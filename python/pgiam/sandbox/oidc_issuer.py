"""The identity providers of the sandbox: they mint identity tokens, publish their keys and rotate them.

Every issuer URL has keys of its own, made when first needed. What STS and the Pod Identity agent verify with
is what the issuer publishes at that moment, not what it signs with: that is where rotation goes wrong.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args
from urllib.parse import urlsplit

from pgiam.sandbox import jwt
from pgiam.sandbox.aws_faults import AwsFaults
from pgiam.sandbox.claim_shapes import SHAPES, Shape
from pgiam.sandbox.clock import Clock
from pgiam.sandbox.http import Request, Response

PREFIX: Final = "/oidc/"
DISCOVERY: Final = "/.well-known/openid-configuration"
JWKS: Final = "/.well-known/jwks"
# An expired token is this much past its end, so that no leeway for clocks admits it.
LONG_EXPIRED: Final = 3600


class UnknownPlatformError(LookupError):
    """No shape of that name."""


@dataclass
class KeyRing:
    signing: jwt.SigningKey
    published: list[jwt.SigningKey]


class OidcIssuer:
    """Mints for every platform; one key ring for each issuer URL."""

    def __init__(self, clock: Clock, faults: AwsFaults) -> None:
        self._clock = clock
        self._faults = faults
        self._lock = threading.Lock()
        self._rings: dict[str, KeyRing] = {}
        self.base_url = ""  # set once the server listens
        self.minted = 0

    def shape(self, platform: str) -> Shape:
        try:
            return SHAPES[platform]
        except KeyError:
            raise UnknownPlatformError(f"no platform {platform!r}; there are {', '.join(SHAPES)}") from None

    def mint(
        self,
        platform: str,
        *,
        issuer: str | None = None,
        audience: str | list[str] | None = None,
        subject: str | None = None,
        lifetime: float | None = None,
        claims: Mapping[str, Any] | None = None,
    ) -> str:
        """A signed identity token. `claims` overrides or, where None, removes single claims."""
        shape = self.shape(platform)
        now = int(self._clock.now())
        expires = now + int(shape.lifetime if lifetime is None else lifetime)
        if self._faults.take("identity", platform).kind == "expired_token":
            now, expires = now - shape.lifetime - LONG_EXPIRED, now - LONG_EXPIRED
        given: dict[str, Any] = {"exp": expires, "jti": str(uuid.uuid4())}
        if issuer is not None:
            given["iss"] = issuer
        if audience is not None:
            given["aud"] = [audience] if shape.audience_list and isinstance(audience, str) else audience
        if subject is not None:
            given["sub"] = subject
        payload = shape.payload(now, **{**given, **(claims or {})})
        with self._lock:
            self.minted += 1
        return jwt.sign(payload, self._ring(str(payload.get("iss", shape.issuer))).signing)

    @staticmethod
    def times(token: str) -> dict[str, int]:
        """`iat`, `nbf` and `exp` of a token minted here."""
        claims = jwt.parse(token).claims
        return {name: claims[name] for name in ("iat", "nbf", "exp") if name in claims}

    def jwks(self, issuer: str) -> dict[str, Any]:
        """What the issuer publishes now."""
        return {"keys": [key.jwk() for key in self._ring(issuer).published]}

    def rotate(
        self,
        issuer: str | None = None,
        *,
        keep_old: bool = True,
        publish: bool = True,
        algorithm: str | None = None,
    ) -> int:
        """Sign with a new key from now on; returns how many issuers did.

        `keep_old=False` also withdraws the keys before it: their tokens die. `publish=False` is the
        provider whose JWKS lags behind: the new key signs and nobody can verify it until the next rotation.
        """
        if algorithm is not None and algorithm not in jwt.ALGORITHMS:
            raise ValueError(f"no algorithm {algorithm!r}; there are {', '.join(jwt.ALGORITHMS)}")
        with self._lock:
            issuers = list(self._rings) if issuer is None else [issuer]
        for each in issuers:
            ring = self._ring(each)
            key = jwt.generate_key(_algorithm(algorithm or ring.signing.algorithm))
            with self._lock:
                kept = ring.published if keep_old else []
                ring.published = [key, *kept] if publish else list(kept)
                ring.signing = key
        return len(issuers)

    def answer(self, request: Request) -> Response:
        """Discovery and JWKS, below `/oidc/<issuer without its scheme>`."""
        if request.method not in ("GET", "HEAD"):
            return Response(405)
        for suffix in (DISCOVERY, JWKS):
            if request.path.endswith(suffix):
                location = request.path[len(PREFIX) : -len(suffix)]
                issuer = self._known_issuer(location)
                if issuer is None:
                    break
                document = self._discovery(issuer, location) if suffix == DISCOVERY else self.jwks(issuer)
                return Response(200, json.dumps(document).encode(), {"Content-Type": "application/json"})
        return Response(404, b"no such issuer\n", {"Content-Type": "text/plain"})

    def discovery_url(self, issuer: str) -> str:
        return f"{self.base_url}{PREFIX}{_location(issuer)}{DISCOVERY}"

    def _discovery(self, issuer: str, location: str) -> dict[str, Any]:
        return {
            "issuer": issuer,
            "jwks_uri": f"{self.base_url}{PREFIX}{location}{JWKS}",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": sorted(
                {key.algorithm for key in self._ring(issuer).published} or {"RS256"}
            ),
            "claims_supported": ["iss", "aud", "sub", "iat", "nbf", "exp", "jti"],
            "scopes_supported": ["openid"],
        }

    def _known_issuer(self, location: str) -> str | None:
        with self._lock:
            issuers = [*self._rings, *(shape.issuer for shape in SHAPES.values())]
        return next((issuer for issuer in issuers if _location(issuer) == location), None)

    def _ring(self, issuer: str) -> KeyRing:
        with self._lock:
            ring = self._rings.get(issuer)
            if ring is None:
                key = jwt.generate_key()
                ring = self._rings[issuer] = KeyRing(key, [key])
            return ring


def _location(issuer: str) -> str:
    parts = urlsplit(issuer)
    return f"{parts.netloc}{parts.path}".rstrip("/")


def _algorithm(name: str) -> jwt.Algorithm:
    algorithm: jwt.Algorithm
    for algorithm in get_args(jwt.Algorithm):
        if algorithm == name:
            return algorithm
    raise ValueError(f"no algorithm {name!r}")
