"""The endpoints from which workloads on other platforms fetch their identity token.

Each class is one platform: `answer` is pure, given the token that the platform may demand.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any, Final

from pgiam.sandbox import sigv4
from pgiam.sandbox.http import Request, Response
from pgiam.sandbox.oidc_issuer import OidcIssuer


class GithubActions:
    """https://docs.github.com/en/actions/reference/security/oidc#requesting-the-jwt-using-environment-variables"""

    PATH: Final = "/github/token"

    def __init__(self, issuer: OidcIssuer) -> None:
        self.token = secrets.token_urlsafe(48)
        self._issuer = issuer

    def answer(self, request: Request) -> Response:
        if request.method != "GET":
            return Response(405)
        if not bearer(request, self.token):
            return json_response(401, {"message": "Unauthorized"})
        audience = request.query.get("audience") or "https://github.com/acme"
        value = self._issuer.mint("github_actions", audience=audience)
        return json_response(200, {"count": len(value), "value": value})


class Gcp:
    """https://cloud.google.com/compute/docs/instances/verifying-instance-identity"""

    PREFIX: Final = "/computeMetadata/v1/instance/service-accounts/"
    ACCOUNTS: Final = ("default", "shop@acme.iam.gserviceaccount.com")
    FLAVOR: Final[Mapping[str, str]] = {"Metadata-Flavor": "Google", "Server": "Metadata Server for VM"}

    def __init__(self, issuer: OidcIssuer) -> None:
        self._issuer = issuer

    def answer(self, request: Request) -> Response:
        if request.method != "GET":
            return Response(405, headers=self.FLAVOR)
        if request.headers.get("metadata-flavor") != "Google" or "x-forwarded-for" in request.headers:
            return Response(403, b"Your client does not have permission to get this URL from this server.", self.FLAVOR)
        account, _, leaf = request.path[len(self.PREFIX) :].partition("/")
        if not request.path.startswith(self.PREFIX) or account not in self.ACCOUNTS:
            return Response(404, headers=self.FLAVOR)
        if leaf == "email":
            return Response(200, self.ACCOUNTS[1].encode(), {**self.FLAVOR, "Content-Type": "application/text"})
        if leaf != "identity":
            return Response(404, headers=self.FLAVOR)
        audience = request.query.get("audience")
        if not audience:
            return Response(400, b"non-empty audience parameter required", self.FLAVOR)
        # The standard format is bare: no e-mail address and nothing about the machine.
        bare = {"email": None, "email_verified": None, "google": None}
        claims = {} if request.query.get("format") == "full" else bare
        token = self._issuer.mint("gcp", audience=audience, claims=claims)
        return Response(200, token.encode(), {**self.FLAVOR, "Content-Type": "text/html"})


class Azure:
    """https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token"""

    PATH: Final = "/metadata/identity/oauth2/token"
    APP_SERVICE_PATH: Final = "/msi/token"

    def __init__(self, issuer: OidcIssuer) -> None:
        self.header = secrets.token_hex(16).upper()
        self._issuer = issuer

    def answer(self, request: Request) -> Response:
        if request.method != "GET":
            return Response(405)
        if request.path == self.APP_SERVICE_PATH:
            if not sigv4.equal(request.headers.get("x-identity-header", ""), self.header):
                return self._refused(401, "unauthorized_client", "the X-IDENTITY-HEADER is missing or wrong")
            versions: tuple[str, ...] = ("2019-08-01",)
        else:
            if request.headers.get("metadata", "").lower() != "true":
                return self._refused(400, "bad_request_102", "Required metadata header not specified")
            versions = ("2018-02-01", "2019-11-01", "2021-02-01")
        if request.query.get("api-version") not in versions:
            return self._refused(400, "bad_request", "Required api-version is missing or not supported")
        resource = request.query.get("resource")
        if not resource:
            return self._refused(400, "invalid_resource", "Required resource parameter is missing")
        shape = self._issuer.shape("azure")
        token = self._issuer.mint("azure", audience=resource)
        times = self._issuer.times(token)
        return json_response(
            200,
            {
                "access_token": token,
                "client_id": shape.claims["appid"],
                "expires_in": str(times["exp"] - times["iat"]),
                "expires_on": str(times["exp"]),
                "not_before": str(times["nbf"]),
                "resource": resource,
                "token_type": "Bearer",
            },
        )

    @staticmethod
    def _refused(status: int, error: str, description: str) -> Response:
        return json_response(status, {"error": error, "error_description": description})


