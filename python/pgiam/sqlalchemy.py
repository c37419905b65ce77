"""SQLAlchemy 2.0 and 2.1: an auth token for every physical connection, through the `do_connect` event.

`event.listen(engine, "do_connect", pgiam.do_connect)` is the whole integration. `attach` does the same and also
checks that the event can fire, and drops credentials that a server refuses; `create_engine` and
`create_async_engine` make the engine, with pool defaults that suit the endpoint, and attach to it.

A password in the URL or in `connect_args` is replaced.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy import event, util
from sqlalchemy.engine import Dialect, Engine, ExceptionContext, make_url

import pgiam

from ._asyncpg_password import PasswordPerHost
from ._driver_tls import Tls, check_tls, secure_asyncpg, secure_libpq, secure_pg8000
from ._login import Login, complete, resolve
from ._refusal import drop_refused, generation
from ._reported import Reported
from ._signing import Signing
from .errors import ConfigurationError, WrongTypeError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from .client import Client

__all__ = ["attach", "create_async_engine", "create_engine", "do_connect"]

_SECURE: Final[dict[str, Callable[[dict[str, Any]], None]]] = {
    "psycopg": secure_libpq,
    "psycopg2": secure_libpq,
    "asyncpg": secure_asyncpg,
    "pg8000": secure_pg8000,
}
_LIBPQ: Final = frozenset({"psycopg", "psycopg2"})

_DEFAULT: Final = Signing()

# RDS Proxy closes clients that were idle for 30 minutes, DSQL every connection after 60. RDS closes none; there the
# limit is how long a pool may stay on an instance that a fail-over has demoted.
_RECYCLE_SECONDS: Final = {"rds": 1_800, "rds-proxy": 1_500, "dsql": 3_000}

_AnyEngine = TypeVar("_AnyEngine", bound="Engine | AsyncEngine")

# SQLAlchemy 2.1 renamed it, and deprecates the old name in 2.2.
_await: Callable[..., Any] = getattr(util, "await_", None) or util.await_only


def do_connect(
    client: Client | None, dialect: Dialect, conn_rec: object, cargs: list[Any], cparams: dict[str, Any]
) -> None:
    """The body of `pgiam.do_connect` and `client.do_connect`."""
    _provide(_DEFAULT if client is None else Signing(client), None, dialect, cargs, cparams)


def attach(
    engine: _AnyEngine,
    *,
    client: Client | None = None,
    token_host: str | None = None,
    region: str | None = None,
    expires_in: int | None = None,
    tls: Tls | None = None,
) -> _AnyEngine:
    """Let the engine log in with auth tokens, and return it. Attaching twice with the same options does nothing.

    When the server refuses a login, the client drops its credentials, at most once a minute, so that the next
    connection starts with fresh ones. Why a connection failed is logged on the logger `pgiam`, each cause once.
    """
    hook = _Hook(Signing(client, region, token_host, expires_in), tls)
    sync_engine = getattr(engine, "sync_engine", engine)
    if not isinstance(sync_engine, Engine):
        raise WrongTypeError(f"cannot attach to {type(engine).__name__}", hint="Pass the Engine or AsyncEngine itself.")
    dialect = sync_engine.dialect
    _check_driver(dialect)
    if not _fires_do_connect(sync_engine):
        raise ConfigurationError(
            "this engine opens its connections by itself (creator=, async_creator= or pool= was given), "
            "so SQLAlchemy never asks for a password",
            hint="Leave creator=, async_creator= and pool= out, or give the creator's driver pgiam.password().",
        )
    present = _attached.get(dialect)
    if present == hook:
        return engine
    if present is not None or any(map(_is_ours, dialect.dispatch.do_connect)):
        raise ConfigurationError(
            "pgiam already provides this engine's passwords, with other options",
            hint="Attach once per engine, and leave event.listen(..., pgiam.do_connect) out beside attach.",
        )
    event.listen(sync_engine, "do_connect", hook)
    if dialect.driver != "asyncpg":  # its refusals are seen by the hook: SQLAlchemy 2.0 reports none of them
        event.listen(sync_engine, "handle_error", _heal)
    _attached[dialect] = hook
    return engine


def create_engine(
    url: str | sa.URL,
    *,
    client: Client | None = None,
    token_host: str | None = None,
    region: str | None = None,
    expires_in: int | None = None,
    tls: Tls | None = None,
    **options: Any,
) -> Engine:
    """`sqlalchemy.create_engine`, attached. What is said in `options` wins over the defaults set here."""
    defaults = _defaults(url, Signing(client, region, token_host, expires_in), tls, options)
    engine = sa.create_engine(url, **{**defaults, **options})
    return attach(engine, client=client, token_host=token_host, region=region, expires_in=expires_in, tls=tls)


def create_async_engine(
    url: str | sa.URL,
    *,
    client: Client | None = None,
    token_host: str | None = None,
    region: str | None = None,
    expires_in: int | None = None,
    tls: Tls | None = None,
    **options: Any,
) -> AsyncEngine:
    """`sqlalchemy.ext.asyncio.create_async_engine`, attached. What is said in `options` wins over the defaults."""
    from sqlalchemy.ext.asyncio import create_async_engine as create

    defaults = _defaults(url, Signing(client, region, token_host, expires_in), tls, options)
    engine = create(url, **{**defaults, **options})
    return attach(engine, client=client, token_host=token_host, region=region, expires_in=expires_in, tls=tls)


class _Hook:
    """The listener that `attach` puts on an engine."""

    def __init__(self, signing: Signing, tls: Tls | None) -> None:
        check_tls(tls)
        self.signing: Signing = signing
        self.tls: Tls | None = tls
        self.reported = Reported()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hook) and (self.signing, self.tls) == (other.signing, other.tls)

    def __hash__(self) -> int:
        return hash((self.signing, self.tls))

    def __call__(self, dialect: Dialect, conn_rec: object, cargs: list[Any], cparams: dict[str, Any]) -> None:
        client = self.signing.signer
        refused = generation(client)
        _attempt.set(None)
        login = _provide(self.signing, self.tls, dialect, cargs, cparams)
        attempt = _Attempt(self, client, refused, login)
        _attempt.set(attempt)
        if dialect.driver == "psycopg" and getattr(dialect, "use_native_hstore", False):
            self._check_hstore(login)
        if dialect.driver == "asyncpg":
            connect = cparams.get("async_creator_fn") or dialect.loaded_dbapi.asyncpg.connect
            cparams["async_creator_fn"] = _watch(connect, attempt)

    def _check_hstore(self, login: Login) -> None:
        if self.signing.endpoint(login).kind == "dsql":
            raise ConfigurationError(
                "SQLAlchemy would look for hstore inside a savepoint, and Aurora DSQL has none",
                hint="Pass use_native_hstore=False to create_engine, or make the engine with pgiam.sqlalchemy.",
            )


def _provide(signing: Signing, tls: Tls | None, dialect: Dialect, cargs: list[Any], cparams: dict[str, Any]) -> Login:
    """Fill in `cparams` and leave the connecting to SQLAlchemy."""
    logins = _prepare(dialect, cargs, cparams, signing, tls)
    login = logins[0]
    if dialect.driver == "asyncpg":
        # Signed inside asyncpg, once per host that it tries: awaiting there holds up nobody.
        cparams["password"] = PasswordPerHost(signing, logins)
    elif dialect.is_async and not signing.signer.ready():
        cparams["password"] = _await(signing.sign_async(login))
    else:
        cparams["password"] = signing.sign(login)
    return login


def _prepare(
    dialect: Dialect, cargs: list[Any], cparams: dict[str, Any], signing: Signing, tls: Tls | None
) -> list[Login]:
    """Everything but the password: whom to sign for, and TLS."""
    _check_driver(dialect)
    if any(cargs):
        raise ConfigurationError(
            "positional arguments for the driver hide host and user, so there is nothing to sign",
            hint="Put host, port and user into the URL.",
        )
    logins = resolve(cparams, services=dialect.driver != "pg8000")
    complete(cparams, logins, [signing.dialled(login) for login in logins], lists=dialect.driver == "asyncpg")
    if dialect.driver == "pg8000" and len(logins) > 1:
        raise ConfigurationError("pg8000 connects to one host only", hint="Name a single endpoint.")
    if len(logins) > 1 and dialect.driver in _LIBPQ:
        signing.only(logins, driver=dialect.driver)
    if tls != "off":
        _SECURE[dialect.driver](cparams)
    return logins


def _check_driver(dialect: Dialect) -> None:
    if dialect.driver not in _SECURE:
        raise ConfigurationError(
            f"no auth tokens for the dialect {dialect.name}+{dialect.driver}",
            hint=f"Use postgresql+ one of {', '.join(sorted(_SECURE))}, or listen on the engine that needs the tokens.",
        )


def _fires_do_connect(engine: Engine) -> bool:
    # Only create_engine's own closure runs the event, and on the dialect that it closed over: creator= and
    # async_creator= put another function in its place, and a pool= from elsewhere brings another dialect.
    creator = engine.pool._creator
    return (
        inspect.isfunction(creator)
        and creator.__module__ == "sqlalchemy.engine.create"
        and inspect.getclosurevars(creator).nonlocals.get("dialect") is engine.dialect
    )


def _is_ours(listener: object) -> bool:
    owner = getattr(listener, "__self__", None)
    return listener is pgiam.do_connect or isinstance(owner, pgiam.Client) or isinstance(listener, _Hook)


def _defaults(url: object, signing: Signing, tls: Tls | None, options: dict[str, Any]) -> dict[str, Any]:
    check_tls(tls)
    if not isinstance(url, (str, sa.URL)):
        raise WrongTypeError(
            f"url must be a str or a sqlalchemy.URL, not {type(url).__name__}",
            hint="Pass postgresql+<driver>://<user>@<host>/<database>.",
        )
    url = make_url(url)
    dialect = url.get_dialect()()
    _check_driver(dialect)
    cargs, cparams = dialect.create_connect_args(url)
    # A dry run: what is wrong with the URL is an error here, not at the first connection.
    logins = _prepare(dialect, list(cargs), {**cparams, **options.get("connect_args", {})}, signing, tls)
    kinds = {signing.endpoint(login).kind for login in logins}
    defaults: dict[str, Any] = {
        "pool_pre_ping": True,
        "pool_recycle": min(_RECYCLE_SECONDS[kind] for kind in kinds),
    }
    if "dsql" in kinds and dialect.driver in _LIBPQ:
        defaults["use_native_hstore"] = False  # its probe needs a savepoint, which DSQL has not
    return defaults


_attached: WeakKeyDictionary[Dialect, _Hook] = WeakKeyDictionary()

# The hook and SQLAlchemy's report of a failed connect run in the same context, but share no object.
_attempt: ContextVar[_Attempt | None] = ContextVar("pgiam_attempt", default=None)


class _Attempt(NamedTuple):
    """One attempt to connect, and which fetch its credentials came from."""

    hook: _Hook
    client: Client
    refused: int
    login: Login

    def failed(self, error: BaseException) -> None:
        drop_refused(self.client, self.refused, error)
        self.hook.reported.failure(error, self.login, self.hook.signing.endpoint(self.login))


def _heal(context: ExceptionContext) -> None:
    attempt = _attempt.get()
    if context.connection is None and attempt is not None:
        attempt.failed(context.original_exception)


def _watch(connect: Callable[..., Any], attempt: _Attempt) -> Callable[..., Any]:
    async def connect_and_watch(*args: Any, **kwargs: Any) -> Any:
        try:
            return await connect(*args, **kwargs)
        except Exception as error:
            attempt.failed(error)
            raise

    return connect_and_watch
