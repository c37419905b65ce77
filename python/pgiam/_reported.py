"""Failed logins in the log, in the doctor's words, and each cause once: pools try again every second."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from ._explain import explain

if TYPE_CHECKING:
    from ._core import Endpoint
    from ._login import Login

_log = logging.getLogger("pgiam")

# Hosts may be many, and may change; a log that repeats itself is better than one that eats memory.
_REMEMBERED: Final = 256


class Reported:
    """The causes that one engine has had."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, int, str, str]] = set()

    def failure(self, error: BaseException, login: Login, endpoint: Endpoint) -> None:
        diagnosis = explain(error, endpoint=endpoint, user=login.user)
        if diagnosis is None:
            return
        key = (login.host, login.port, login.user, diagnosis.name)
        if key in self._seen:
            return
        if len(self._seen) >= _REMEMBERED:
            self._seen.clear()
        self._seen.add(key)
        snippets = "".join(f" {label}: {' '.join(text.split())}" for label, text in diagnosis.snippets)
        _log.error(
            "cannot log in as %s to %s:%d: %s (%s). %s %s%s",
            *(login.user, login.host, login.port, diagnosis.title, diagnosis.name),
            *(diagnosis.why, diagnosis.fix, snippets),
        )
