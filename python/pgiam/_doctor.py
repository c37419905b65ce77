"""`pgiam.doctor`: every step of a login, examined one by one. The core does it; here are its arguments."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from . import _core, _url, tls
from .client import Client, default_client
from .errors import ConfigurationError, Error, WrongTypeError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from ._core import Diagnosis

__all__ = ["doctor", "doctor_async", "examine", "examine_async"]


def doctor(
    url: str | None = None,
    *,
    host: str | None = None,
    user: str | None = None,
    port: int | None = None,
    database: str | None = None,
    region: str | None = None,
    token_host: str | None = None,
    expires_in: int | None = None,
    client: Client | None = None,
    ca_file: str | None = None,
    timeout: float = 10.0,
) -> tuple[Diagnosis, ...]:
    """Examines a login from the environment to the session, and says of each stage what was found.

    What is left out comes from the URL, then from `PGHOST`, `PGPORT`, `PGUSER`, `PGDATABASE`. `timeout` is how
    many seconds the way to the server may take, and after it the login. Raises only for arguments that make no
    sense; whatever is wrong with the login is a diagnosis.
    """
    return tuple(
        examine(
            url,
            host=host,
            user=user,
            port=port,
            database=database,
            region=region,
            token_host=token_host,
            expires_in=expires_in,
            client=client,
            ca_file=ca_file,
            timeout=timeout,
        )
    )


async def doctor_async(
    url: str | None = None,
    *,
    host: str | None = None,
    user: str | None = None,
    port: int | None = None,
    database: str | None = None,
    region: str | None = None,
    token_host: str | None = None,
    expires_in: int | None = None,
    client: Client | None = None,
    ca_file: str | None = None,
    timeout: float = 10.0,
) -> tuple[Diagnosis, ...]:
    """As `doctor`, without blocking the event loop."""
    examination = examine_async(
        url,
        host=host,
        user=user,
        port=port,
        database=database,
        region=region,
        token_host=token_host,
        expires_in=expires_in,
        client=client,
        ca_file=ca_file,
        timeout=timeout,
    )
    return tuple([diagnosis async for diagnosis in examination])


def examine(url: str | None = None, **options: object) -> Iterator[Diagnosis]:
    """As `doctor`, one diagnosis at a time as they are made."""
    examination = _begin(url, options, on_loop=False)
    while (diagnosis := examination.next()) is not None:
        yield diagnosis


async def examine_async(url: str | None = None, **options: object) -> AsyncIterator[Diagnosis]:
    """As `examine`, without blocking the event loop."""
    examination = _begin(url, options, on_loop=True)
    while (diagnosis := await examination.next_async()) is not None:
        yield diagnosis


def _begin(url: str | None, options: dict[str, object], *, on_loop: bool) -> _core._Examination:
    given = dict(options)
    if url is not None:
        if not isinstance(url, str):
            raise WrongTypeError(f"url must be str, not {type(url).__name__}", hint="Pass url as str.")
        address = _url.parse(url)
        for name in ("host", "port", "user", "database"):
            if given.get(name) is None:
                given[name] = getattr(address, name)
        if given.get("ca_file") is None:
            given["ca_file"] = address.sslrootcert
    client = given.pop("client", None)
    timeout = given.pop("timeout", 10.0)
    if not isinstance(timeout, (int, float)) or isinstance(timeout, bool) or not 0 < timeout < 86_400:
        raise ConfigurationError(f"timeout={timeout!r:.40} is out of range", hint="Pass seconds, such as 10.")
    if client is not None and not isinstance(client, Client):
        raise WrongTypeError(
            f"client must be a pgiam.Client, not {type(client).__name__}",
            hint="Pass client=pgiam.Client(...), or leave it out for the default client.",
        )
    database = given.pop("database", None) or os.environ.get("PGDATABASE") or "postgres"
    if not isinstance(database, str):
        raise WrongTypeError(f"database must be str, not {type(database).__name__}", hint="Pass database as str.")
    options_left: dict[str, object] = {
        name: given.pop(name, None) for name in ("host", "port", "user", "region", "token_host", "expires_in")
    }
    ca_file = given.pop("ca_file", None)
    name_server = given.pop("_name_server", None)
    if given:
        raise TypeError(f"unexpected argument {next(iter(given))!r}")
    return _core._Examination(
        client or default_client(),
        on_loop=on_loop,
        **options_left,  # type: ignore[arg-type]  # the core checks each
        database=database,
        ca_file=_trust_file(ca_file),
        missing_ca=_missing_ca(options_left),
        timeout=float(timeout),
        name_server=name_server,  # type: ignore[arg-type]  # for tests
    )


def _trust_file(said: object) -> str:
    """As for the drivers; whether the file can be used is for the examination to say."""
    path = said or os.environ.get("PGSSLROOTCERT")
    if path and path != "system":
        if not isinstance(path, (str, os.PathLike)):
            raise WrongTypeError(f"ca_file must be a path, not {type(path).__name__}", hint="Pass ca_file as str.")
        return os.fspath(path)
    try:
        return tls.ca_file()
    except ConfigurationError:
        return os.environ.get("PGIAM_CA_FILE") or "trust.pem"


def _missing_ca(options: dict[str, object]) -> str | None:
    try:
        endpoint = _core.Endpoint.parse(
            options["host"] or os.environ.get("PGHOST") or "",  # type: ignore[arg-type]  # the core checks
            region=options["region"],  # type: ignore[arg-type]
            token_host=options["token_host"],  # type: ignore[arg-type]
        )
    except Error:
        return None  # the examination says so itself
    return tls.missing_ca_hint(endpoint.region) if endpoint.kind == "rds" else None
