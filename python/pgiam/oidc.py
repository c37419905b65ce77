"""Identity tokens: where the platform keeps the OIDC token that says who this workload is.

    client = pgiam.Client(pgiam.WebIdentity(role_arn=..., identity_token=pgiam.oidc.vercel()))

`pgiam.Client()` recognises all of these by itself where `AWS_ROLE_ARN` names a role.
"""

from __future__ import annotations

import os

from ._core import IdentitySource, _vercel_saw
from .errors import IdentityTokenError, WrongTypeError

TYPE_CHECKING = False  # `typing` itself takes longer to import than all of pgiam
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping
    from typing import Any

    Asgi = Callable[[MutableMapping[str, Any], Callable[..., Any], Callable[..., Any]], Awaitable[None]]
    Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

__all__ = [
    "IdentitySource",
    "VercelMiddleware",
    "VercelWsgiMiddleware",
    "azure",
    "bitbucket",
    "buildkite",
    "circleci",
    "decode",
    "env",
    "fly",
    "gcp",
    "github_actions",
    "gitlab",
    "terraform_cloud",
    "vercel",
    "web_identity_file",
]


def vercel() -> IdentitySource:
    """Vercel: the request's header, then `VERCEL_OIDC_TOKEN_FILE`, then `VERCEL_OIDC_TOKEN`.

    Requests are seen by `VercelMiddleware`, or by the `vercel` package where Vercel's Python runtime uses it.
    """
    return IdentitySource._vercel()


def github_actions(*, audience: str | None = None) -> IdentitySource:
    """GitHub Actions; the job needs `permissions: id-token: write`. The audience is `sts.amazonaws.com` by default."""
    return IdentitySource._github_actions(audience)


def web_identity_file(path: str | None = None) -> IdentitySource:
    """A file that the platform keeps fresh, `AWS_WEB_IDENTITY_TOKEN_FILE` by default; read anew each time."""
    return IdentitySource._web_identity_file(None if path is None else os.fspath(path))


def env(name: str) -> IdentitySource:
    """Any environment variable."""
    return IdentitySource._env(name)


def gitlab(name: str | None = None) -> IdentitySource:
    """GitLab CI: the variable that the job's `id_tokens:` names, `GITLAB_OIDC_TOKEN` by default."""
    return IdentitySource._gitlab(name)


def gcp(*, audience: str | None = None) -> IdentitySource:
    """Google Cloud: the metadata server's identity token of the attached service account."""
    return IdentitySource._gcp(audience)


def azure(*, resource: str | None = None) -> IdentitySource:
    """Azure: the managed identity's token for `resource`; in AKS, without one, the federated token file."""
    return IdentitySource._azure(resource)


def fly(*, audience: str | None = None) -> IdentitySource:
    """Fly.io: the API of the machine."""
    return IdentitySource._fly(audience)


def circleci() -> IdentitySource:
    """CircleCI; the job needs a context. The audience is the organization's id."""
    return IdentitySource._circleci()


def bitbucket() -> IdentitySource:
    """Bitbucket Pipelines; the step needs `oidc: true`."""
    return IdentitySource._bitbucket()


def buildkite(*, audience: str | None = None) -> IdentitySource:
    """Buildkite, by its agent's command."""
    return IdentitySource._buildkite(audience)


def terraform_cloud(tag: str | None = None) -> IdentitySource:
    """HCP Terraform; the workspace needs `TFC_WORKLOAD_IDENTITY_AUDIENCE`, with `tag` if it has one."""
    return IdentitySource._terraform_cloud(tag)


def decode(token: str) -> dict[str, Any]:
    """The claims of an identity token, NOT VERIFIED: anyone can write such a token. For looking, not for trusting."""
    import base64
    import binascii
    import json

    if not isinstance(token, str):
        raise WrongTypeError(f"token must be str, not {type(token).__name__}", hint="Pass the JWT as str.")
    parts = token.strip().split(".")
    try:
        if len(parts) != 3:
            raise ValueError("not three parts")
        payload = base64.b64decode(parts[1] + "=" * (-len(parts[1]) % 4), altchars=b"-_", validate=True)
        claims = json.loads(payload)
        if not isinstance(claims, dict):
            raise ValueError("no object")
    except (ValueError, binascii.Error, RecursionError):
        # Without the cause: its text may quote the token.
        raise IdentityTokenError(
            "the text is not a JWT", hint="Pass an OIDC ID token: three parts with dots between them."
        ) from None
    return claims


def _note(token: str) -> None:
    # Off Vercel nobody strips the header from what clients send.
    if os.environ.get("VERCEL"):
        _vercel_saw(token)


class VercelMiddleware:
    """ASGI: notes the identity token that each request to Vercel brings. Around any ASGI application.

    Not needed with Vercel's own Python runtime and the `vercel` package, and harmless beside them.
    """

    def __init__(self, app: Asgi) -> None:
        self.app = app

    async def __call__(
        self, scope: MutableMapping[str, Any], receive: Callable[..., Any], send: Callable[..., Any]
    ) -> None:
        for name, value in scope.get("headers") or ():
            if name.lower() == b"x-vercel-oidc-token":
                _note(value.decode("latin-1"))
        await self.app(scope, receive, send)


class VercelWsgiMiddleware:
    """As `VercelMiddleware`, for WSGI: Flask, Django."""

    def __init__(self, app: Wsgi) -> None:
        self.app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        token = environ.get("HTTP_X_VERCEL_OIDC_TOKEN")
        if token:
            _note(token)
        return self.app(environ, start_response)
