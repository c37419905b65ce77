"""asyncpg: `connect` and `create_pool` with the password and TLS set. Everything else is asyncpg's own.

`asyncpg.create_pool(..., password=pgiam.password(...), ssl=pgiam.ssl_context())` needs none of this. What these add:
several hosts, full verification unless something else was said, a client that drops the credentials that a server
refuses, and a `reset` that Aurora DSQL accepts.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

import asyncpg

from ._asyncpg_password import PasswordPerHost
from ._driver_tls import Tls, check_tls, secure_asyncpg
from ._login import Login, complete, resolve
from ._refusal import drops_refused
from ._signing import Signing
from .errors import ConfigurationError, WrongTypeError

if TYPE_CHECKING:
    from .client import Client

__all__ = ["connect", "create_pool"]


async def connect(
    dsn: str | None = None,
    *,
    client: Client | None = None,
    token_host: str | None = None,
    region: str | None = None,
    expires_in: int | None = None,
    tls: Tls | None = None,
    **options: Any,
) -> asyncpg.Connection:
    """`asyncpg.connect`, logging in with an auth token."""
    return await _Connect(asyncpg.connect, Signing(client, region, token_host, expires_in), tls)(dsn, **options)


def create_pool(
    dsn: str | None = None,
    *,
    client: Client | None = None,
    token_host: str | None = None,
    region: str | None = None,
    expires_in: int | None = None,
    tls: Tls | None = None,
    **options: Any,
) -> asyncpg.Pool:
    """`asyncpg.create_pool`, logging in with an auth token of its own for each connection (asyncpg 0.30 or later)."""
    if "connect" not in signature(asyncpg.create_pool).parameters:
        raise ConfigurationError(
            f"create_pool of asyncpg {asyncpg.__version__} cannot be told how to connect",
            hint="Upgrade to asyncpg 0.30, or call asyncpg's own create_pool with password=pgiam.password(...).",
        )
    signing = Signing(client, region, token_host, expires_in)
    connector = _Connect(options.pop("connect", None) or asyncpg.connect, signing, tls)
    # A dry run: what is wrong with the options is an error here, not in the pool's background.
    logins = connector.prepare(dsn, dict(options))
    if any(signing.endpoint(login).kind == "dsql" for login in logins):
        options.setdefault("reset", _reset_dsql)
    return asyncpg.create_pool(dsn, connect=connector, **options)


class _Connect:
    """Opens one connection, as `asyncpg.connect` and as the `connect=` of a pool."""

    def __init__(self, inner: Callable[..., Any], signing: Signing, tls: Tls | None) -> None:
        check_tls(tls)
        self._inner = inner
        self._signing = signing
        self._tls = tls

    def prepare(self, dsn: str | None, options: dict[str, Any]) -> list[Login]:
        """Everything but the password: whom to sign for, and TLS. What the DSN says is written into `options`."""
        for key, value in _said_in(dsn).items():
            if options.get(key) is None:
                options[key] = value
        logins = resolve(options, services=True)
        complete(options, logins, [self._signing.dialled(login) for login in logins], lists=True)
        if self._tls != "off":
            secure_asyncpg(options)
        return logins

    async def __call__(self, dsn: str | None = None, **options: Any) -> Any:
        logins = self.prepare(dsn, options)
        options["password"] = PasswordPerHost(self._signing, logins)
        with drops_refused(self._signing.signer):
            return await self._inner(dsn, **options)


async def _reset_dsql(connection: asyncpg.Connection) -> None:
    # asyncpg's own reset also frees advisory locks, cursors and listeners, none of which Aurora DSQL has.
    await connection.execute("RESET ALL")


def _said_in(dsn: str | None) -> dict[str, Any]:
    """What a DSN says about the login and TLS, in the words of asyncpg's parameters; asyncpg reads the rest itself."""
    if dsn is None:
        return {}
    if not isinstance(dsn, str):
        raise WrongTypeError(f"dsn must be a str, not {type(dsn).__name__}", hint="Pass postgresql://user@host/name.")
    try:
        parts = urlsplit(dsn)
    except ValueError as error:
        # Without the cause: it may quote the DSN, and with that a password.
        raise ConfigurationError(
            f"the DSN cannot be parsed: {type(error).__name__}", hint="Write it as postgresql://user@host:port/name."
        ) from None
    userinfo, _, hosts = parts.netloc.rpartition("@")
    query = dict(parse_qsl(parts.query))
    for key in query:
        if key == "service" or (key.startswith("ssl") and key not in {"sslmode", "sslnegotiation"}):
            raise ConfigurationError(
                f"{key} in a DSN is not understood here",
                hint="Pass ssl= an SSLContext for certificates of your own, and host and user in the DSN itself.",
            )
    said: dict[str, Any] = {}
    if hosts:
        said["host"], said["port"] = _hosts_and_ports(hosts)
    elif "host" in query:
        said["host"] = query["host"].split(",")
    if "port" in query and "port" not in said:
        said["port"] = query["port"].split(",")
    user = unquote(userinfo.partition(":")[0]) or query.get("user")
    if user:
        said["user"] = user
    if "sslmode" in query:
        said["ssl"] = query["sslmode"]
    if query.get("sslnegotiation") == "direct":
        said["direct_tls"] = True
    return said


def _hosts_and_ports(text: str) -> tuple[list[str], list[str] | None]:
    hosts, ports = [], []
    for spec in text.split(","):
        address, bracket, rest = spec.rpartition("]")  # an IPv6 address
        host, _, port = (address[1:], "", rest.lstrip(":")) if bracket else spec.partition(":")
        hosts.append(unquote(host))
        ports.append(port)
    return hosts, ports if any(ports) else None
