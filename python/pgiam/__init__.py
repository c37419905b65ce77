"""Log in to PostgreSQL on AWS (RDS, Aurora, RDS Proxy, Aurora DSQL) with IAM instead of a stored password."""

from __future__ import annotations

from ._core import (
    AssumeRole,
    CallerIdentity,
    Credentials,
    Diagnosis,
    Endpoint,
    Finding,
    Profile,
    Stats,
    WebIdentity,
    __version__,
    exchange_oidc_token,
    exchange_oidc_token_async,
)
from .client import Client, default_client, do_connect, generate_auth_token, generate_auth_token_async
from .errors import (
    ConfigurationError,
    CredentialsError,
    EndpointError,
    Error,
    ExchangeError,
    IdentityTokenError,
    TransportError,
    WrongTypeError,
)

StaticCredentials = Credentials

TYPE_CHECKING = False  # `typing` itself takes longer to import than all of pgiam
if TYPE_CHECKING:
    from . import asyncpg, oidc, psycopg, sqlalchemy, tls
    from ._doctor import doctor, doctor_async
    from ._explain import explain
    from ._password import Password, password
    from .tls import ca_file, ssl_context

__all__ = [
    "AssumeRole",
    "CallerIdentity",
    "Client",
    "ConfigurationError",
    "Credentials",
    "CredentialsError",
    "Diagnosis",
    "Endpoint",
    "EndpointError",
    "Error",
    "ExchangeError",
    "Finding",
    "IdentityTokenError",
    "Password",
    "Profile",
    "StaticCredentials",
    "Stats",
    "TransportError",
    "WebIdentity",
    "WrongTypeError",
    "__version__",
    "asyncpg",
    "ca_file",
    "default_client",
    "do_connect",
    "doctor",
    "doctor_async",
    "exchange_oidc_token",
    "exchange_oidc_token_async",
    "explain",
    "generate_auth_token",
    "generate_auth_token_async",
    "oidc",
    "password",
    "psycopg",
    "sqlalchemy",
    "ssl_context",
    "tls",
]

# Imported when first used: no driver, no `ssl`, no `asyncio` before that.
_LAZY = {
    "Password": "_password",
    "ca_file": "tls",
    "doctor": "_doctor",
    "doctor_async": "_doctor",
    "explain": "_explain",
    "password": "_password",
    "ssl_context": "tls",
}
_LAZY_MODULES = ("asyncpg", "oidc", "psycopg", "sqlalchemy", "tls")


def __getattr__(name: str) -> object:
    if name in _LAZY_MODULES:
        from importlib import import_module

        return import_module(f".{name}", __name__)
    if name in _LAZY:
        from importlib import import_module

        value: object = getattr(import_module(f".{_LAZY[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
