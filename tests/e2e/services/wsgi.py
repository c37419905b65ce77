"""For gunicorn: says who answers, and as whom the database knows it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from typing import Any

import sqlalchemy as sa

import pgiam
from e2e.services.parent import client, keep_busy

keep_busy()
engine = pgiam.sqlalchemy.create_engine("postgresql+psycopg://", client=client, pool_size=2)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/anew":
        engine.dispose()
        client.invalidate()
    with engine.connect() as connection:
        user = connection.scalar(sa.text("SELECT current_user FROM pg_sleep(0.02)"))
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"pid": os.getpid(), "user": user}).encode()]
