"""What shows only with a database and an STS behind it: connections, exchanges, stalls. On the sandbox; `make bench`.

Theirs are written by hand with boto3 as its documentation says, for want of a package that does the whole.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import statistics
import sys
import time
import urllib.parse
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import asyncpg
import boto3
import psycopg
from _measure import Row, compared, show, write_json

import pgiam
from pgiam.sandbox import Sandbox

STALL = 3.0


def connections_per_second(box: Sandbox, pairs: int) -> list[Row]:
    """Connections a second, one after another: an auth token for each, against one static password."""
    client = pgiam.default_client()
    password = box.password_of("legacy")
    context = pgiam.ssl_context()
    static = {"host": box.host, "port": box.port, "dbname": "postgres", "sslmode": "verify-full"}
    static["sslrootcert"] = box.ca_file

    def rate(connect: Callable[[], Any], count: int = 40) -> float:
        start = time.perf_counter()
        for _ in range(count):
            connect().close()
        return count / (time.perf_counter() - start)

    async def rate_async(connect: Callable[[], Awaitable[Any]], count: int = 40) -> float:
        start = time.perf_counter()
        for _ in range(count):
            connection = await connect()
            await connection.close()
        return count / (time.perf_counter() - start)

    token = pgiam.password(host=box.host, port=box.port, user="app", client=client)
    common = {"host": box.host, "port": box.port, "database": "postgres", "ssl": context}
    options: dict[str, Any] = {"pairs": pairs, "unit": "/s", "at_most": None, "at_least": None}
    rows = [
        compared(
            "connections, psycopg (static password)",
            lambda: rate(lambda: psycopg.connect(**static, user="app", password=token)),  # type: ignore[arg-type]
            lambda: rate(lambda: psycopg.connect(**static, user="legacy", password=password)),  # type: ignore[arg-type]
            **options,
        ),
        compared(
            "connections, asyncpg (static password)",
            lambda: asyncio.run(rate_async(lambda: asyncpg.connect(**common, user="app", password=token))),
            lambda: asyncio.run(rate_async(lambda: asyncpg.connect(**common, user="legacy", password=password))),
            **options,
        ),
    ]
    # A rate, where more is better: the ratio is ours to theirs.
    return [replace(row, ratio=1 / row.ratio, target=">= 0.97x", met=1 / row.ratio >= 0.97) for row in rows]


def exchange(box: Sandbox, pairs: int) -> list[Row]:
    """One exchange at STS over a kept connection: pgiam, boto3, and the bare request."""
    role = _role(box)
    token = box.issue_identity_token("vercel", lifetime=3600)
    sts = boto3.client("sts", region_name="us-east-1")
    url = urllib.parse.urlsplit(box.env["AWS_ENDPOINT_URL_STS"])
    bare = http.client.HTTPConnection(url.hostname or "", url.port)
    body = urllib.parse.urlencode(
        {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": "2011-06-15",
            "RoleArn": role,
            "RoleSessionName": "bench",
            "WebIdentityToken": token,
        }
    )

    def request() -> None:
        bare.request("POST", "/", body, {"Content-Type": "application/x-www-form-urlencoded"})
        answer = bare.getresponse()
        if answer.status != 200:
            raise RuntimeError(f"STS answered {answer.status}")
        answer.read()

    def milliseconds(call: Callable[[], object], count: int = 20) -> float:
        start = time.perf_counter()
        for _ in range(count):
            call()
        return (time.perf_counter() - start) * 1000 / count

    def ours() -> float:
        return milliseconds(lambda: pgiam.exchange_oidc_token(token, role_arn=role))

    def theirs() -> float:
        return milliseconds(
            lambda: sts.assume_role_with_web_identity(RoleArn=role, RoleSessionName="bench", WebIdentityToken=token)
        )

    return [
        compared("STS exchange (boto3, one client)", ours, theirs, pairs=pairs, unit="ms", at_least=1),
        compared(
            "STS exchange (bare http.client)", ours, lambda: milliseconds(request), pairs=pairs, unit="ms", at_most=3
        ),
    ]


def _role(box: Sandbox) -> str:
    return box.platform_env("vercel")["AWS_ROLE_ARN"]


def stall(box: Sandbox) -> dict[str, object]:
    """The worst gap of an event loop's heartbeat while STS takes three seconds: ours, and boto3 in a coroutine."""
    role, token = _role(box), box.issue_identity_token("vercel", lifetime=3600)

    async def beating(work: Awaitable[object]) -> float:
        worst, last = 0.0, time.perf_counter()
        task = asyncio.ensure_future(work)
        while not task.done():
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            worst, last = max(worst, now - last - 0.001), now
        await task
        return worst * 1000

    async def ours() -> float:
        client = pgiam.Client(pgiam.WebIdentity(role_arn=role, identity_token=lambda: token))
        return await beating(client.generate_auth_token_async(host=box.token_host, user="app"))

    async def theirs() -> float:
        async def mint() -> str:
            sts = boto3.client("sts", region_name="us-east-1")
            answer = sts.assume_role_with_web_identity(RoleArn=role, RoleSessionName="bench", WebIdentityToken=token)
            keys = answer["Credentials"]
            rds = boto3.client(
                "rds",
                region_name="us-east-1",
                aws_access_key_id=keys["AccessKeyId"],
                aws_secret_access_key=keys["SecretAccessKey"],
                aws_session_token=keys["SessionToken"],
            )
            return str(rds.generate_db_auth_token(box.token_host, 5432, "app"))

        return await beating(mint())

    async def idle() -> float:
        return await beating(asyncio.sleep(STALL))

    gaps: dict[str, list[float]] = {"idle": [], "ours": [], "theirs": []}
    with box.faults.sts.slow(STALL):
        for _ in range(3):
            gaps["idle"].append(asyncio.run(idle()))
            gaps["ours"].append(asyncio.run(ours()))
            gaps["theirs"].append(asyncio.run(theirs()))
    shown = {name: f"{statistics.median(found):,.1f} ms" for name, found in gaps.items()}
    return {
        f"event loop's worst gap, STS takes {STALL:g} s": f"ours {shown['ours']}, boto3 {shown['theirs']}, "
        f"a loop that only sleeps {shown['idle']}"
    }


def cold(box: Sandbox) -> dict[str, object]:
    role, token = _role(box), box.issue_identity_token("vercel", lifetime=3600)
    client = pgiam.Client(pgiam.WebIdentity(role_arn=role, identity_token=lambda: token))
    before = _calls(box)

    async def main() -> float:
        start = time.perf_counter()
        mint = client.generate_auth_token_async
        await asyncio.gather(*(mint(host=box.token_host, user="app") for _ in range(1000)))
        return (time.perf_counter() - start) * 1000

    took = asyncio.run(main())
    return {"1,000 cold tasks: STS calls": f"{_calls(box) - before} in {took:,.0f} ms"}


def _calls(box: Sandbox) -> int:
    counted = box.stats()["aws"]["calls"]
    return int(sum(calls for name, calls in counted.items() if "AssumeRoleWithWebIdentity" in name))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7, help="interleaved pairs of each comparison (default 7)")
    parser.add_argument("--json", metavar="FILE", help="write the table as JSON, too")
    options = parser.parse_args()
    with Sandbox() as box, box.activated():
        rows = [*connections_per_second(box, options.pairs), *exchange(box, options.pairs)]
        extra = {**cold(box), **stall(box)}
    show(rows, extra)
    if options.json:
        write_json(options.json, rows, extra)
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
