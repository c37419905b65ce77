"""A password that is a fresh auth token each time a driver asks for it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable
from typing import TYPE_CHECKING, NoReturn

from ._login import resolve
from ._signing import Signing

if TYPE_CHECKING:
    from .client import Client

_log = logging.getLogger("pgiam")


class Password:
    """Give it as `password=`, once; every physical connection gets an auth token of its own.

    Calling it gives an awaitable (asyncpg, Tortoise); `str()` of it signs (psycopg, psycopg2, psycopg_pool, Django,
    Peewee). `repr()`, f-strings, `str.format` and the logging module show where it leads to and never a token; but
    `print(password)` and `"%s" % password` call `str()` as a driver does, and so show one.

    pg8000 takes neither calls nor objects: use `str(password)` per connection, or SQLAlchemy's `do_connect`.
    """

    __slots__ = ("__weakref__", "_login", "_signing")

    def __init__(
        self,
        *,
        host: str | None = None,
        user: str | None = None,
        port: int | None = None,
        region: str | None = None,
        token_host: str | None = None,
        expires_in: int | None = None,
        client: Client | None = None,
    ) -> None:
        self._signing = Signing(client, region, token_host, expires_in)
        logins = resolve({"host": host, "port": port, "user": user}, services=False)
        self._login = self._signing.only(logins, driver="a Password")
        # A wrong endpoint is an error where it is written down, not at the first connection.
        self._signing.endpoint(self._login)

    def __call__(self) -> Awaitable[str]:
        return self._signing.sign_async(self._login)

    def __str__(self) -> str:
        # "%s" in a log record comes from logging's own getMessage: no driver is called from there.
        if sys._getframe(1).f_globals.get("__name__") == "logging":
            return repr(self)
        if not self._signing.signer.ready() and _on_event_loop():
            _log.warning("%r waits for credentials on an event loop's thread; pgiam.psycopg does not", self)
        return self._signing.sign(self._login)

    def __repr__(self) -> str:
        host, port, user = self._login
        return f"<pgiam.Password {user}@{host}:{port}>"

    def __format__(self, format_spec: str) -> str:
        return format(repr(self), format_spec)

    # Settings are copied by Django and others; both copies must sign with the same client.
    def __copy__(self) -> Password:
        return self

    def __deepcopy__(self, memo: object) -> Password:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a pgiam.Password cannot be pickled: make one in the process that connects")


def _on_event_loop() -> bool:
    asyncio = sys.modules.get("asyncio")  # never imported here: that alone costs 48 ms
    if asyncio is None:
        return False
    running: object = asyncio._get_running_loop()
    return running is not None


def password(
    *,
    host: str | None = None,
    user: str | None = None,
    port: int | None = None,
    region: str | None = None,
    token_host: str | None = None,
    expires_in: int | None = None,
    client: Client | None = None,
) -> Password:
    """A password for any driver, that is a fresh auth token each time it is used. The default client signs it."""
    return Password(
        host=host,
        user=user,
        port=port,
        region=region,
        token_host=token_host,
        expires_in=expires_in,
        client=client,
    )
