"""One server for everything that a workload asks its surroundings for: credentials, identity tokens, issuers' keys."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from pgiam.sandbox import container_credentials, oidc_issuer
from pgiam.sandbox.aws_faults import WIRE_KINDS, AwsFaults
from pgiam.sandbox.aws_stats import AwsStats
from pgiam.sandbox.clock import Clock
from pgiam.sandbox.container_credentials import EcsAgent, PodIdentityAgent
from pgiam.sandbox.http import Delivery, Request, Response
from pgiam.sandbox.iam import Directory
from pgiam.sandbox.identity_endpoints import Azure, Buildkite, Fly, Gcp, GithubActions, Vercel
from pgiam.sandbox.imds import Imds
from pgiam.sandbox.machine_credentials import MachineCredentials
from pgiam.sandbox.oidc_issuer import OidcIssuer

log = logging.getLogger("pgiam.sandbox.aws")

Answer = Callable[[Request], Response]
_STATUS: Final = {"not_found": 404, "internal_error": 500, "unavailable": 503}


class PlatformEndpoints:
    """Routes by path: no two of the real services share one."""

    def __init__(
        self,
        directory: Directory,
        clock: Clock,
        faults: AwsFaults,
        stats: AwsStats,
        issuer: OidcIssuer,
        credentials: MachineCredentials,
        region: str,
    ) -> None:
        self._faults = faults
        self._stats = stats
        self.issuer = issuer
        self.imds = Imds(directory, clock, credentials, region)
        self.ecs = EcsAgent(directory, credentials)
        self.pod_identity = PodIdentityAgent(directory, clock, credentials, issuer)
        self.github_actions = GithubActions(issuer)
        self.gcp = Gcp(issuer)
        self.azure = Azure(issuer)
        self.fly = Fly(issuer)
        self.vercel = Vercel(issuer)
        self.buildkite = Buildkite(issuer)
        self._routes: tuple[tuple[str, str, Answer], ...] = (
            ("/latest/", "imds", self.imds.answer),
            (container_credentials.RELATIVE_PREFIX, "ecs", self.ecs.answer),
            (container_credentials.FULL_PREFIX, "ecs", self.ecs.answer),
            (container_credentials.POD_IDENTITY_PATH, "pod_identity", self.pod_identity.answer),
            (GithubActions.PATH, "github_actions", self.github_actions.answer),
            ("/computeMetadata/", "gcp", self.gcp.answer),
            (Azure.PATH, "azure", self.azure.answer),
            (Azure.APP_SERVICE_PATH, "azure", self.azure.answer),
            (Vercel.PREFIX, "vercel", self.vercel.answer),
            ("/buildkite/", "buildkite", self.buildkite.answer),
            (oidc_issuer.PREFIX, "oidc", self.issuer.answer),
        )

    async def handle(self, request: Request) -> Response:
        for prefix, target, answer in self._routes:
            if request.path.startswith(prefix):
                return await self._serve(target, self._operation(target, request), request, answer)
        return Response(404, b"Not Found", {"Content-Type": "text/plain"})

    async def handle_fly(self, request: Request) -> Response:
        """Fly's API is alone on its unix socket."""
        return await self._serve("fly", "token", request, self.fly.answer)

    def _operation(self, target: str, request: Request) -> str:
        if target == "imds":
            return self.imds.operation(request)
        if target in ("ecs", "pod_identity"):
            return "credentials"
        if target == "oidc":
            return "discovery" if request.path.endswith(oidc_issuer.DISCOVERY) else "jwks"
        return "token"

    async def _serve(self, target: str, operation: str, request: Request, answer: Answer) -> Response:
        with self._stats.call(target, operation) as call:
            trouble = self._faults.take(target, operation)
            if trouble.delay:
                await asyncio.sleep(trouble.delay)
            if trouble.kind in WIRE_KINDS:
                call.failed(trouble.kind)
                return Response(200, b'{"broken": true}' * 20, delivery=Delivery(trouble.kind))
            if trouble.kind is not None:
                response = Response(_STATUS[trouble.kind], b"as ordered", {"Content-Type": "text/plain"})
            else:
                response = answer(request)
            if response.status >= 400:
                call.failed(str(response.status))
                log.info("%s %s refused: %s", target, operation, response.status)
            return response
