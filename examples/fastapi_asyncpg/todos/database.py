"""The pool, and what a statement needs to survive on Aurora DSQL."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from typing import Any, Final

import asyncpg

import pgiam

# DSQL ends every connection after 60 minutes. asyncpg's pool knows no age, so it is told.
_RENEW_SECONDS: Final = 50 * 60
_ATTEMPTS: Final = 5
# A connection that ended while it was idle, or that the server's farewell reached just before our statement.
LOST: Final = (
    asyncpg.AdminShutdownError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)

log = logging.getLogger("uvicorn.error")


class ConflictError(Exception):
    """Other transactions won, time and again."""


class Database:
    """Logs in with the identity that Vercel's requests bring. Opens nothing before the first statement."""

    def __init__(self) -> None:
        client = pgiam.Client(
            pgiam.WebIdentity(role_arn=os.environ["AWS_ROLE_ARN"], identity_token=pgiam.oidc.vercel())
        )
        self._pool = pgiam.asyncpg.create_pool(
            client=client,
            host=os.environ["DATABASE_HOST"],
            port=int(os.environ.get("DATABASE_PORT", "5432")),
            user=os.environ.get("DATABASE_USER", "app"),
            database=os.environ.get("DATABASE_NAME", "postgres"),
            min_size=0,  # there is no identity token before the first request
            max_size=int(os.environ.get("DATABASE_POOL_SIZE", "5")),
            # Below any idle limit on the way; asyncpg sends nothing to find out whether a connection still lives.
            max_inactive_connection_lifetime=float(os.environ.get("DATABASE_IDLE_SECONDS", "240")),
            timeout=20,
            command_timeout=20,
        )
        self._renew_at = time.time() + _RENEW_SECONDS

    async def open(self) -> None:
        await self._pool

    async def close(self) -> None:
        await self._pool.close()

    async def rows(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """For reading: once more, if the connection turns out to have been closed meanwhile."""
        await self._renew()
        try:
            return await self._fetch(statement, *arguments)
        except LOST as error:
            log.info("reading again: %s", type(error).__name__)
            return await self._fetch(statement, *arguments)

    async def _fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        async with self._pool.acquire() as connection:
            rows: list[asyncpg.Record] = await connection.fetch(statement, *arguments)
            return rows

    async def change(self, statement: str, *arguments: object) -> asyncpg.Record | None:
        """One statement as a transaction of its own, again if another one was faster (SQLSTATE 40001)."""
        await self._renew()
        for attempt in range(_ATTEMPTS):
            try:
                async with self._pool.acquire() as connection:
                    return await connection.fetchrow(statement, *arguments)
            except asyncpg.SerializationError:
                # Not in step with whoever we collided with.
                await asyncio.sleep(random.uniform(0, 0.02 * 2**attempt))
        raise ConflictError

    async def execute_each(self, statements: list[str]) -> None:
        """Each in a transaction of its own: DSQL takes one DDL statement per transaction."""
        for statement in statements:
            async with self._pool.acquire() as connection:
                await connection.execute(statement)

    async def _renew(self) -> None:
        if time.time() >= self._renew_at:
            self._renew_at = time.time() + _RENEW_SECONDS
            await self._pool.expire_connections()


def as_json(row: asyncpg.Record) -> dict[str, Any]:
    return dict(row)
