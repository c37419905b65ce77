"""What pgiam writes to the logger `pgiam`. It never writes a token, a key or a password."""

from __future__ import annotations

import logging

from .errors import Error

logger = logging.getLogger("pgiam")


def early_refresh_failed(error: Error, valid_until: str | None) -> None:
    """Nobody waits for an early refresh, so nobody else would see that it failed."""
    if valid_until is None:
        logger.warning("credentials could not be read anew, the present ones stay: %s", error)
    else:
        logger.warning("early refresh of credentials failed, valid until %s: %s", valid_until, error)
