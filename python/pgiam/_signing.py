"""What every driver integration holds: a client, and the options of the auth tokens that it signs."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pgiam

from .errors import ConfigurationError, Error, WrongTypeError

if TYPE_CHECKING:
    from ._core import Endpoint
    from ._login import Login
    from .client import Client


_log = logging.getLogger("pgiam")


class Signing:
    """Signs for a login. Without a client of its own it uses the default client, which is made at the first token."""

    # Made once per connection by the plain hook, so it has no dataclass's slower construction.
    __slots__ = ("client", "expires_in", "region", "token_host")

    def __init__(
        self,
        client: Client | None = None,
        region: str | None = None,
        token_host: str | None = None,
        expires_in: int | None = None,
    ) -> None:
        if client is not None and not isinstance(client, pgiam.Client):
            raise WrongTypeError(
                f"client must be a pgiam.Client, not {type(client).__name__}",
                hint="Pass client=pgiam.Client(...), or leave it out for the default client.",
            )
        self.client = client
        self.region = region
        self.token_host = token_host
        self.expires_in = expires_in

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Signing) and self._options == other._options

    def __hash__(self) -> int:
        return hash(self._options)

    @property
    def _options(self) -> tuple[object, ...]:
        return self.client, self.region, self.token_host, self.expires_in

    @property
    def signer(self) -> Client:
        return pgiam.default_client() if self.client is None else self.client

    def sign(self, login: Login) -> str:
        """Waits only if there are no valid credentials."""
        try:
            return self.signer.generate_auth_token(
                host=login.host,
                port=login.port,
                user=login.user,
                region=self.region,
                token_host=self.token_host,
                expires_in=self.expires_in,
            )
        except Error as error:
            self._log_failure(login, error)
            raise

    async def sign_async(self, login: Login) -> str:
        try:
            return await self.signer.generate_auth_token_async(
                host=login.host,
                port=login.port,
                user=login.user,
                region=self.region,
                token_host=self.token_host,
                expires_in=self.expires_in,
            )
        except Error as error:
            self._log_failure(login, error)
            raise

    def _log_failure(self, login: Login, error: Error) -> None:
        # Pools retry in the background and show their callers a time-out: this line is then the only trace.
        _log.error(
            "no auth token for %s@%s:%d (region %s): %s",
            *(login.user, login.host, login.port, self.region or "of the host", error),
        )

    def dialled(self, login: Login) -> str:
        """The host to connect to: the login's own, but for a bare Aurora DSQL cluster id."""
        return login.host if "." in login.host else self.endpoint(login).host

    def endpoint(self, login: Login) -> Endpoint:
        return pgiam.Endpoint.parse(login.host, port=login.port, region=self.region, token_host=self.token_host)

    def only(self, logins: Iterable[Login], *, driver: str) -> Login:
        """The login that one password serves, for a driver that sends the same one to every host."""
        first, *others = logins
        if others:
            signed = {self._signed(login) for login in (first, *others)}
            if len(signed) > 1:
                raise ConfigurationError(
                    f"{driver} sends one password to {len(others) + 1} hosts, but an auth token is good for one host",
                    hint="Use one endpoint (an Aurora cluster endpoint follows fail-overs by DNS), asyncpg, which asks "
                    "for a password per host, or token_host= if all of them lead to the same endpoint.",
                )
        return first

    def _signed(self, login: Login) -> tuple[str, int | None]:
        endpoint = self.endpoint(login)
        return endpoint.token_host, None if endpoint.kind == "dsql" else endpoint.token_port
