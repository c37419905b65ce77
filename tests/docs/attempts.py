"""Trying out what a block of the documentation made, and closing it at the end of the page."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable
from typing import Any

import asyncpg
import httpx
import psycopg
import psycopg_pool
import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.routing import APIRoute
from sqlalchemy.ext.asyncio import AsyncEngine

import pgiam
from pgiam.sandbox import Sandbox

_QUERY = "SELECT current_user"


async def try_out(value: Any, box: Sandbox, platform: str) -> None:
    """Whatever can reach the database must do so. Other values are left alone."""
    if isinstance(value, sa.Engine):
        with value.connect() as connection:
            assert connection.scalar(sa.text(_QUERY))
    elif isinstance(value, AsyncEngine):
        async with value.connect() as async_connection:
            assert await async_connection.scalar(sa.text(_QUERY))
    elif isinstance(value, asyncpg.Pool):
        assert await value.fetchval(_QUERY)
    elif isinstance(value, psycopg_pool.ConnectionPool):
        await asyncio.to_thread(value.open)
        with value.connection() as borrowed:
            assert borrowed.execute(_QUERY).fetchone()
    elif isinstance(value, psycopg_pool.AsyncConnectionPool):
        await value.open()
        async with value.connection() as async_borrowed:
            assert await (await async_borrowed.execute(_QUERY)).fetchone()
    elif isinstance(value, pgiam.Password):
        assert "X-Amz-Signature" in str(value)
    elif isinstance(value, pgiam.Client):
        assert (await value.credentials_async()).access_key
    elif isinstance(value, FastAPI):
        await _visit(value, box, platform)


def handlers(made: Iterable[Any]) -> list[Any]:
    """Functions that an application calls by itself."""
    apps = [value for value in made if isinstance(value, FastAPI)]
    return [route.endpoint for app in apps for route in app.routes if isinstance(route, APIRoute)]


async def _visit(app: FastAPI, box: Sandbox, platform: str) -> None:
    headers = {"x-vercel-oidc-token": box.issue_identity_token("vercel")} if platform == "vercel" else {}
    paths = [route.path for route in app.routes if isinstance(route, APIRoute) and "GET" in (route.methods or ())]
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://page", headers=headers) as http:
            for path in paths:
                if "{" not in path:
                    (await http.get(path)).raise_for_status()


async def close(values: Iterable[Any]) -> None:
    for value in values:
        if isinstance(value, sa.Engine):
            value.dispose()
        elif isinstance(value, AsyncEngine):
            await value.dispose()
        elif isinstance(value, asyncpg.Pool):
            await value.close()
        elif isinstance(value, (psycopg_pool.ConnectionPool, psycopg.Connection)):
            value.close()
        elif isinstance(value, (psycopg_pool.AsyncConnectionPool, psycopg.AsyncConnection, asyncpg.Connection)):
            closing = value.close()
            if inspect.isawaitable(closing):
                await closing
