"""`python -m links.prune DAYS` removes the links that nobody has followed for so long, in several threads."""

from __future__ import annotations

import string
import sys
from concurrent.futures import ThreadPoolExecutor

from psycopg_pool import ConnectionPool

import pgiam

from .place import database, place

# secrets.token_urlsafe's alphabet: one thread prunes the codes that begin with one of these.
FIRST = string.ascii_letters + string.digits + "-_"


def prune(days: int) -> int:
    """Returns how many are gone."""
    with ConnectionPool(
        # A password object in the place of a string: psycopg asks it anew for every connection.
        kwargs={
            **place(),
            "dbname": database(),
            "password": pgiam.password(**place()),
            "sslmode": "verify-full",
            "sslrootcert": pgiam.ca_file(),
        },
        min_size=1,
        max_size=4,
    ) as pool:

        def prune_from(first: str) -> int:
            with pool.connection() as connection:
                return connection.execute(
                    "DELETE FROM links WHERE starts_with(code, %s) AND used_at < now() - make_interval(days => %s)",
                    (first, days),
                ).rowcount

        with ThreadPoolExecutor(4) as threads:
            return sum(threads.map(prune_from, FIRST))


if __name__ == "__main__":
    print(f"{prune(int(sys.argv[1]))} links removed")
