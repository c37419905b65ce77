"""What shows only with a database and an STS behind it: connections, exchanges, stalls. On the sandbox.

Theirs are written by hand with boto3 as its documentation says, for want of a package that does the whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import statistics
import sys
import time
import urllib.parse
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import asyncpg
import boto3
import psycopg
from _cases import CLUSTER
from _measure import compared, interleaved, within
from _results import Findings, Options, Row, main
from dsql_core.token_manager import TokenManager

import pgiam
from pgiam.sandbox import Sandbox


def connections_per_second(box: Sandbox, options: Options) -> list[Row]:
    """Connections a second, one after another: an auth token for each, against one static password.

    The server checks the one with PAM and the other with SCRAM-SHA-256, whose key stretching takes both sides time.
    """
    each = 2 if options.tiny else 40
    client = pgiam.default_client()
    password = box.password_of("legacy")
    context = pgiam.ssl_context()
    static = {"host": box.host, "port": box.port, "dbname": "postgres", "sslmode": "verify-full"}
    static["sslrootcert"] = box.ca_file

    def rate(connect: Callable[[], Any], count: int = each) -> float:
        start = time.perf_counter()
        for _ in range(count):
            connect().close()
        return count / (time.perf_counter() - start)

    async def rate_async(connect: Callable[[], Awaitable[Any]], count: int = each) -> float:
        start = time.perf_counter()
        for _ in range(count):
            connection = await connect()
            await connection.close()
        return count / (time.perf_counter() - start)

    token = pgiam.password(host=box.host, port=box.port, user="app", client=client)
    common = {"host": box.host, "port": box.port, "database": "postgres", "ssl": context}
    given: dict[str, Any] = {"pairs": options.pairs, "unit": "/s", "at_least": 0.97, "rate": True}
    return [
        compared(
            "connections-psycopg",
            "connections, psycopg (static password)",
            lambda: rate(lambda: psycopg.connect(**static, user="app", password=token)),  # type: ignore[arg-type]
            lambda: rate(lambda: psycopg.connect(**static, user="legacy", password=password)),  # type: ignore[arg-type]
            **given,
        ),
        compared(
            "connections-asyncpg",
            "connections, asyncpg (static password)",
            lambda: asyncio.run(rate_async(lambda: asyncpg.connect(**common, user="app", password=token))),
            lambda: asyncio.run(rate_async(lambda: asyncpg.connect(**common, user="legacy", password=password))),
            **given,
        ),
    ]


def exchange(box: Sandbox, options: Options) -> list[Row]:
    """One exchange at STS over a kept connection: pgiam, boto3, and the bare request, which is the floor."""
    each = 2 if options.tiny else 20
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

    def milliseconds(call: Callable[[], object], count: int = each) -> float:
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

    found = interleaved({"ours": ours, "theirs": theirs, "bare": lambda: milliseconds(request)}, options.pairs)
    over = {
        name: [mine - least for mine, least in zip(found[name], found["bare"], strict=True)]
        for name in ("ours", "theirs")
    }
    bare.close()
    return [
        within(
            "exchange-overhead",
            "STS exchange over a bare request (boto3)",
            over["ours"],
            over["theirs"],
            unit="ms",
            limit=0.5,
        ),
    ]


def stall(box: Sandbox, options: Options) -> Row:
    """The worst that a heartbeat is late while STS takes its time: ours, boto3 in a coroutine, and an idle loop."""
    seconds = 0.2 if options.tiny else 3.0
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

    gaps: dict[str, list[float]] = {"idle": [], "ours": [], "theirs": []}
    with box.faults.sts.slow(seconds):
        for _ in range(min(options.pairs, 3)):
            gaps["idle"].append(asyncio.run(beating(asyncio.sleep(seconds))))
            gaps["ours"].append(asyncio.run(ours()))
            gaps["theirs"].append(asyncio.run(theirs()))
    row = within(
        "stall",
        f"event loop's stall, STS takes {seconds:g} s (boto3)",
        gaps["ours"],
        gaps["theirs"],
        unit="ms",
        limit=5,
    )
    return replace(row, floor=statistics.median(gaps["idle"]))


def cold(box: Sandbox, options: Options) -> dict[str, str]:
    """How many calls of STS a crowd on a cold client makes, and the DSQL connector's way: a session per connection."""
    role, token = _role(box), box.issue_identity_token("vercel", lifetime=3600)
    client = pgiam.Client(pgiam.WebIdentity(role_arn=role, identity_token=lambda: token))
    callers, connections = (20, 2) if options.tiny else (1000, 20)
    before = _calls(box)

    async def crowd() -> float:
        start = time.perf_counter()
        mint = client.generate_auth_token_async
        await asyncio.gather(*(mint(host=box.token_host, user="app") for _ in range(callers)))
        return (time.perf_counter() - start) * 1000

    took = asyncio.run(crowd())
    ours = _calls(box)
    with pretended(box.platform_env("eks")):
        start = time.perf_counter()
        for _ in range(connections):
            TokenManager.get_token({"host": CLUSTER, "user": "admin", "region": "us-east-1"})
        theirs_took = (time.perf_counter() - start) * 1000
    return {
        f"{callers:,} cold tasks": f"STS calls: {ours - before}, in {took:,.0f} ms",
        f"{connections} connections of the DSQL connector, web identity": f"STS calls: {_calls(box) - ours}, "
        f"in {theirs_took:,.0f} ms",
    }


@contextlib.contextmanager
def pretended(environment: dict[str, str]) -> Iterator[None]:
    """As a workload on that platform: without the sandbox's keys, which would win."""
    before = dict(os.environ)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        os.environ.pop(name, None)
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _role(box: Sandbox) -> str:
    return box.platform_env("vercel")["AWS_ROLE_ARN"]


def _calls(box: Sandbox) -> int:
    counted = box.stats()["aws"]["calls"]
    return int(sum(calls for name, calls in counted.items() if "AssumeRoleWithWebIdentity" in name))


def measure(options: Options) -> Findings:
    with Sandbox() as box, box.activated():
        rows = [*connections_per_second(box, options), *exchange(box, options), stall(box, options)]
        return Findings(rows, facts=cold(box, options))


if __name__ == "__main__":
    sys.exit(main(__doc__, measure, pairs=7))
