"""What a request to Vercel brings, by the `vercel` package where the program uses it."""

from __future__ import annotations

import logging
import sys
from typing import Any

logger = logging.getLogger("pgiam")

HEADER = "x-vercel-oidc-token"


def tokens_of_request() -> list[str]:
    """Empty outside of a request, and where nobody has imported the package: then it knows of none."""
    found = (_of_headers(sys.modules.get("vercel.headers")), _of_package(sys.modules.get("vercel.oidc")))
    return [token for token in found if token]


def _of_headers(module: Any) -> str | None:
    """The package's context variable, which Vercel's runtime sets for each request."""
    headers = module.get_headers() if module is not None and hasattr(module, "get_headers") else None
    if not headers:
        return None
    items = headers.items() if hasattr(headers, "items") else headers
    return next((str(value) for name, value in items if str(name).lower() == HEADER), None)


def _of_package(module: Any) -> str | None:
    """The package's own memory of requests. Its `_sync` form: the other one refuses tokens with 15 minutes left."""
    read = getattr(module, "get_vercel_oidc_token_sync", None)
    if read is None:
        return None
    try:
        token = read()
    except Exception as error:  # noqa: BLE001 - not our code: whatever it raises means that it has none
        # Only the kind: what it says may quote the token.
        logger.debug("the vercel package has no identity token: %s", type(error).__name__)
        return None
    return token if isinstance(token, str) else None
