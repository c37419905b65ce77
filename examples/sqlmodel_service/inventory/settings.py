"""What the environment says."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal, cast


@dataclass(frozen=True)
class Settings:
    """Where the database is. Only development has a password."""

    env: Literal["production", "development"]
    host: str
    port: int
    user: str
    name: str
    password: str | None
    pool_size: int
    # RDS Proxy closes clients that were idle for 30 minutes; connections are replaced before that.
    pool_recycle: int

    @classmethod
    def from_environment(cls) -> Settings:
        """A setting that is missing or makes no sense ends the start, not the first request."""
        env = os.environ.get("ENV", "development")
        if env not in ("production", "development"):
            raise SystemExit(f"ENV must be 'production' or 'development', not {env!r}")
        password = os.environ.get("DB_PASSWORD")
        if env == "production" and password is not None:
            raise SystemExit("DB_PASSWORD is set, but production logs in with IAM: remove it")
        if env == "development" and password is None:
            raise SystemExit("DB_PASSWORD is missing: development logs in with a password")
        return cls(
            env=cast("Literal['production', 'development']", env),
            host=os.environ.get("DB_HOST", "localhost"),
            port=int(os.environ.get("DB_PORT", "5432")),
            user=os.environ.get("DB_USER", "app"),
            name=os.environ.get("DB_NAME", "postgres"),
            password=password,
            pool_size=int(os.environ.get("DB_POOL_SIZE", "10")),
            pool_recycle=int(os.environ.get("DB_POOL_RECYCLE", "1500")),
        )
