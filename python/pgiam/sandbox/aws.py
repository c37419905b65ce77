"""The AWS half of the sandbox: STS, and the surroundings of a workload, on loopback sockets of one event loop."""

from __future__ import annotations

import asyncio
import logging
import shutil
import ssl
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from pgiam.sandbox import http, sts_identity
from pgiam.sandbox.aws_control import AwsControl
from pgiam.sandbox.aws_faults import AwsFaults
from pgiam.sandbox.aws_stats import AwsStats
from pgiam.sandbox.claim_shapes import SHAPES
from pgiam.sandbox.clock import Clock
from pgiam.sandbox.iam import Directory, TrustRule
from pgiam.sandbox.machine_credentials import MachineCredentials
from pgiam.sandbox.oidc_issuer import OidcIssuer
from pgiam.sandbox.platform_endpoints import PlatformEndpoints
from pgiam.sandbox.platform_environment import PlatformEnvironment
from pgiam.sandbox.projected_files import ProjectedFiles
from pgiam.sandbox.sts import Sts

log = logging.getLogger("pgiam.sandbox.aws")

RENEWAL_INTERVAL: Final = 0.2
# Known to the cluster's own agent only; IAM is never told of this audience.
NOT_FOR_STS: Final = frozenset({"eks_pod_identity"})


class AwsServices:
    """Started once, closed once. `tls` adds a second STS endpoint, over https."""

    def __init__(
        self,
        directory: Directory,
        clock: Clock,
        faults: AwsFaults,
        region: str,
        *,
        tls: ssl.SSLContext | None = None,
        folder: Path | None = None,
    ) -> None:
        self.directory = directory
        self.region = region
        self.faults = faults
        self.stats = AwsStats()
        self.issuer = OidcIssuer(clock, faults)
        self.sts = Sts(directory, clock, faults, self.stats, region)
        self.machine_credentials = MachineCredentials(directory, clock, self.sts)
        self.endpoints = PlatformEndpoints(
            directory, clock, faults, self.stats, self.issuer, self.machine_credentials, region
        )
        self._clock = clock
        self._tls = tls
        self._own_folder = folder is None
        self._folder = folder
        self._servers: list[http.Server] = []
        self._renewal: asyncio.Task[None] | None = None
        self._common: dict[str, str] = {}
        self.secure_sts_url = ""
        self._register_platforms()
        self._control = AwsControl(self)

    async def start(self) -> dict[str, str]:
        """Listen; returns the variables that every client needs, whatever its platform."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="pgiam-aws-"))
        self.files = ProjectedFiles(self._folder, self._clock)
        self.environments = PlatformEnvironment(self.directory, self.sts, self.issuer, self.endpoints, self.files)
        now = self._clock.now
        sts = await self._listen(self.sts.handle)
        platform = await self._listen(self.endpoints.handle)
        self.issuer.base_url = self.environments.platform_url = f"http://{platform.host}:{platform.port}"
        if hasattr(asyncio, "start_unix_server"):  # not on Windows
            self.environments.fly_socket = str(self._folder / "fly-api")
            fly = await http.serve(self.endpoints.handle_fly, unix_path=self.environments.fly_socket, now=now)
            self._servers.append(fly)
        self._common = {
            "AWS_ENDPOINT_URL_STS": f"http://{sts.host}:{sts.port}",
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            # Whatever profiles this machine has, they are not the sandbox's.
            "AWS_CONFIG_FILE": str(self._folder / "aws-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self._folder / "aws-credentials"),
        }
        if self._tls is not None:
            secure = await self._listen(self.sts.handle, self._tls)
            self.secure_sts_url = f"https://localhost:{secure.port}"
        self._closing = asyncio.Event()
        self._renewal = asyncio.get_running_loop().create_task(self._renew_files())
        log.info("sts on port %d, platform endpoints on port %d", sts.port, platform.port)
        return dict(self._common)

    async def close(self) -> None:
        """Stop listening, drop every connection and remove the files."""
        if self._renewal is not None:
            # Not cancelled: a file that is being written must not reappear in a folder that is gone.
            self._closing.set()
            await self._renewal
        for server in self._servers:
            await server.close()
        self._servers.clear()
        if self._own_folder and self._folder is not None:
            shutil.rmtree(self._folder)
            self._folder = None

    async def control(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Carry out an operation of the control port; `ControlError` if there is none such or it cannot be."""
        return await self._control.perform(operation, arguments)

    def environment(self, platform: str, role: str, *, lifetime: float | None = None) -> dict[str, str]:
        """All variables of a workload on a platform that runs as `role`."""
        return {**self._common, **self.environments.of(platform, role, lifetime)}

    def trust(self, platform: str) -> TrustRule:
        """The trust statement that a role needs for the platform's default identity token."""
        shape = self.issuer.shape(platform)
        return TrustRule(issuer=shape.issuer, audience=shape.trusted_audience, subject=shape.subject)

    def expire_credentials(self) -> int:
        """End every temporary credential now; returns how many were alive."""
        return self.directory.expire_all(self._clock.now())

    def add_provider(self, issuer: str, audiences: set[str] | None, jwks: dict[str, Any] | None = None) -> None:
        """Register an IAM OIDC provider, replacing the one of that issuer. Without `jwks` it is one of ours."""
        self.remove_provider(issuer)
        location = issuer.partition("://")[2].rstrip("/")
        name = f"arn:{self.directory.partition}:iam::{self.directory.account}:oidc-provider/{location}"
        if issuer == sts_identity.GOOGLE:
            name = location
        keys = (lambda: jwks) if jwks is not None else (lambda: self.issuer.jwks(issuer))
        self.sts.providers.append(sts_identity.Provider(issuer, audiences, keys, name))

    def remove_provider(self, issuer: str) -> bool:
        kept = [provider for provider in self.sts.providers if provider.issuer != issuer]
        removed = len(kept) < len(self.sts.providers)
        self.sts.providers[:] = kept
        return removed

    def _register_platforms(self) -> None:
        audiences: dict[str, set[str]] = {}
        for platform, shape in SHAPES.items():
            if platform not in NOT_FOR_STS:
                audiences.setdefault(shape.issuer, set()).add(shape.trusted_audience)
        for issuer, admitted in audiences.items():
            # Google needs no provider in IAM, and then nothing limits the audience but the role's trust.
            self.add_provider(issuer, None if issuer == sts_identity.GOOGLE else admitted)

    async def _listen(self, handler: http.Handler, tls: ssl.SSLContext | None = None) -> http.Server:
        server = await http.serve(handler, tls=tls, now=self._clock.now)
        self._servers.append(server)
        return server

    async def _renew_files(self) -> None:
        while not self._closing.is_set():
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._closing.wait(), RENEWAL_INTERVAL)
            try:
                await asyncio.to_thread(self.files.renew)
            except OSError:
                log.exception("the identity token files could not be renewed")
