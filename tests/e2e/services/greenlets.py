"""gevent in place of threads: greenlets that connect with credentials that end while they do."""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import os  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
import pg8000.dbapi  # noqa: E402

import pgiam  # noqa: E402
from e2e.services.parent import login  # noqa: E402


def exchange() -> Any:
    """A source of the service's own, which itself does I/O that gevent has patched."""
    time.sleep(0.05)
    return pgiam.Client().credentials()


SOURCES: dict[str, Callable[[], Any] | None] = {"ambient": None, "callable": exchange}


def by_psycopg(client: pgiam.Client) -> object:
    using = pgiam.psycopg.Connection.using(client=client)
    with using.connect(**login(), dbname=os.environ["PGDATABASE"]) as connection:
        row = connection.execute("SELECT current_user FROM pg_sleep(0.02)").fetchone()
        return row[0] if row else None


def by_pg8000(client: pgiam.Client) -> object:
    password = str(client.password(**login()))
    context = pgiam.ssl_context()
    connection = pg8000.dbapi.connect(
        **login(), database=os.environ["PGDATABASE"], password=password, ssl_context=context
    )
    cursor = connection.cursor()
    cursor.execute("SELECT current_user FROM pg_sleep(0.02)")
    [user] = cursor.fetchone()
    connection.close()
    return user


def main() -> None:
    client = pgiam.Client(SOURCES[sys.argv[1]])
    users = []

    def work(connect: Callable[[pgiam.Client], object]) -> None:
        for number in range(6):
            if number % 3 == 2:
                client.invalidate()
            users.append(connect(client))
            gevent.sleep(0.1)

    workers = [gevent.spawn(work, connect) for connect in (by_psycopg, by_pg8000) for _ in range(10)]
    assert client.stats().refreshes == 0
    gevent.joinall(workers, raise_error=True, timeout=150)
    assert users == [os.environ["PGUSER"]] * 120, users
    print(len(users), "connections", client.stats().refreshes, "exchanges")


if __name__ == "__main__":
    main()
