"""What a callable may return, made into Credentials or an identity token."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from ._core import Credentials
from .errors import ConfigurationError, WrongTypeError

_HINT = (
    "Return pgiam.Credentials, a mapping with access_key, secret_key and token (botocore) or AccessKeyId, "
    "SecretAccessKey and SessionToken (STS), or a botocore credentials object."
)

# botocore, STS, boto3.Session's arguments: every spelling that one of them uses.
_ACCESS_KEY = ("access_key", "AccessKeyId", "access_key_id", "aws_access_key_id")
_SECRET_KEY = ("secret_key", "SecretAccessKey", "secret_access_key", "aws_secret_access_key")
_SESSION_TOKEN = ("session_token", "token", "SessionToken", "Token", "aws_session_token")
_EXPIRES_AT = ("expires_at", "Expiration", "expiration", "expiry_time", "_expiry_time")
_ACCOUNT_ID = ("account_id", "AccountId")


def as_credentials(answer: object) -> Credentials:
    """Reads an answer in any of the spellings in use. A part that is missing or empty is an error."""
    if isinstance(answer, Credentials):
        return answer
    if answer is None:
        raise WrongTypeError("the credential source returned None", hint=_HINT)
    if isinstance(answer, Mapping):
        inner = answer.get("Credentials")
        parts: Mapping[str, object] = inner if isinstance(inner, Mapping) else answer
    else:
        parts = _parts_of_object(answer)
    return Credentials(
        _text(parts, _ACCESS_KEY, "access key") or "",
        _text(parts, _SECRET_KEY, "secret key") or "",
        _text(parts, _SESSION_TOKEN, "session token") or None,
        _expiry(_first(parts, _EXPIRES_AT)),
        account_id=_text(parts, _ACCOUNT_ID, "account id") or None,
    )


def as_identity_token(answer: object) -> str:
    """The text of a JWT; whether it is one is seen when it is read."""
    if isinstance(answer, str):
        return answer
    raise WrongTypeError(
        f"the source of the identity token returned {type(answer).__name__}",
        hint="Return the OIDC ID token as str.",
    )


def _parts_of_object(answer: object) -> dict[str, object]:
    # A refreshable object of botocore could change between one attribute and the next.
    freeze = getattr(answer, "get_frozen_credentials", None)
    frozen = freeze() if callable(freeze) else answer
    names = (*_ACCESS_KEY, *_SECRET_KEY, *_SESSION_TOKEN, *_ACCOUNT_ID)
    parts = {name: getattr(frozen, name, None) for name in names}
    parts |= {name: getattr(answer, name, None) for name in _EXPIRES_AT}
    if _first(parts, _ACCESS_KEY) is None:
        raise WrongTypeError(f"the credential source returned {type(answer).__name__}", hint=_HINT)
    return parts


def _first(parts: Mapping[str, object], names: tuple[str, ...]) -> Any:
    return next((value for name in names if (value := parts.get(name)) is not None), None)


def _text(parts: Mapping[str, object], names: tuple[str, ...], what: str) -> str | None:
    value = _first(parts, names)
    if value is None or isinstance(value, str):
        return value
    raise WrongTypeError(f"the {what} must be str, not {type(value).__name__}", hint=_HINT)


def _expiry(value: object) -> datetime | None:
    if value is None or value == "":
        return None
    if isinstance(value, str):
        text = value[:-1] + "+00:00" if value.endswith(("Z", "z")) else value
        try:
            parsed = datetime.fromisoformat(text)
        except ValueError:
            raise ConfigurationError(f"the expiry {value[:40]!r} is no ISO 8601 time", hint=_HINT) from None
        # Often written out without the zone; AWS means UTC.
        return parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)
    if not isinstance(value, datetime):
        raise WrongTypeError(f"the expiry must be a datetime, not {type(value).__name__}", hint=_HINT)
    return value
