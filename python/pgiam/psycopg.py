"""psycopg 3: connections that log in with an auth token of their own, one per physical connection.

`connection_class=pgiam.psycopg.Connection` does it for `psycopg_pool` and for Django's `OPTIONS["pool"]`;
`Connection.using(client=...)` is the same class with other options. Pools connect in threads and tasks of their
own, so a source of credentials that reads a context variable of the request finds it empty there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import Row

from ._driver_tls import Tls, check_tls, secure_libpq
from ._login import Login, complete, resolve
from ._refusal import drops_refused
from ._signing import Signing

if TYPE_CHECKING:
    from psycopg.abc import AdaptContext, ConnParam
    from psycopg.rows import AsyncRowFactory, RowFactory
    from typing_extensions import Self

    from .client import Client

__all__ = ["AsyncConnection", "Connection", "connect"]


@dataclass(frozen=True)
class _Options:
    signing: Signing
    tls: Tls | None

    def __post_init__(self) -> None:
        check_tls(self.tls)

    def prepare(self, conninfo: str, kwargs: dict[str, ConnParam]) -> tuple[dict[str, Any], Login]:
        """Everything but the password: the parameters, with TLS said, and whom to sign for."""
        params: dict[str, Any] = conninfo_to_dict(conninfo, **kwargs)
        logins = resolve(params, services=True)
        login = self.signing.only(logins, driver="psycopg")
        complete(params, logins, [self.signing.dialled(each) for each in logins])
        if self.tls != "off":
            secure_libpq(params)
        return params, login


class Connection(psycopg.Connection[Row]):
    """`psycopg.Connection`, whose `connect` sets the password and, where nothing was said, TLS with verification."""

    _options: ClassVar[_Options] = _Options(Signing(), None)

    @classmethod
    def using(
        cls,
        *,
        client: Client | None = None,
        token_host: str | None = None,
        region: str | None = None,
        expires_in: int | None = None,
        tls: Tls | None = None,
    ) -> type[Self]:
        """This class with these options, for `connection_class=` or to `connect` with."""
        options = _Options(Signing(client, region, token_host, expires_in), tls)
        made = type(cls.__name__, (cls,), {"_options": options, "__module__": cls.__module__})
        return cast("type[Self]", made)

    @classmethod
    def connect(
        cls,
        conninfo: str = "",
        *,
        autocommit: bool = False,
        prepare_threshold: int | None = 5,
        context: AdaptContext | None = None,
        row_factory: RowFactory[Row] | None = None,
        cursor_factory: type[psycopg.Cursor[Row]] | None = None,
        **kwargs: ConnParam,
    ) -> Self:
        params, login = cls._options.prepare(conninfo, kwargs)
        signing = cls._options.signing
        with drops_refused(signing.signer):
            params["password"] = signing.sign(login)
            return super().connect(
                autocommit=autocommit,
                prepare_threshold=prepare_threshold,
                context=context,
                row_factory=row_factory,
                cursor_factory=cursor_factory,
                **params,
            )


class AsyncConnection(psycopg.AsyncConnection[Row]):
    """`psycopg.AsyncConnection` with the same; it awaits credentials and never blocks the event loop."""

    _options: ClassVar[_Options] = _Options(Signing(), None)

    @classmethod
    def using(
        cls,
        *,
        client: Client | None = None,
        token_host: str | None = None,
        region: str | None = None,
        expires_in: int | None = None,
        tls: Tls | None = None,
    ) -> type[Self]:
        """This class with these options, for `connection_class=` or to `connect` with."""
        options = _Options(Signing(client, region, token_host, expires_in), tls)
        made = type(cls.__name__, (cls,), {"_options": options, "__module__": cls.__module__})
        return cast("type[Self]", made)

    @classmethod
    async def connect(
        cls,
        conninfo: str = "",
        *,
        autocommit: bool = False,
        prepare_threshold: int | None = 5,
        context: AdaptContext | None = None,
        row_factory: AsyncRowFactory[Row] | None = None,
        cursor_factory: type[psycopg.AsyncCursor[Row]] | None = None,
        **kwargs: ConnParam,
    ) -> Self:
        params, login = cls._options.prepare(conninfo, kwargs)
        signing = cls._options.signing
        with drops_refused(signing.signer):
            params["password"] = await signing.sign_async(login)
            return await super().connect(
                autocommit=autocommit,
                prepare_threshold=prepare_threshold,
                context=context,
                row_factory=row_factory,
                cursor_factory=cursor_factory,
                **params,
            )


connect = Connection.connect
