"""Where the database is."""

from __future__ import annotations

import os
from typing import TypedDict


class Place(TypedDict):
    host: str
    port: int
    user: str


def place() -> Place:
    return {
        "host": os.environ["DATABASE_HOST"],
        "port": int(os.environ.get("DATABASE_PORT", "5432")),
        "user": os.environ.get("DATABASE_USER", "app"),
    }


def database() -> str:
    return os.environ.get("DATABASE_NAME", "postgres")
