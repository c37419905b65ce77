"""What pgiam costs where no server is needed, beside boto3 and the Aurora DSQL connector for Python.

Theirs are called as their documentation says, with one client made beforehand where they allow it.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Callable, Coroutine
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from _cases import CLUSTER, HOST, KEYS, hook_call, hook_floor, mint_floor, use_example_credentials
from _measure import compared, in_process, interleaved, nanoseconds, output, whole_process, within
from _results import Findings, Options, Row, Table, main

FIRST_TOKEN_OURS = f"import pgiam; pgiam.generate_auth_token(host={HOST!r}, user='app')"
FIRST_TOKEN_THEIRS = f"import boto3; boto3.client('rds').generate_db_auth_token({HOST!r}, 5432, 'app')"
# Private memory (anonymous) is what a process costs; pages of files are shared by all that have the file mapped.
MEMORY = """
said = dict(line.split(':', 1) for line in open('/proc/self/status'))
print(*(int(said[name].split()[0]) / 1024 for name in ('VmHWM', 'RssAnon', 'RssFile')))
"""


def minting(options: Options) -> list[Row]:
    import boto3

    import pgiam

    client, rds = pgiam.Client(), boto3.client("rds")
    token = client.generate_auth_token(host=HOST, user="app", port=5432)
    least = mint_floor(token)
    ours_count, theirs_count = (50, 5) if options.tiny else (5000, 200)

    def ours() -> float:
        return nanoseconds(lambda: client.generate_auth_token(host=HOST, user="app", port=5432), ours_count)

    def theirs() -> float:
        return nanoseconds(lambda: rds.generate_db_auth_token(HOST, 5432, "app"), theirs_count)

    def floor() -> float:
        return nanoseconds(least, ours_count)

    async def awaited(count: int) -> float:
        start = time.perf_counter_ns()
        for _ in range(count):
            await client.generate_auth_token_async(host=HOST, user="app", port=5432)
        return (time.perf_counter_ns() - start) / count

    pairs = options.pairs
    return [
        compared(
            "mint",
            f"mint, {len(token):,} characters (boto3)",
            *(ours, theirs),
            pairs=pairs,
            unit="ns",
            at_least=80,
            floor=floor,
        ),
        compared("mint-floor", "mint (its floor)", ours, floor, pairs=pairs, unit="ns", at_most=2),
        compared(
            "mint-awaited",
            "mint awaited (mint)",
            lambda: asyncio.run(awaited(ours_count)),
            ours,
            pairs=pairs,
            unit="ns",
            at_most=1.3,
        ),
        compared("noise", "noise: mint (mint again)", ours, ours, pairs=pairs, unit="ns"),
    ]


def hook(options: Options) -> list[Row]:
    """What each adds to one connection, apart from connecting."""
    from dsql_core.token_manager import TokenManager
    from sqlalchemy.dialects import registry

    import pgiam

    client = pgiam.Client()
    token = client.generate_auth_token(host=CLUSTER, user="admin")
    theirs_once = {"host": CLUSTER, "user": "admin", "region": "us-east-1"}
    count, theirs_count = (20, 1) if options.tiny else (2000, 3)

    def ours(driver: str) -> Callable[[], float]:
        call = hook_call(client, registry.load(f"postgresql.{driver}")(), CLUSTER, "admin")
        return lambda: nanoseconds(call, count)

    def theirs() -> float:
        return nanoseconds(lambda: TokenManager.get_token(dict(theirs_once)), theirs_count)

    least = hook_floor(token)
    return [
        compared(
            f"hook-{driver}",
            f"hook, {driver} (DSQL connector's token)",
            ours(driver),
            theirs,
            pairs=options.pairs,
            unit="ns",
            at_least=10_000,
            floor=lambda: nanoseconds(least, count),
        )
        for driver in ("psycopg", "asyncpg")
    ]


def starting(options: Options) -> list[Row]:
    """Over an empty interpreter, which each figure has subtracted."""
    timed = "import time; t = time.perf_counter_ns(); import {0}; print((time.perf_counter_ns() - t) / 1e6)"

    def least(script: str) -> float:
        # The least of a few: what delays a process is never its own doing.
        return min(whole_process(script, KEYS) for _ in range(1 if options.tiny else 5))

    def over_empty(script: str) -> float:
        return max(least(script) - least("pass"), 0.05)

    return [
        compared(
            "import",
            "import (boto3)",
            lambda: in_process(timed.format("pgiam")),
            lambda: in_process(timed.format("boto3")),
            pairs=options.pairs,
            unit="ms",
            at_least=50,
        ),
        compared(
            "first-token",
            "process start to first token (boto3)",
            lambda: over_empty(FIRST_TOKEN_OURS),
            lambda: over_empty(FIRST_TOKEN_THEIRS),
            pairs=options.pairs,
            unit="ms",
            at_least=40,
        ),
    ]


def memory(options: Options) -> tuple[Row, Table]:
    scripts = {"": "pass", "import pgiam": "import pgiam", "pgiam, first token": FIRST_TOKEN_OURS}
    scripts |= {"import boto3": "import boto3", "boto3, first token": FIRST_TOKEN_THEIRS}
    found: dict[str, list[float]] = {}
    for name, script in scripts.items():
        runs = [
            [float(part) for part in output(f"{script}\n{MEMORY}", KEYS).split()] for _ in range(min(options.pairs, 5))
        ]
        found[name] = [statistics.median(values) for values in zip(*runs, strict=True)]
    empty = found.pop("")
    rows: list[list[float | str]] = [
        [name, *(value - least for value, least in zip(values, empty, strict=True))] for name, values in found.items()
    ]

    def peak(script: str) -> float:
        return max(float(output(f"{script}\n{MEMORY}", KEYS).split()[0]) - empty[0], 0.1)

    row = compared(
        "memory",
        "peak memory added by the first token (boto3)",
        lambda: peak(FIRST_TOKEN_OURS),
        lambda: peak(FIRST_TOKEN_THEIRS),
        pairs=min(options.pairs, 5),
        unit="MiB",
        at_least=10,
    )
    columns = [("over an empty interpreter", ""), ("peak", "MiB"), ("private", "MiB"), ("mapped from files", "MiB")]
    note = "Pages mapped from files are shared by all processes that use them."
    return row, Table("memory", "Memory", columns, rows, note)


def cold_callers(options: Options) -> dict[str, str]:
    """A thousand tasks and 32 threads on a client that has nothing yet, and a source that takes its time."""
    import pgiam

    calls, tasks, wait = 0, *((20, 0.1) if options.tiny else (1000, 0.5))

    def source() -> pgiam.Credentials:
        nonlocal calls
        calls += 1
        time.sleep(wait)
        return pgiam.Credentials("AKIDEXAMPLE", "secret")

    async def gap(task: Callable[[], Coroutine[Any, Any, object]], thread: Callable[[], object]) -> float:
        """The worst that a heartbeat was late, the start of all these tasks included."""
        worst, last = 0.0, time.perf_counter()
        callers = [asyncio.ensure_future(task()) for _ in range(tasks)]
        callers += [asyncio.ensure_future(asyncio.to_thread(thread)) for _ in range(32)]
        while not all(caller.done() for caller in callers):
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            worst, last = max(worst, now - last - 0.001), now
        return worst * 1000

    def ours() -> float:
        client = pgiam.Client(source)
        return asyncio.run(
            gap(
                lambda: client.generate_auth_token_async(host=HOST, user="app"),
                lambda: client.generate_auth_token(host=HOST, user="app"),
            )
        )

    def floor() -> float:
        return asyncio.run(gap(lambda: asyncio.sleep(wait), lambda: time.sleep(wait)))

    found = interleaved({"ours": ours, "floor": floor}, min(options.pairs, 3))
    fetches = calls / (min(options.pairs, 3) + 1)
    shown = {name: f"{statistics.median(gaps):.1f} ms" for name, gaps in found.items()}
    return {
        f"{tasks:,} cold tasks and 32 threads": f"{fetches:g} fetch; event loop's worst gap {shown['ours']}, "
        f"with tasks and threads that only sleep {shown['floor']}"
    }


def size() -> Row:
    def of(name: str) -> float:
        paths = [Path(str(file.locate())) for file in distribution(name).files or []]
        return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6

    theirs = sum(of(name) for name in ("boto3", "botocore", "s3transfer", "jmespath"))
    return within("size", "installed size (boto3 and what it needs)", [of("pgiam")], [theirs], unit="MB", limit=10)


def measure(options: Options) -> Findings:
    use_example_credentials()
    rows = [*minting(options), *hook(options), *starting(options)]
    peak, table = memory(options)
    return Findings([*rows, peak, size()], [table], cold_callers(options))


if __name__ == "__main__":
    sys.exit(main(__doc__, measure, pairs=9))
