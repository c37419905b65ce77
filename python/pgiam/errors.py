"""One tree of errors; each says in `.hint` what to do next."""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` itself takes longer to import than all of pgiam
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "ConfigurationError",
    "CredentialsError",
    "EndpointError",
    "Error",
    "ExchangeError",
    "IdentityTokenError",
    "TransportError",
    "WrongTypeError",
]


class Error(Exception):
    """The root. Never an OSError: asyncpg would try the next host on one."""

    hint: str

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        return f"{super().__str__()}. {self.hint}"


class ConfigurationError(Error, ValueError):
    """An argument, a setting or an engine that cannot work."""


class WrongTypeError(ConfigurationError, TypeError):
    """An argument of the wrong type."""


class EndpointError(Error, ValueError):
    """The host, or what is known of it, names no database endpoint."""


class CredentialsError(Error):
    """No source gave AWS credentials; `attempts` holds every source looked at and what came of it."""

    attempts: tuple[tuple[str, str], ...]

    def __init__(self, message: str, *, hint: str, attempts: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message, hint=hint)
        self.attempts = tuple(attempts)


class IdentityTokenError(Error):
    """The platform gave no identity token; `attempts` holds every place looked at and what came of it."""

    attempts: tuple[tuple[str, str], ...]

    def __init__(self, message: str, *, hint: str, attempts: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message, hint=hint)
        self.attempts = tuple(attempts)


class ExchangeError(Error):
    """STS refused; `code` and `request_id` are its own, `claims` what the identity token had presented."""

    code: str | None
    request_id: str | None
    claims: Mapping[str, str | Sequence[str]]

    def __init__(
        self,
        message: str,
        *,
        hint: str,
        code: str | None = None,
        request_id: str | None = None,
        claims: Mapping[str, str | Sequence[str]] | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.request_id = request_id
        self.claims = dict(claims or {})


class TransportError(Error):
    """The network, or a service behind it: the same call may work later."""
