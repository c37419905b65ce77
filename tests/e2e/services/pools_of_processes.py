"""multiprocessing by fork: children that live for a few jobs, forked from a parent that is busy."""

from __future__ import annotations

import asyncio
import multiprocessing
import os

import pgiam
from e2e.services.parent import client, keep_busy, login

using = pgiam.psycopg.Connection.using(client=client)


def job(number: int) -> str:
    if number % 3 == 0:
        client.invalidate()
    with using.connect(**login(), dbname=os.environ["PGDATABASE"]) as connection:
        row = connection.execute("SELECT current_user").fetchone()
    return f"{row and row[0]} {asyncio.run(by_asyncpg())}"


async def by_asyncpg() -> str:
    connection = await pgiam.asyncpg.connect(**login(), database=os.environ["PGDATABASE"], client=client)
    try:
        return str(await connection.fetchval("SELECT current_user"))
    finally:
        await connection.close()


if __name__ == "__main__":
    keep_busy()
    with multiprocessing.get_context("fork").Pool(3, maxtasksperchild=4) as pool:
        answers = pool.map_async(job, range(48), chunksize=1).get(timeout=150)
    assert set(answers) == {"app app"}, answers
    print(len(answers), "jobs")
