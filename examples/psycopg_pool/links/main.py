"""The HTTP API, on an AsyncConnectionPool."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import psycopg
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, RedirectResponse
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from pydantic import BaseModel, HttpUrl

import pgiam

from .place import database, place

log = logging.getLogger("uvicorn.error")

TABLE = """
CREATE TABLE IF NOT EXISTS links (
    code text PRIMARY KEY,
    target text NOT NULL,
    used_at timestamptz NOT NULL DEFAULT now()
)
"""

Pool = AsyncConnectionPool[psycopg.AsyncConnection]


def make_pool() -> Pool:
    return AsyncConnectionPool(
        # Signs for every connection that the pool opens, and awaits credentials where it has to.
        connection_class=pgiam.psycopg.AsyncConnection,
        kwargs={**place(), "dbname": database()},
        min_size=1,
        max_size=5,
        # Under RDS Proxy's 30 minutes of idling and Aurora DSQL's 60 minutes of living.
        max_lifetime=float(os.environ.get("DATABASE_MAX_LIFETIME", "1500")),
        # An idle connection may have been closed by whoever is in between: look before handing it out.
        check=AsyncConnectionPool.check_connection,
        timeout=20,
        open=False,
    )


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with make_pool() as pool:
        async with pool.connection() as connection:
            await connection.execute(TABLE)
        app.state.pool = pool
        yield


app = FastAPI(title="Links", lifespan=lifespan)


@app.exception_handler(PoolTimeout)
@app.exception_handler(psycopg.OperationalError)
def database_unavailable(request: Request, error: Exception) -> JSONResponse:
    # The pool connects in the background: why it cannot is in the log, on `pgiam` and `psycopg.pool`.
    log.error("%s %s: %s", request.method, request.url.path, error)
    return JSONResponse({"detail": "The database cannot be reached."}, status_code=503, headers={"Retry-After": "5"})


async def connection(request: Request) -> AsyncIterator[psycopg.AsyncConnection]:
    """One per request, as one transaction."""
    pool: Pool = request.app.state.pool
    async with pool.connection() as borrowed:
        yield borrowed


Connection = Annotated[psycopg.AsyncConnection, Depends(connection)]


class NewLink(BaseModel):
    target: HttpUrl


@app.post("/links", status_code=201)
async def create_link(link: NewLink, connection: Connection) -> dict[str, str]:
    code = secrets.token_urlsafe(6)
    await connection.execute("INSERT INTO links (code, target) VALUES (%s, %s)", (code, str(link.target)))
    return {"code": code}


@app.get("/links/{code}")
async def follow_link(code: str, connection: Connection) -> RedirectResponse:
    cursor = await connection.execute("UPDATE links SET used_at = now() WHERE code = %s RETURNING target", (code,))
    row = await cursor.fetchone()
    if row is None:
        raise HTTPException(404, "There is no such link.")
    return RedirectResponse(row[0], status_code=307)
