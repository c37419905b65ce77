"""What pgiam costs, beside boto3 and the Aurora DSQL connector for Python: `make bench`.

Theirs are called as their documentation says, with one client made beforehand where they allow it.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from _measure import Row, clean_environment, compared, in_process, nanoseconds, show, whole_process, write_json

HOST = "db.cluster-abc123.us-east-1.rds.amazonaws.com"
CLUSTER = "abcdefghij0123456789klmnop.dsql.us-east-1.on.aws"
KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "AWS_SESSION_TOKEN": "IQoJb3JpZ2lu" * 113,  # 1,356 characters
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
PEAK = "print(next(int(l.split()[1]) / 1024 for l in open('/proc/self/status') if l.startswith('VmHWM')))"
FIRST_TOKEN_OURS = f"import pgiam; pgiam.generate_auth_token(host={HOST!r}, user='app')"
FIRST_TOKEN_THEIRS = f"import boto3; boto3.client('rds').generate_db_auth_token({HOST!r}, 5432, 'app')"


def minting(pairs: int) -> list[Row]:
    import boto3

    import pgiam

    client, rds = pgiam.Client(), boto3.client("rds")
    token = client.generate_auth_token(host=HOST, user="app", port=5432)
    text = token.encode()

    def ours() -> float:
        return nanoseconds(lambda: client.generate_auth_token(host=HOST, user="app", port=5432), 5000)

    def theirs() -> float:
        return nanoseconds(lambda: rds.generate_db_auth_token(HOST, 5432, "app"), 100)

    def floor() -> float:
        return nanoseconds(lambda: (hashlib.sha256(text).digest(), text.decode()), 5000)

    async def awaited(count: int) -> float:
        start = time.perf_counter_ns()
        for _ in range(count):
            await client.generate_auth_token_async(host=HOST, user="app", port=5432)
        return (time.perf_counter_ns() - start) / count

    return [
        compared(f"mint, {len(token):,} characters (boto3)", ours, theirs, pairs=pairs, unit="ns", at_least=80),
        compared("mint (floor: one hash, one string)", ours, floor, pairs=pairs, unit="ns", at_most=2),
        compared("mint awaited (mint)", lambda: asyncio.run(awaited(5000)), ours, pairs=pairs, unit="ns", at_most=1.3),
    ]


def hook(pairs: int) -> list[Row]:
    """What each adds to one connection, apart from connecting."""
    from dsql_core.token_manager import TokenManager
    from sqlalchemy.dialects import registry

    import pgiam

    client = pgiam.Client()

    def once(dialect: Any) -> Callable[[], object]:
        def call() -> None:
            parameters = {"host": CLUSTER, "user": "admin", "port": 5432}
            client.do_connect(dialect, None, [], parameters)  # type: ignore[arg-type]

        return call

    theirs_once = {"host": CLUSTER, "user": "admin", "region": "us-east-1"}

    def theirs() -> float:
        return nanoseconds(lambda: TokenManager.get_token(dict(theirs_once)), 3)

    return [
        compared(
            f"hook, {name} (DSQL connector's token)",
            lambda dialect=dialect: nanoseconds(once(dialect), 500),  # type: ignore[misc]
            theirs,
            pairs=max(3, pairs // 3),
            unit="ns",
            at_least=10_000,
        )
        for name, dialect in ((name, registry.load(f"postgresql.{name}")()) for name in ("psycopg", "asyncpg"))
    ]


def tail(call: Callable[[], object], threads: int = 32, each: int = 60) -> float:
    """The 99th percentile of one call's duration among threads that all call at once."""
    spans: list[int] = []
    barrier = threading.Barrier(threads)

    def work() -> None:
        barrier.wait()
        mine = []
        for _ in range(each):
            start = time.perf_counter_ns()
            call()
            mine.append(time.perf_counter_ns() - start)
        spans.extend(mine)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return statistics.quantiles(spans, n=100)[98]


