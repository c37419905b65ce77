"""Threads that mint at the same time, 1 to 32 of them: throughput, median and tail, ours and boto3's.

Every thread calls for the same length of time, however many calls that makes. Both hold the interpreter's lock, which
a thread gives up after 5 ms at the latest: what counts for the tail is how many calls fit into one turn.
"""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Callable

from _cases import HOST, use_example_credentials
from _results import Findings, Options, Row, Table, main

COUNTS = (1, 2, 4, 8, 16, 32)
COLUMNS = [
    *(("threads", ""), ("calls", "/s"), ("p50", "ns"), ("p99", "ns"), ("p99.9", "ns")),
    *(("boto3 calls", "/s"), ("boto3 p50", "ns"), ("boto3 p99", "ns"), ("boto3 p99.9", "ns")),
]


def contend(call: Callable[[], object], count: int, seconds: float) -> tuple[float, ...]:
    """Calls a second of all threads together, and the percentiles of one call in nanoseconds."""
    spans: list[list[int]] = []
    barrier = threading.Barrier(count)

    def work() -> None:
        mine: list[int] = []
        barrier.wait()
        now = time.perf_counter_ns()
        end = now + int(seconds * 1e9)
        while now < end:
            call()
            done = time.perf_counter_ns()
            mine.append(done - now)
            now = done
        spans.append(mine)

    workers = [threading.Thread(target=work) for _ in range(count)]
    start = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    took = time.perf_counter() - start
    every = sorted(span for mine in spans for span in mine)
    return (len(every) / took, *(float(every[int((len(every) - 1) * part)]) for part in (0.5, 0.99, 0.999)))


def measure(options: Options) -> Findings:
    import boto3

    import pgiam

    use_example_credentials()
    client, rds = pgiam.Client(), boto3.client("rds")
    seconds = 0.02 if options.tiny else 0.5

    def ours() -> object:
        return client.generate_auth_token(host=HOST, user="app", port=5432)

    def theirs() -> object:
        return rds.generate_db_auth_token(HOST, 5432, "app")

    ours(), theirs()
    runs: dict[int, list[tuple[float, ...]]] = {count: [] for count in COUNTS}
    for _ in range(options.pairs):
        for count in COUNTS:
            runs[count].append((*contend(ours, count, seconds), *contend(theirs, count, seconds)))
    rows: list[list[float | str]] = [
        [count, *(statistics.median(values) for values in zip(*found, strict=True))] for count, found in runs.items()
    ]
    return Findings([tail(runs[32])], [Table("threads", "Threads that mint at the same time", COLUMNS, rows)])


def tail(runs: list[tuple[float, ...]]) -> Row:
    ours, theirs = [run[2] for run in runs], [run[6] for run in runs]
    ratios = [other / mine for mine, other in zip(ours, theirs, strict=True)]
    return Row(
        key="threads-32",
        what="32 threads minting, p99 (boto3)",
        ours=statistics.median(ours),
        theirs=statistics.median(theirs),
        unit="ns",
        ratio=statistics.median(ratios),
        low=min(ratios),
        high=max(ratios),
        target=">= 100x",
        goal=100,
        met=statistics.median(ratios) >= 100,
        floor=None,
    )


if __name__ == "__main__":
    sys.exit(main(__doc__, measure, pairs=5))
