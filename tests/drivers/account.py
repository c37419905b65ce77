"""A role in a sandbox's account, its credentials as a client's source, and one connection by each driver."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

import pgiam
from pgiam.sandbox import Sandbox

SYNC = ("psycopg2", "psycopg", "pg8000")
ASYNC = ("psycopg_async", "asyncpg")


class Account:
    """Counts how often its credentials are fetched, and can keep whoever fetches them waiting."""

    def __init__(self, box: Sandbox) -> None:
        self.box = box
        self.client = pgiam.Client(self._fetch)
        self.fetches = 0
        self.fetching = threading.Event()
        self.release = threading.Event()
        self.release.set()

    def _fetch(self) -> pgiam.Credentials:
        self.fetches += 1
        self.fetching.set()
        if not self.release.wait(60):
            raise TimeoutError("whoever was to let this go on did not run")
        keys = self.box.issue_credentials()
        expires_at = datetime.datetime.fromtimestamp(keys["expires_at"], datetime.timezone.utc)
        return pgiam.Credentials(keys["access_key"], keys["secret_key"], keys["session_token"], expires_at)

    @contextlib.contextmanager
    def surroundings(self) -> Iterator[None]:
        """The environment of a service that runs here, with a default client that has not been used yet."""
        keys = self.box.issue_credentials()  # another test may have revoked those that the sandbox began with
        with self.box.activated(), pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ACCESS_KEY_ID", keys["access_key"])
            patch.setenv("AWS_SECRET_ACCESS_KEY", keys["secret_key"])
            patch.setenv("AWS_SESSION_TOKEN", keys["session_token"])
            patch.setattr(pgiam.client, "_made", {})
            yield

    @property
    def tokens_received(self) -> int:
        """How many auth tokens reached the server, good or bad."""
        return int(self.box.stats()["tokens"])

    def url(self, driver: str, user: str | None = None) -> sa.URL:
        return sa.URL.create(
            f"postgresql+{driver}",
            username=user or self.box.user,
            host=self.box.host,
            port=self.box.port,
            database=self.box.database,
        )


def make_engine(url: sa.URL, **options: Any) -> sa.Engine | AsyncEngine:
    if url.drivername.endswith(ASYNC):
        return create_async_engine(url, **options)
    return sa.create_engine(url, **options)


def sync_engine(engine: sa.Engine | AsyncEngine) -> sa.Engine:
    return engine.sync_engine if isinstance(engine, AsyncEngine) else engine


CURRENT_USER = sa.text("SELECT current_user")


async def query(engine: sa.Engine | AsyncEngine) -> str:
    """Whom the server takes us for, on a connection of the pool."""
    if isinstance(engine, sa.Engine):
        with engine.connect() as connection:
            return str(connection.scalar(CURRENT_USER))
    async with engine.connect() as async_connection:
        return str(await async_connection.scalar(CURRENT_USER))


async def dispose(engine: sa.Engine | AsyncEngine) -> None:
    if isinstance(engine, sa.Engine):
        engine.dispose()
    else:
        await engine.dispose()


async def current_users(engine: sa.Engine | AsyncEngine, connections: int = 1) -> list[str]:
    """The same on so many connections that are open at the same time. Leaves the pool empty."""
    try:
        async with contextlib.AsyncExitStack() as stack:
            users = []
            for _ in range(connections):
                if isinstance(engine, sa.Engine):
                    users.append(stack.enter_context(engine.connect()).scalar(CURRENT_USER))
                else:
                    connection = await stack.enter_async_context(engine.connect())
                    users.append(await connection.scalar(CURRENT_USER))
            return [str(user) for user in users]
    finally:
        await dispose(engine)


async def refused(engine: sa.Engine | AsyncEngine, match: str) -> None:
    """Expect that connecting fails, with such words in the driver's exception."""
    with pytest.raises(Exception, match=match):
        await current_users(engine)
    if isinstance(engine, AsyncEngine):
        await asyncio.sleep(0.1)  # asyncpg closes its transport in the background
