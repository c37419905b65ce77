"""The operations that the control port offers for the AWS half. Arguments and results are plain JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from pgiam.sandbox import session_policy
from pgiam.sandbox.sts_protocol import StsError

if TYPE_CHECKING:
    from pgiam.sandbox.aws import AwsServices

Json = dict[str, Any]
Operation = Callable[..., Awaitable[Json]]


class ControlError(ValueError):
    """The operation does not exist, or its arguments do not fit."""


class AwsControl:
    """Each public method is an operation, its keyword arguments the operation's."""

    def __init__(self, services: AwsServices) -> None:
        self._services = services

    async def perform(self, operation: str, arguments: Json) -> Json:
        method: Operation | None = getattr(self, operation, None) if operation in OPERATIONS else None
        if method is None:
            raise ControlError(f"no operation {operation!r}; there are {', '.join(OPERATIONS)}")
        try:
            return await method(**arguments)
        except (TypeError, ValueError, LookupError, StsError) as error:
            raise ControlError(f"{operation}: {error}") from error

    # --- faults and figures -----------------------------------------------------------------------

    async def fault(
        self,
        *,
        target: str,
        kind: str,
        operation: str | None = None,
        count: int | None = None,
        seconds: float = 0.0,
    ) -> Json:
        number = self._services.faults.add(target, kind, operation=operation, count=count, seconds=seconds)
        return {"number": number}

    async def clear_faults(self, *, number: int | None = None, target: str | None = None) -> Json:
        return {"cleared": self._services.faults.clear(number, target=target)}

    async def faults(self) -> Json:
        return {"faults": [fault.to_json() for fault in self._services.faults.standing()]}

    async def stats(self) -> Json:
        return {**self._services.stats.snapshot(), "minted": self._services.issuer.minted}

    async def reset_stats(self) -> Json:
        self._services.stats.reset()
        return {}

    async def sessions(self) -> Json:
        return {"sessions": [session.to_json() for session in self._services.sts.sessions()]}

    # --- identity tokens --------------------------------------------------------------------------

    async def issue_identity_token(
        self,
        *,
        platform: str,
        issuer: str | None = None,
        audience: str | list[str] | None = None,
        subject: str | None = None,
        lifetime: float | None = None,
        claims: Json | None = None,
    ) -> Json:
        token = await asyncio.to_thread(
            self._services.issuer.mint,
            platform,
            issuer=issuer,
            audience=audience,
            subject=subject,
            lifetime=lifetime,
            claims=claims,
        )
        return {"token": token}

    async def rotate_keys(
        self,
        *,
        platform: str | None = None,
        issuer: str | None = None,
        keep_old: bool = True,
        publish: bool = True,
        algorithm: str | None = None,
    ) -> Json:
        if platform is not None:
            issuer = self._services.issuer.shape(platform).issuer
        count = await asyncio.to_thread(
            self._services.issuer.rotate, issuer, keep_old=keep_old, publish=publish, algorithm=algorithm
        )
        return {"issuers": count}

    async def renew_identity_files(self) -> Json:
        return {"files": await asyncio.to_thread(self._services.files.renew, all_of_them=True)}

    async def add_provider(self, *, issuer: str, audiences: list[str], jwks: Json | None = None) -> Json:
        self._services.add_provider(issuer, set(audiences), jwks)
        return {}

    async def remove_provider(self, *, issuer: str) -> Json:
        return {"removed": self._services.remove_provider(issuer)}

    # --- platforms --------------------------------------------------------------------------------

    async def platforms(self) -> Json:
        return {"platforms": self._services.environments.platforms}

    async def environment(self, *, platform: str, role: str, lifetime: float | None = None) -> Json:
        variables = await asyncio.to_thread(self._services.environment, platform, role, lifetime=lifetime)
        return {"environment": variables}

    async def trust(self, *, platform: str) -> Json:
        rule = self._services.trust(platform)
        return {"issuer": rule.issuer, "audience": rule.audience, "subject": rule.subject}

    async def add_managed_policy(self, *, arn: str, document: str) -> Json:
        self._services.sts.managed_policies[arn] = session_policy.parse(document)
        return {}

    # --- credentials ------------------------------------------------------------------------------

    async def session_lifetime(self, *, seconds: float | None) -> Json:
        if seconds is not None and seconds <= 0:
            raise ControlError("session_lifetime: seconds must be more than 0")
        self._services.sts.session_lifetime = seconds
        return {}

    async def disable_region(self, *, region: str) -> Json:
        self._services.sts.disabled_regions.add(region)
        return {}

    async def enable_region(self, *, region: str) -> Json:
        self._services.sts.disabled_regions.discard(region)
        return {}

    async def disable_key(self, *, access_key: str) -> Json:
        self._services.directory.disable(access_key)
        return {}

    async def enable_key(self, *, access_key: str) -> Json:
        self._services.directory.enable(access_key)
        return {}

    async def expire_credentials(self) -> Json:
        return {"expired": self._services.expire_credentials()}

    async def revoke_credentials(self) -> Json:
        return {"revoked": self._services.directory.revoke_all()}

    async def rotate_machine_credentials(self) -> Json:
        return {"rotated": self._services.machine_credentials.rotate()}


OPERATIONS: Final = tuple(name for name in vars(AwsControl) if not name.startswith("_") and name != "perform")
