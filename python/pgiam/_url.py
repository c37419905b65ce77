"""Database URLs: where a login goes, whatever driver the URL was written for."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from .errors import ConfigurationError

__all__ = ["Address", "parse"]

_SCHEMES = ("postgresql", "postgres", "auroradsql")


class Address(NamedTuple):
    """What a URL says of a login. A password in it is passed over."""

    host: str | None = None
    port: int | None = None
    user: str | None = None
    database: str | None = None
    sslrootcert: str | None = None


def parse(url: str) -> Address:
    """`postgresql://user@host:port/database`, with or without `+driver`; parameters may name the parts, too."""
    scheme, found, _ = url.partition("://")
    if not found or scheme.partition("+")[0] not in _SCHEMES:
        raise ConfigurationError(
            "the URL does not begin with postgresql://",
            hint="Write postgresql://USER@HOST:PORT/DATABASE, with or without +driver, or use --host and --user.",
        )
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname
    except ValueError:
        # Without the cause, which may quote a password.
        raise ConfigurationError(
            "the URL cannot be read", hint="Percent-encode special characters, and give one host and one port."
        ) from None
    said = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if "," in parts.netloc or "," in said.get("host", ""):
        raise ConfigurationError("the URL names several hosts", hint="Give one of them: each is examined by itself.")
    if port is None and said.get("port"):
        if not said["port"].isdecimal():
            raise ConfigurationError("the port in the URL is no number", hint="Give a port from 1 to 65535.")
        port = int(said["port"])
    # urlsplit lowers the host's case, which names do not mind and paths of sockets do not reach.
    return Address(
        host=unquote(host) if host else said.get("host"),
        port=port,
        user=unquote(parts.username) if parts.username else said.get("user"),
        database=unquote(parts.path[1:]) if len(parts.path) > 1 else said.get("dbname"),
        sslrootcert=said.get("sslrootcert"),
    )
