"""`pgiam.explain`: what a driver's failure to connect means, in the doctor's words."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from . import _core
from .errors import Error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._core import Diagnosis, Endpoint

__all__ = ["explain"]

# Wrappers wrap wrappers, and a cause may be its own.
_DEEPEST = 12


def explain(
    error: BaseException,
    *,
    endpoint: Endpoint | str | None = None,
    user: str | None = None,
    database: str | None = None,
    region: str | None = None,
) -> Diagnosis | None:
    """The doctor's diagnosis of an error that a driver raised, or None where it is no failure to connect.

    Takes what psycopg, psycopg2, asyncpg and pg8000 raise, SQLAlchemy's wrapping of it, and any error that has
    one of these as its cause. `endpoint` (a host, a `postgresql://` URL or a `pgiam.Endpoint`) and `user` fill in
    policies and grants. Nothing is asked over the network: `pgiam.doctor` tests what this can only name.
    """
    host, port, token_host = None, None, None
    if isinstance(endpoint, _core.Endpoint):
        host, port, region = endpoint.host, endpoint.port, endpoint.region
        token_host = f"{endpoint.token_host}:{endpoint.token_port}"
    elif isinstance(endpoint, str) and "://" in endpoint:
        from . import _url

        address = _url.parse(endpoint)
        host, port = address.host, address.port
        user, database = user or address.user, database or address.database
    elif endpoint is not None:
        host = endpoint
    if isinstance(error, Error):
        return None  # nothing was sent to the server, and it has a hint of its own
    for one in _candidates(error):
        message, sqlstate, hint = _said(one)
        diagnosis = _core._explain(
            message,
            sqlstate=sqlstate,
            hint=hint,
            host=host or os.environ.get("PGHOST"),
            port=port,
            user=user or os.environ.get("PGUSER"),
            database=database,
            region=region,
            token_host=token_host or os.environ.get("PGIAM_TOKEN_HOST"),
        )
        if diagnosis is not None:
            return diagnosis
    return None


def _candidates(error: BaseException) -> Iterator[BaseException]:
    """What the driver raised before what wraps it; what that came from last."""
    seen: list[BaseException] = []
    current: BaseException | None = error
    for _ in range(_DEEPEST):
        if current is None:
            return
        wrapped = [current]
        while isinstance(orig := getattr(wrapped[-1], "orig", None), BaseException) and len(wrapped) < _DEEPEST:
            wrapped.append(orig)  # SQLAlchemy's
        for one in reversed(wrapped):
            if not any(one is other for other in seen):
                seen.append(one)
                yield one
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _said(error: BaseException) -> tuple[str, str | None, str | None]:
    """Message, SQLSTATE and hint, where each driver keeps them."""
    first = error.args[0] if error.args else None
    if isinstance(first, dict):  # pg8000 passes the fields of the server's message
        return str(first.get("M") or ""), _text(first.get("C")), _text(first.get("H"))
    if isinstance(error, TimeoutError) and not str(error):
        return "timed out", None, None
    hint = getattr(error, "hint", None)  # asyncpg
    if hint is None:
        hint = getattr(getattr(error, "diag", None), "message_hint", None)  # psycopg
    return str(error), _text(getattr(error, "sqlstate", None)), _text(hint)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
