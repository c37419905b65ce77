"""A server that refuses a login may refuse credentials that were rotated or revoked: drop them, but not every time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from .errors import Error

if TYPE_CHECKING:
    from .client import Client

_log = logging.getLogger("pgiam")

# A user who is denied for good must not turn every attempt into a call to STS.
_SECONDS_BETWEEN_DROPS: Final = 60.0

# psycopg and psycopg2 give no SQLSTATE for a failed connect, so the text decides for them.
# RDS: PostgreSQL's own auth.c. RDS Proxy and DSQL: the messages in their user guides.
_REFUSED: Final = (
    "pam authentication failed",
    "password authentication failed",
    "iam authentication failed for",
    "access denied",
)
_REFUSED_CODES: Final = frozenset({"28000", "28P01"})
# 28000 as well, and nothing that other credentials could change.
_NOT_ABOUT_CREDENTIALS: Final = ("pg_hba.conf", "does not exist", "is not permitted to log in", "competing requests")


def is_refusal(error: BaseException) -> bool:
    """Whether the server turned the credentials down, as far as the driver's exception tells."""
    if isinstance(error, Error):
        return False  # it was AWS that refused, and nothing was signed
    text = str(error).lower()
    if any(part in text for part in _NOT_ABOUT_CREDENTIALS):
        return False
    return _sqlstate(error) in _REFUSED_CODES or any(part in text for part in _REFUSED)


def _sqlstate(error: BaseException) -> object:
    first = error.args[0] if error.args else None
    if isinstance(first, dict):  # pg8000 passes the fields of the server's message
        return first.get("C")
    return getattr(error, "sqlstate", None)


# No lock: one that another thread held would stay held in a child that is forked at that moment. Two threads that
# come at the same time both drop, which costs one fetch all the same.
_last_drop: WeakKeyDictionary[Client, float] = WeakKeyDictionary()


def generation(client: Client) -> int:
    """Which fetch the client's present credentials come from."""
    return client.stats().refreshes


def drop_refused(client: Client, refused: int, error: BaseException) -> None:
    """Drop the credentials of that generation, unless others took their place while the server was thinking."""
    if not is_refusal(error) or generation(client) != refused:
        return
    now = monotonic()
    if now - _last_drop.get(client, -inf) < _SECONDS_BETWEEN_DROPS:
        return
    _last_drop[client] = now
    _log.warning("the database server refused the login; the next connection fetches credentials anew")
    client.invalidate()


@contextmanager
def drops_refused(client: Client) -> Iterator[None]:
    """Around one attempt to connect."""
    refused = generation(client)
    try:
        yield
    except Exception as error:
        drop_refused(client, refused, error)
        raise
