"""How long an event loop stands still while a crowd waits for one exchange, beside what asyncio itself costs.

Each figure is the longest gap of a loop's heartbeat from the moment that all tasks are let go to the last answer, the
median of several runs. "asyncio" is the same crowd without pgiam: every task awaits a future of its own, which another
thread resolves by `call_soon_threadsafe` when the exchange would have ended. What a crowd of threads costs shows in
both columns: they wait on an event there, and all want the GIL when it is set.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import threading
import time
from collections.abc import Awaitable, Callable

from _results import Findings, Options, Table, main

import pgiam
from pgiam.sandbox import Sandbox

EXCHANGE = 1.0
COLUMNS = ("cold", "expiring", "asyncio")
TASKS, THREADS = (100, 1_000, 10_000), (0, 1_000)
LIFE = 6.0
STACK = 512 * 1024
WAIT = 60.0


async def beating(ask: Callable[[], Awaitable[object]], tasks: int, start: Callable[[], object]) -> float:
    """The longest gap between two turns of the loop, in milliseconds."""
    crowd = [ask() for _ in range(tasks)]
    start()
    last, worst = time.perf_counter(), 0.0
    work = asyncio.gather(*crowd)
    while not work.done():
        await asyncio.sleep(0.001)
        now = time.perf_counter()
        worst, last = max(worst, now - last - 0.001), now
    await work
    return worst * 1000


def measured(
    tasks: int, threads: int, ask: Callable[[], Awaitable[object]], block: Callable[[], object], at: float = 0.0
) -> float:
    """A loop on this thread, `threads` beside it, all let go at the same moment, `at` the soonest."""
    barrier = threading.Barrier(threads + 1)

    def thread() -> None:
        barrier.wait(WAIT)
        block()

    def start() -> None:
        time.sleep(max(0.0, at - time.time()))
        barrier.wait(WAIT)

    crowd = [threading.Thread(target=thread) for _ in range(threads)]
    for each in crowd:
        each.start()
    worst = asyncio.run(beating(ask, tasks, start))
    for each in crowd:
        each.join()
    return worst


def by_pgiam(box: Sandbox, tasks: int, threads: int, *, expiring: bool) -> float:
    token = box.issue_identity_token("vercel", lifetime=3600)
    role = box.platform_env("vercel")["AWS_ROLE_ARN"]
    client = pgiam.Client(pgiam.WebIdentity(role_arn=role, identity_token=lambda: token))
    at = 0.0
    if expiring:
        box.control("aws/session_lifetime", seconds=LIFE)
        end = client.credentials().expires_at
        box.control("aws/session_lifetime", seconds=None)
        if end is None:
            raise AssertionError("STS's credentials end")
        at = end.timestamp() - LIFE * 0.09  # in the window in which callers wait

    async def ask() -> object:
        return await client.generate_auth_token_async(host=box.token_host, user="app")

    def block() -> object:
        return client.generate_auth_token(host=box.token_host, user="app")

    with box.faults.sts.slow(EXCHANGE):
        return measured(tasks, threads, ask, block, at)


def by_asyncio(tasks: int, threads: int) -> float:
    waiting: list[asyncio.Future[None]] = []
    answered = threading.Event()

    def resolve(future: asyncio.Future[None]) -> None:
        if not future.done():
            future.set_result(None)

    def answer() -> None:
        time.sleep(EXCHANGE)
        answered.set()
        for future in waiting:
            future.get_loop().call_soon_threadsafe(resolve, future)

    exchange = threading.Thread(target=answer)

    async def ask() -> None:
        future = asyncio.get_running_loop().create_future()
        waiting.append(future)
        if len(waiting) == tasks:
            exchange.start()
        await future

    worst = measured(tasks, threads, ask, answered.wait)
    exchange.join()
    return worst


def measure(options: Options) -> Findings:
    threading.stack_size(STACK)
    sizes = [(10, 0)] if options.tiny else [(tasks, threads) for threads in THREADS for tasks in TASKS]
    rows: list[list[float | str]] = []
    with Sandbox() as box, box.activated():
        for tasks, threads in sizes:
            # Interleaved, so that all three share what else the machine does.
            found = [
                (
                    by_pgiam(box, tasks, threads, expiring=False),
                    by_pgiam(box, tasks, threads, expiring=True),
                    by_asyncio(tasks, threads),
                )
                for _ in range(options.pairs)
            ]
            gaps = [gap for each in zip(*found, strict=True) for gap in (statistics.median(each), max(each))]
            rows.append([tasks, threads, *gaps])
    columns = [("tasks", ""), ("threads", "")]
    columns += [(f"{name}{part}", "ms") for name in COLUMNS for part in ("", ", worst run")]
    return Findings(tables=[Table("crowd", "The event loop's longest gap while a crowd waits", columns, rows)])


if __name__ == "__main__":
    sys.exit(main(__doc__, measure, pairs=3))
