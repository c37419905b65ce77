"""A process that forks all the time while its client mints and refreshes, as pre-forking servers do.

Reads a number of seconds from each line of standard input, works for so long, and answers with a line of JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pgiam

HANG_SECONDS: Final = 60.0  # against hangs only


def in_child(client: pgiam.Client, login: dict[str, Any]) -> None:
    """What a worker does: log in with what it inherited, with both kinds of driver, and again with what it fetched."""
    using = pgiam.psycopg.Connection.using(client=client)
    for _ in range(2):
        with using.connect(**login, dbname=os.environ["PGDATABASE"]) as connection:
            connection.execute("SELECT 1")
        asyncio.run(by_asyncpg(client, login))
        client.invalidate()


async def by_asyncpg(client: pgiam.Client, login: dict[str, Any]) -> None:
    connection = await pgiam.asyncpg.connect(**login, database=os.environ["PGDATABASE"], client=client)
    await connection.fetchval("SELECT 1")
    await connection.close()


def fork(client: pgiam.Client, login: dict[str, Any]) -> str | None:
    """Run one child to its end; returns what was wrong with it."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            in_child(client, login)
            status = 0
        except BaseException:  # noqa: BLE001 - nothing may come back from here
            traceback.print_exc()
        finally:
            os._exit(status)
    end = time.monotonic() + HANG_SECONDS
    while time.monotonic() < end:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return f"a forked child ended with {status}" if status else None
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "a forked child hung"


def work(client: pgiam.Client, login: dict[str, Any], seconds: float) -> dict[str, Any]:
    stopping = threading.Event()

    def mint() -> None:
        while not stopping.wait(0.001):
            client.generate_auth_token(**login)

    def refresh() -> None:
        while not stopping.wait(0.05):
            client.refresh()

    children, failures = 0, []
    with ThreadPoolExecutor(3) as threads:
        beside = [threads.submit(work) for work in (mint, mint, refresh)]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            problem = fork(client, login)
            children += 1
            failures += [problem] if problem else []
        stopping.set()
    failures += [f"beside forks: {error}" for each in beside if (error := each.exception()) is not None]
    gc.collect()
    return {"children": children, "failures": failures}


def main() -> None:
    client = pgiam.Client()
    login = {"host": os.environ["PGHOST"], "port": int(os.environ["PGPORT"]), "user": os.environ["PGUSER"]}
    for line in sys.stdin:
        answer = work(client, login, float(line))
        answer["exchanges"] = client.stats().refreshes
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