class Fly:
    """https://fly.io/docs/security/openid-connect/: a unix socket in the machine."""

    PATH: Final = "/v1/tokens/oidc"

    def __init__(self, issuer: OidcIssuer) -> None:
        self._issuer = issuer

    def answer(self, request: Request) -> Response:
        if request.path != self.PATH:
            return json_response(404, {"error": "not found"})
        if request.method != "POST":
            return Response(405)
        body = json_object(request.body) if request.body else {}
        if body is None or not isinstance(body.get("aud", ""), str):
            return json_response(400, {"error": "invalid request body"})
        token = self._issuer.mint("fly", audience=body.get("aud") or "https://fly.io/acme")
        return Response(200, token.encode(), {"Content-Type": "text/plain"})


class Vercel:
    """The API that local development refreshes its token from (`vercel env pull` logs in to it)."""

    PREFIX: Final = "/v1/projects/"

    def __init__(self, issuer: OidcIssuer) -> None:
        self.token = secrets.token_urlsafe(24)
        self._issuer = issuer

    def answer(self, request: Request) -> Response:
        project, _, leaf = request.path[len(self.PREFIX) :].partition("/")
        if not request.path.startswith(self.PREFIX) or leaf != "token":
            return json_response(404, {"error": {"code": "not_found", "message": "not found"}})
        if request.method != "POST":
            return Response(405)
        if not bearer(request, self.token):
            return json_response(
                403, {"error": {"code": "forbidden", "message": "Not authorized", "invalidToken": True}}
            )
        claims = {"project_id": project, "environment": "development", "user_id": "user_7Gw5ZMzpQA8h90F832KGp7n"}
        subject = "owner:acme:project:shop:environment:development"
        token = self._issuer.mint("vercel", subject=subject, lifetime=12 * 3600, claims={**claims, "scope": subject})
        return json_response(200, {"token": token})


class Buildkite:
    """What `buildkite-agent oidc request-token` asks of the agent API."""

    PREFIX: Final = "/buildkite/jobs/"
    JOB: Final = "8d4c3b2a-0000-4000-8000-000000000003"

    def __init__(self, issuer: OidcIssuer) -> None:
        self.token = secrets.token_urlsafe(24)
        self._issuer = issuer

    def answer(self, request: Request) -> Response:
        if request.path != f"{self.PREFIX}{self.JOB}/oidc/tokens":
            return json_response(404, {"message": "Not Found"})
        if request.method != "POST":
            return Response(405)
        if not sigv4.equal(request.headers.get("authorization", ""), f"Token {self.token}"):
            return json_response(401, {"message": "Unauthorized"})
        body = json_object(request.body) if request.body else {}
        lifetime = (body or {}).get("lifetime") or 300
        audience = (body or {}).get("audience") or "https://buildkite.com/acme"
        if body is None or not isinstance(audience, str) or not isinstance(lifetime, int) or not 0 < lifetime <= 7200:
            return json_response(422, {"message": "Invalid audience or lifetime"})
        return json_response(200, {"token": self._issuer.mint("buildkite", audience=audience, lifetime=lifetime)})


def bearer(request: Request, token: str) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and sigv4.equal(given, token)


def json_object(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def json_response(status: int, document: Mapping[str, Any]) -> Response:
    return Response(status, json.dumps(document).encode(), {"Content-Type": "application/json"})
