"""The hook without a connection: what it makes of the parameters that SQLAlchemy would give a driver."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.asyncio import create_async_engine

import pgiam

RDS = "db.cluster-abc.us-east-1.rds.amazonaws.com"


def dialect_of(driver: str) -> Dialect:
    if driver == "asyncpg":
        return create_async_engine("postgresql+asyncpg://").dialect
    return sa.create_engine(f"postgresql+{driver}://").dialect


def signed_for(token: str) -> str:
    host, _, query = token.partition("/?")
    return f"{dict(pair.split('=') for pair in query.split('&')).get('DBUser', '-')}@{host}"


def hooked(client: pgiam.Client, driver: str, **cparams: Any) -> dict[str, Any]:
    returned = client.do_connect(dialect_of(driver), None, [], cparams)  # type: ignore[arg-type,func-returns-value]
    assert returned is None
    return cparams
