"""The client: one object per identity, shared by threads, tasks and forked children."""

from __future__ import annotations

from . import _core

TYPE_CHECKING = False  # `typing` itself takes longer to import than all of pgiam
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sqlalchemy.engine import Dialect
    from sqlalchemy.pool import ConnectionPoolEntry

    from ._core import CallerIdentity, Credentials
    from ._password import Password

__all__ = ["Client", "default_client", "do_connect", "generate_auth_token", "generate_auth_token_async"]


class Client(_core.Client):
    """Holds AWS credentials, keeps them fresh, and signs auth tokens with them.

    Making one does no I/O. `source` is None (work out where this runs), `pgiam.Credentials`,
    `pgiam.Profile`, `pgiam.WebIdentity`, `pgiam.AssumeRole`, or a callable, sync or async, that returns credentials.
    """

    async def generate_auth_token_async(
        self,
        *,
        host: str | None = None,
        user: str | None = None,
        port: int | None = None,
        region: str | None = None,
        token_host: str | None = None,
        expires_in: int | None = None,
    ) -> str:
        """A fresh auth token. Suspends only if there is nothing valid to sign with."""
        token = self._mint(None, host, user, port, region, token_host, expires_in)
        while token is None:
            entry = await self._wait()
            if entry is not None:
                token = self._mint(entry, host, user, port, region, token_host, expires_in)
        return token

    async def credentials_async(self) -> Credentials:
        """The credentials that sign now."""
        credentials = self._credentials(None)
        while credentials is None:
            entry = await self._wait()
            if entry is not None:
                credentials = self._credentials(entry)
        return credentials

    async def refresh_async(self) -> Credentials:
        """Fetches new credentials now; the present ones serve until those are here."""
        credentials = None
        while credentials is None:
            entry = await self._wait_newer()
            if entry is not None:
                credentials = self._credentials(entry)
        return credentials

    async def whoami_async(self) -> CallerIdentity:
        """Whose the credentials are, by STS's own word."""
        return await self._whoami(await self.credentials_async())

    def do_connect(
        self,
        dialect: Dialect,
        conn_rec: ConnectionPoolEntry,
        cargs: list[Any],
        cparams: dict[str, Any],
    ) -> None:
        """For `sqlalchemy.event.listen(engine, "do_connect", client.do_connect)`."""
        (_made.get("hook") or _import_hook())(self, dialect, conn_rec, cargs, cparams)

    def password(
        self,
        *,
        host: str | None = None,
        user: str | None = None,
        port: int | None = None,
        region: str | None = None,
        token_host: str | None = None,
        expires_in: int | None = None,
    ) -> Password:
        """A password that every driver takes and that is a fresh auth token each time it is used."""
        from ._password import password

        return password(
            host=host,
            user=user,
            port=port,
            region=region,
            token_host=token_host,
            expires_in=expires_in,
            client=self,
        )

    def __repr__(self) -> str:
        return "<pgiam.Client>"


# What is made on first use. A dict's setdefault is atomic, and unlike a lock it cannot be held by another thread when
# the process forks.
_made: dict[str, Any] = {}


def default_client() -> Client:
    """The process's own client, made on first use, with the identity of wherever this runs."""
    client: Client = _made.get("default") or _made.setdefault("default", Client())
    return client


def _import_hook() -> Callable[..., None]:
    # Once, and not per connection: an import statement costs as much as a tenth of the hook.
    from .sqlalchemy import do_connect

    hook: Callable[..., None] = _made.setdefault("hook", do_connect)
    return hook


def generate_auth_token(
    *,
    host: str | None = None,
    user: str | None = None,
    port: int | None = None,
    region: str | None = None,
    token_host: str | None = None,
    expires_in: int | None = None,
) -> str:
    """A fresh auth token from the default client: what the database takes as the password."""
    return default_client().generate_auth_token(
        host=host, user=user, port=port, region=region, token_host=token_host, expires_in=expires_in
    )


async def generate_auth_token_async(
    *,
    host: str | None = None,
    user: str | None = None,
    port: int | None = None,
    region: str | None = None,
    token_host: str | None = None,
    expires_in: int | None = None,
) -> str:
    """As `generate_auth_token`, without ever blocking the event loop."""
    return await default_client().generate_auth_token_async(
        host=host, user=user, port=port, region=region, token_host=token_host, expires_in=expires_in
    )


def do_connect(
    dialect: Dialect,
    conn_rec: ConnectionPoolEntry,
    cargs: list[Any],
    cparams: dict[str, Any],
) -> None:
    """For `sqlalchemy.event.listen(engine, "do_connect", pgiam.do_connect)`: logs in with the default client."""
    (_made.get("hook") or _import_hook())(None, dialect, conn_rec, cargs, cparams)
