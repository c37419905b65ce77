"""`python -m todos.schema` creates the table, on RDS as on Aurora DSQL."""

from __future__ import annotations

import asyncio
import os

import pgiam

from .database import Database

# Ids are made by the service: DSQL has no SERIAL.
TABLE = """
CREATE TABLE IF NOT EXISTS todos (
    id uuid PRIMARY KEY,
    title text NOT NULL,
    done boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
)
"""
INDEX = {
    "dsql": "CREATE INDEX ASYNC IF NOT EXISTS todos_by_age ON todos (created_at)",
    "rds": "CREATE INDEX IF NOT EXISTS todos_by_age ON todos (created_at)",
}


async def create() -> None:
    kind = pgiam.Endpoint.parse(os.environ["DATABASE_HOST"]).kind
    database = Database()
    await database.open()
    try:
        await database.execute_each([TABLE, INDEX["dsql" if kind == "dsql" else "rds"]])
    finally:
        await database.close()


if __name__ == "__main__":
    asyncio.run(create())