def threads(pairs: int) -> list[Row]:
    import boto3

    import pgiam

    client, rds = pgiam.Client(), boto3.client("rds")

    def ours() -> float:
        return tail(lambda: client.generate_auth_token(host=HOST, user="app", port=5432), each=2000)

    def theirs() -> float:
        return tail(lambda: rds.generate_db_auth_token(HOST, 5432, "app"), each=40)

    return [
        compared("32 threads minting, p99 (boto3)", ours, theirs, pairs=max(3, pairs // 3), unit="ns", at_least=100)
    ]


def starting(pairs: int) -> list[Row]:
    """Over an empty interpreter, which each figure has subtracted."""
    timed = "import time; t = time.perf_counter_ns(); import {0}; print((time.perf_counter_ns() - t) / 1e6)"

    def over_empty(script: str) -> float:
        # The least of three: what delays a process is never its own doing.
        empty = min(whole_process("pass", KEYS) for _ in range(3))
        return max(min(whole_process(script, KEYS) for _ in range(3)) - empty, 0.05)

    empty = statistics.median(in_process(PEAK) for _ in range(5))
    return [
        compared(
            "import (boto3)",
            lambda: in_process(timed.format("pgiam")),
            lambda: in_process(timed.format("boto3")),
            pairs=pairs,
            unit="ms",
            at_least=50,
        ),
        compared(
            "process start to first token (boto3)",
            lambda: over_empty(FIRST_TOKEN_OURS),
            lambda: over_empty(FIRST_TOKEN_THEIRS),
            pairs=pairs,
            unit="ms",
            at_least=40,
        ),
        compared(
            "peak memory added by the first token (boto3)",
            lambda: max(in_process(f"{FIRST_TOKEN_OURS}\n{PEAK}", KEYS) - empty, 0.1),
            lambda: in_process(f"{FIRST_TOKEN_THEIRS}\n{PEAK}", KEYS) - empty,
            pairs=max(3, pairs // 3),
            unit="MiB",
            at_least=10,
        ),
    ]


def cold_callers() -> dict[str, object]:
    """A thousand tasks and 32 threads on a client that has nothing yet, and a source that takes its time."""
    import pgiam

    calls = 0

    def source() -> pgiam.Credentials:
        nonlocal calls
        calls += 1
        time.sleep(0.5)
        return pgiam.Credentials("AKIDEXAMPLE", "secret")

    client = pgiam.Client(source)

    async def main() -> float:
        gap, last = 0.0, time.perf_counter()
        callers = [asyncio.ensure_future(client.generate_auth_token_async(host=HOST, user="app")) for _ in range(1000)]
        callers += [
            asyncio.ensure_future(asyncio.to_thread(client.generate_auth_token, host=HOST, user="app"))
            for _ in range(32)
        ]
        last = time.perf_counter()
        while not all(caller.done() for caller in callers):
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            gap, last = max(gap, now - last), now
        return gap

    gap = asyncio.run(main())
    return {"1,000 cold tasks and 32 threads: fetches": calls, "  worst gap of the event loop": f"{gap * 1000:.1f} ms"}


def sizes() -> dict[str, object]:
    def of(name: str) -> float:
        files = distribution(name).files or []
        return (
            sum(Path(str(file.locate())).stat().st_size for file in files if Path(str(file.locate())).is_file()) / 1e6
        )

    theirs = sum(of(name) for name in ("boto3", "botocore", "s3transfer", "jmespath"))
    return {"installed size": f"{of('pgiam'):.1f} MB; boto3 with botocore, s3transfer, jmespath {theirs:.1f} MB"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=9, help="interleaved pairs of each comparison (default 9)")
    parser.add_argument("--json", metavar="FILE", help="write the table as JSON, too")
    options = parser.parse_args()
    for name in set(os.environ) - set(clean_environment()):
        del os.environ[name]
    os.environ.update(KEYS)
    rows = [*minting(options.pairs), *hook(options.pairs), *threads(options.pairs), *starting(options.pairs)]
    extra = {**cold_callers(), **sizes()}
    show(rows, extra)
    if options.json:
        write_json(options.json, rows, extra)
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
