"""How minting and the hook grow with the session token, the number of endpoints, and the number of engines.

What must grow: a longer session token has to be hashed. What must not: one client serves any number of endpoints and
engines.
"""

from __future__ import annotations

import gc
import itertools
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from _cases import HOST, KEYS, SESSION_TOKEN, hook_call, hook_floor, mint_floor, use_example_credentials
from _measure import interleaved, nanoseconds
from _results import Findings, Options, Table, main

if TYPE_CHECKING:
    from sqlalchemy import Engine

    import pgiam

SESSION_TOKENS = (0, 500, 1_000, 1_356, 2_000, 4_000)
COSTS = ("mint", "mint's floor", "hook", "hook's floor", "boto3's mint")
MANY = (1, 10, 100, 1_000)


def session_tokens(options: Options) -> Table:
    import boto3
    from sqlalchemy.dialects import registry

    import pgiam

    dialect = registry.load("postgresql.psycopg")()
    count, theirs_count = (20, 2) if options.tiny else (2000, 100)
    calls: dict[str, Callable[[], float]] = {}
    lengths: dict[int, int] = {}
    for length in SESSION_TOKENS:
        keys = KEYS["AWS_ACCESS_KEY_ID"], KEYS["AWS_SECRET_ACCESS_KEY"], (SESSION_TOKEN * 3)[:length] or None
        client = pgiam.Client(pgiam.Credentials(*keys))
        mint: Callable[[], str] = partial(client.generate_auth_token, host=HOST, user="app", port=5432)
        token = mint()
        rds = boto3.Session(*keys, region_name="us-east-1").client("rds")
        measured: tuple[Callable[[], object], ...] = (
            mint,
            mint_floor(token),
            hook_call(client, dialect, HOST, "app"),
            hook_floor(token),
        )
        for name, call in zip(COSTS, measured, strict=False):
            calls[f"{name} {length}"] = partial(nanoseconds, call, count)
        theirs = partial(rds.generate_db_auth_token, HOST, 5432, "app")
        calls[f"{COSTS[-1]} {length}"] = partial(nanoseconds, theirs, theirs_count)
        lengths[length] = len(token)
    # All lengths in turn, too: what disturbs one of them would bend the line.
    found = {name: statistics.median(values) for name, values in interleaved(calls, options.pairs).items()}
    rows: list[list[float | str]] = [
        [length, signed, *(found[f"{name} {length}"] for name in COSTS)] for length, signed in lengths.items()
    ]
    columns = [("session token", ""), ("auth token", "")]
    columns += [(name, "ns") for name in COSTS]
    note = f"Per 1,000 characters of auth token: {slopes(rows)}."
    return Table("session-tokens", "Length of the session token, in characters", columns, rows, note)


def slopes(rows: list[list[float | str]]) -> str:
    """Least squares, and how well a straight line fits."""
    lengths = [float(row[1]) for row in rows]
    said = []
    for index, name in enumerate(COSTS, start=2):
        costs = [float(row[index]) for row in rows]
        slope = statistics.linear_regression(lengths, costs).slope
        said.append(f"{name} {slope:.2f} us (r = {statistics.correlation(lengths, costs):.3f})")
    return ", ".join(said)


def endpoints(options: Options) -> Table:
    """Calls that go round N endpoints, on one client each."""
    import boto3

    import pgiam

    client, rds = pgiam.Client(), boto3.client("rds")
    count, theirs_count = (20, 2) if options.tiny else (4000, 100)
    calls: dict[str, Callable[[], float]] = {}
    for many in MANY:
        hosts = [host(number) for number in range(many)]
        calls[f"{many}"] = partial(nanoseconds, round_ours(client, hosts), count)
        calls[f"{many} boto3"] = partial(nanoseconds, round_theirs(rds, hosts), theirs_count)
    found = {name: statistics.median(values) for name, values in interleaved(calls, options.pairs).items()}
    rows: list[list[float | str]] = [[many, found[f"{many}"], found[f"{many} boto3"]] for many in MANY]
    columns = [("endpoints", ""), ("mint", "ns"), ("boto3's mint", "ns")]
    return Table("endpoints", "Endpoints in turn, one client", columns, rows)


def round_ours(client: pgiam.Client, hosts: list[str]) -> Callable[[], object]:
    turn = itertools.cycle(hosts)
    return lambda: client.generate_auth_token(host=next(turn), user="app", port=5432)


def round_theirs(rds: Any, hosts: list[str]) -> Callable[[], object]:
    turn = itertools.cycle(hosts)
    return lambda: rds.generate_db_auth_token(next(turn), 5432, "app")


def engines(options: Options) -> Table:
    """Calls that go round N engines, each with its own endpoint and its own listener by `attach`, on one client."""
    from sqlalchemy import create_engine

    import pgiam
    from pgiam.sqlalchemy import attach

    client = pgiam.Client()
    numbers = (1, 10) if options.tiny else MANY
    count = 20 if options.tiny else 2000
    made: list[Engine] = []
    attaching: dict[int, float] = {}
    calls: dict[str, Callable[[], float]] = {}
    for many in numbers:
        new = [create_engine(f"postgresql+psycopg://app@{host(n)}/app") for n in range(len(made), many)]
        gc.disable()  # as timeit does: one collection of what the bench has made outlasts a hundred of these
        start = time.perf_counter_ns()
        for engine in new:
            attach(engine, client=client)
        attaching[many] = (time.perf_counter_ns() - start) / len(new)
        gc.enable()
        made += new
        calls[f"{many}"] = partial(nanoseconds, round_engines(list(made)), count)
    found = interleaved(calls, options.pairs)
    rows: list[list[float | str]] = [[many, statistics.median(found[f"{many}"]), attaching[many]] for many in numbers]
    columns = [("engines", ""), ("hook", "ns"), ("attach, each", "ns")]
    return Table("engines", "Engines in turn, each attached, one client", columns, rows)


def round_engines(made: list[Engine]) -> Callable[[], object]:
    turn = itertools.cycle(made)
    return lambda: asked(next(turn))


def asked(engine: Engine) -> None:
    """What SQLAlchemy does for one connection of an engine, apart from connecting."""
    cargs, cparams = engine.dialect.create_connect_args(engine.url)
    for listener in engine.dialect.dispatch.do_connect:
        listener(engine.dialect, None, cargs, cparams)


def host(number: int) -> str:
    return f"db{number}.cluster-abc123.us-east-1.rds.amazonaws.com"


def measure(options: Options) -> Findings:
    use_example_credentials()
    return Findings(tables=[session_tokens(options), endpoints(options), engines(options)])


if __name__ == "__main__":
    sys.exit(main(__doc__, measure, pairs=7))
