"""TLS for the drivers: an auth token never crosses the wire in clear or to a server whose name was not checked.

What the caller said, as a parameter or by `PGSSLMODE` and `PGSSLROOTCERT`, is respected from `require` up and
refused below; where nothing was said, the certificate and the host name are verified against `pgiam.ca_file()`.

`system` as the root certificate means `pgiam.ca_file()` as well: the libpq in psycopg's wheels looks for the
system's certificates where none are, asyncpg takes the word for a file name, and no system ships the RDS roots.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import MutableMapping
from functools import lru_cache
from typing import Any, Final, Literal

from ._core import _variable
from .errors import ConfigurationError, WrongTypeError
from .tls import ca_file, verifying_context

Tls = Literal["off"]
"""`"off"` leaves TLS to the driver and its parameters, plain text included: for tunnels that encrypt by themselves."""

_IN_CLEAR: Final = frozenset({"disable", "allow", "prefer"})
_VERIFYING: Final = frozenset({"verify-ca", "verify-full"})


def check_tls(tls: object) -> None:
    if tls is not None and tls != "off":
        raise ConfigurationError(
            f"tls must be None or 'off', not {tls!r:.40}",
            hint="Leave tls out for full verification; say a mode in the driver's own words (sslmode=, ssl=).",
        )


def secure_libpq(params: MutableMapping[str, Any]) -> None:
    """psycopg and psycopg2: `sslmode` and `sslrootcert`."""
    mode = params.get("sslmode") or _variable("PGSSLMODE") or "verify-full"
    _refuse_clear(mode, said=f"sslmode={mode}")
    # Written down even where it came from the environment: a libpq service file would override that.
    params["sslmode"] = mode
    if mode in _VERIFYING:
        params["sslrootcert"] = _root(params.get("sslrootcert"))


def secure_asyncpg(params: MutableMapping[str, Any]) -> None:
    """asyncpg: `ssl`, which is a mode, a bool or an SSLContext. A context of the caller's own is not looked into."""
    _refuse_libpq_words(params, "asyncpg", "Write ?ssl=require or ?ssl=verify-full, or pass ssl= an SSLContext.")
    said = params.get("ssl")
    if isinstance(said, ssl.SSLContext):
        return
    mode = _asyncpg_mode(said)
    _refuse_clear(mode, said=f"ssl={said!r:.40}" if said is not None else f"PGSSLMODE={mode}")
    if mode in _VERIFYING:
        params["ssl"] = _context(check_hostname=mode == "verify-full", direct=_is_direct(params))
    else:
        params["ssl"] = mode


def secure_pg8000(params: MutableMapping[str, Any]) -> None:
    """pg8000: `ssl_context`; its own default tries TLS unverified, then plain text."""
    _refuse_libpq_words(params, "pg8000", "Leave it out for full verification, or pass ssl_context= an SSLContext.")
    said = params.get("ssl_context")
    if said is True or isinstance(said, ssl.SSLContext):
        return
    if said is not None and said is not False:
        raise WrongTypeError(
            f"ssl_context must be an SSLContext, not {type(said).__name__}",
            hint="Leave ssl_context out for full verification, or pass pgiam.ssl_context().",
        )
    mode = "disable" if said is False else _variable("PGSSLMODE") or "verify-full"
    _refuse_clear(mode, said="ssl_context=False" if said is False else f"PGSSLMODE={mode}")
    if mode in _VERIFYING:
        params["ssl_context"] = _context(check_hostname=mode == "verify-full", direct=False)
    else:
        params["ssl_context"] = True


def _asyncpg_mode(said: object) -> str:
    if said is None:
        return _variable("PGSSLMODE") or "verify-full"
    if isinstance(said, bool):
        return "verify-full" if said else "disable"
    # asyncpg's own SSLMode is an enumeration with these names.
    mode = said if isinstance(said, str) else getattr(said, "name", None)
    if not isinstance(mode, str):
        raise WrongTypeError(
            f"ssl must be a mode, a bool or an SSLContext, not {type(said).__name__}",
            hint="Leave ssl out for full verification, or pass pgiam.ssl_context().",
        )
    return mode.replace("_", "-")


def _refuse_libpq_words(params: MutableMapping[str, Any], driver: str, hint: str) -> None:
    # Such a URL was written for psycopg. The driver would raise a TypeError that says no more than the name.
    for key in ("sslmode", "sslrootcert", "sslnegotiation"):
        if key in params:
            raise ConfigurationError(f"{driver} has no parameter {key}", hint=hint)


def _refuse_clear(mode: object, *, said: str) -> None:
    if mode in _IN_CLEAR:
        raise ConfigurationError(
            f"{said} would let the auth token cross the wire unencrypted",
            hint="Remove it for full verification, say require to encrypt without verifying, "
            'or pass tls="off" to pgiam if something else encrypts the connection.',
        )
    if mode != "require" and mode not in _VERIFYING:
        raise ConfigurationError(
            f"{mode!r:.40} is not a TLS mode", hint="Use verify-full, verify-ca or require, or leave the mode out."
        )


def _root(said: object = None) -> str:
    root = said or _variable("PGSSLROOTCERT")
    if not root or root == "system":
        return _checked_ca_file(_variable("PGIAM_CA_FILE"))
    if not isinstance(root, (str, os.PathLike)):
        raise WrongTypeError(
            f"sslrootcert must be a path, not {type(root).__name__}", hint="Pass the path of a PEM file as a str."
        )
    return os.fspath(root)


@lru_cache(maxsize=16)
def _checked_ca_file(_said: str | None) -> str:
    # Looked at once: a file that goes away later is an error of the driver's, which reads it for every connection.
    return ca_file()


def _is_direct(params: MutableMapping[str, Any]) -> bool:
    said = params.get("direct_tls")
    return bool(said) if said is not None else _variable("PGSSLNEGOTIATION") == "direct"


def _context(*, check_hostname: bool, direct: bool) -> ssl.SSLContext:
    root = _root()
    try:
        return _read_context(root, os.stat(root).st_mtime_ns, check_hostname, direct)
    except (OSError, ConfigurationError) as error:
        if root != _variable("PGSSLROOTCERT"):
            raise
        raise ConfigurationError(
            f"PGSSLROOTCERT={root!r:.200} is no readable PEM file",
            hint="Name a PEM file of certificate authorities in it, or unset it to use those that come with pgiam.",
        ) from error


@lru_cache(maxsize=16)
def _read_context(root: str, _changed: int, check_hostname: bool, direct: bool) -> ssl.SSLContext:
    # Parsing the roots takes longer than a TLS handshake: once per version of the file, not per connection.
    return verifying_context(root, check_hostname=check_hostname, direct=direct)
