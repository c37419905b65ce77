"""The password of one `asyncpg.connect` call."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from itertools import cycle

from ._login import Login
from ._signing import Signing


class PasswordPerHost:
    """asyncpg asks for the password once per host, in order and before it dials, and does not say for which.

    So one of these serves one call of `asyncpg.connect` and no more. It holds no token.
    """

    __slots__ = ("_logins", "_signing")

    def __init__(self, signing: Signing, logins: Sequence[Login]) -> None:
        self._signing = signing
        self._logins = cycle(logins)

    def __call__(self) -> Awaitable[str]:
        return self._signing.sign_async(next(self._logins))
