"""Where a driver is about to connect, and as whom: read from the parameters that it is about to be given."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any, Final, NamedTuple

from ._core import _variable
from .errors import ConfigurationError, WrongTypeError

_DEFAULT_PORT: Final = 5432


class Login(NamedTuple):
    """One host, port and user: what one auth token is good for."""

    host: str
    port: int
    user: str


def resolve(params: Mapping[str, Any], *, services: bool) -> list[Login]:
    """The hosts that the driver will try, in its order; `PGHOST`, `PGPORT` and `PGUSER` fill what is missing."""
    hidden = "dsn" if params.get("dsn") else "conninfo" if params.get("conninfo") else None
    if hidden:
        raise ConfigurationError(
            f"host and user are hidden in {hidden}=, so there is nothing to sign",
            hint=f"Give host=, port= and user= (or a URL) instead of {hidden}=.",
        )
    if services:
        _refuse_service(params)
    if params.get("unix_sock"):
        raise _unix_socket(str(params["unix_sock"]))
    host = params.get("host") or _variable("PGHOST")
    if not host:
        if params.get("hostaddr"):
            raise ConfigurationError(
                "hostaddr= alone does not say which endpoint to sign",
                hint="Give host= the endpoint's own name beside hostaddr=: the name is signed, the address is dialled.",
            )
        raise ConfigurationError(
            "no database host was given",
            hint="Put the endpoint into the URL or host=, or set PGHOST.",
        )
    user = params.get("user") or _variable("PGUSER")
    if not user:
        raise ConfigurationError(
            "no database user was given",
            hint="Put the database user into the URL or user=, or set PGUSER: the auth token is signed for that user.",
        )
    if not isinstance(user, str):
        raise WrongTypeError(
            f"the database user must be a str, not {type(user).__name__}", hint="Pass the user's name as a str."
        )
    port = params.get("port")
    if port is None or port == "":
        port = _variable("PGPORT")
    hosts = _hosts(host)
    if len(hosts) == 1 and isinstance(port, int):
        return [Login(hosts[0], _port(port), user)]
    ports = _ports(port, len(hosts))
    return [Login(host, port, user) for host, port in zip(hosts, ports, strict=True)]


def complete(params: MutableMapping[str, Any], logins: list[Login], hosts: list[str], *, lists: bool = False) -> None:
    """Write down what came from the environment, so that what is dialled is what was signed.

    asyncpg takes several hosts and ports as `lists`, libpq as text.
    """
    params["user"] = logins[0].user
    if len(logins) == 1:
        params["host"], params["port"] = hosts[0], logins[0].port
        return
    ports = [login.port for login in logins]
    if lists:
        params["host"] = hosts
        params["port"] = ports if len(set(ports)) > 1 else ports[0]
    else:
        params["host"] = ",".join(hosts)
        params["port"] = ",".join(map(str, ports)) if len(set(ports)) > 1 else ports[0]


def _hosts(value: object) -> list[str]:
    hosts = value.split(",") if isinstance(value, str) else value
    if not isinstance(hosts, (list, tuple)) or not hosts:
        raise WrongTypeError(
            f"the host must be a str or a list of them, not {type(value).__name__}",
            hint="Pass the endpoint's name as a str.",
        )
    for host in hosts:
        if not isinstance(host, str) or not host:
            raise ConfigurationError(
                f"one of the {len(hosts)} hosts is empty or not a str",
                hint="Name every host, or give a single one.",
            )
        if host.startswith(("/", "@")):
            raise _unix_socket(host)
    return list(hosts)


def _ports(value: object, count: int) -> list[int]:
    ports = value.split(",") if isinstance(value, str) else value
    if not isinstance(ports, (list, tuple)):
        ports = [ports]
    if len(ports) == 1:
        ports = list(ports) * count
    if len(ports) != count:
        raise ConfigurationError(
            f"{len(ports)} ports were given for {count} hosts", hint="Give one port, or as many ports as hosts."
        )
    return [_port(port) for port in ports]


def _port(value: object) -> int:
    if value is None or value == "":
        return _DEFAULT_PORT
    try:
        if not isinstance(value, (int, str)) or isinstance(value, bool):
            raise ValueError
        port = int(value)
    except ValueError:
        port = 0
    if not 1 <= port <= 65535:
        raise ConfigurationError(f"{value!r:.40} is not a port", hint="Give a port from 1 to 65535.")
    return port


def _refuse_service(params: Mapping[str, Any]) -> None:
    # A service file overrides the environment and only the driver reads it, so only explicit values are certain.
    service = params.get("service") or _variable("PGSERVICE")
    if not service:
        return
    unsaid = [key for key in ("host", "port", "user") if not params.get(key)]
    if unsaid:
        raise ConfigurationError(
            f"{' and '.join(unsaid)} may come from the service {str(service)[:60]!r}, which is not read here",
            hint="Give host=, port= and user= beside the service: they are what the auth token signs.",
        )


def _unix_socket(path: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path[:100]!r} is a unix socket, and IAM auth tokens are for TLS connections to AWS endpoints only",
        hint="Connect to the endpoint's host name, or leave pgiam out of connections to a local socket.",
    )
