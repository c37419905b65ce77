"""What the demonstration prints."""

from __future__ import annotations

from typing import Any

import pgiam
from demo.service import TASKS, THREADS, Service
from pgiam.sandbox import Sandbox


def introduce(box: Sandbox, identity: str, session_seconds: int) -> None:
    print(f"""
  database     PostgreSQL {box.postgres_version} on {box.host}:{box.port}; takes nothing but auth tokens for
               {box.token_host}
  identity     a GitHub Actions OIDC token, exchanged at STS for
               {identity}
  credentials  end {session_seconds} seconds after they were issued, again and again
  service      {THREADS} threads on a SQLAlchemy pool (psycopg), {TASKS} tasks on an asyncpg pool; no password anywhere

  second  queries  connections  STS calls  failures  what happens""")


def progress(second: int, service: Service, stats: dict[str, Any], event: str) -> None:
    row = (
        f"  {second:6}  {service.queries:7,}  {stats['accepted']:11,}  {exchanges(stats):9}  {len(service.failures):8}"
    )
    print(f"{row}  {event}".rstrip(), flush=True)


def summarise(service: Service, client: pgiam.Stats, stats: dict[str, Any], seconds: int) -> bool:
    """Print the summary; returns whether everything went as it must."""
    opened = sum(service.connections.values())
    refused = sum(stats["refused"].values())
    accepted = f"{stats['accepted']:,} accepted by the database, {refused} refused"
    by_pool = ", ".join(f"{name} {count:,}" for name, count in sorted(service.connections.items()))
    identity_tokens = stats["aws"]["calls"].get("github_actions:token", 0)
    print(f"""
  queries          {service.queries:7,}  in {seconds} seconds
  connections      {opened:7,}  {by_pool}
  auth tokens      {client.tokens:7,}  one for each connection; {accepted}
  identity tokens  {identity_tokens:7,}  fetched from the platform
  STS calls        {exchanges(stats):7,}  {client.refreshes} answered with credentials
  sessions ended   {service.killed:7,}  {service.repeated} queries were cut off by it, and repeated
  failures         {len(service.failures):7,}""")
    problems = [f"a query failed: {failure}" for failure in service.failures[:5]]
    if refused:
        problems.append(f"the database refused {refused} logins: {stats['refused']}")
    if service.repeated > service.killed:
        problems.append(f"{service.repeated} queries were cut off, but only {service.killed} sessions ended")
    if not service.queries or len(service.connections) < 2:
        problems.append("a pool served nothing")
    if client.refreshes < 2:
        problems.append("the credentials were never replaced")
    for problem in problems:
        print(f"\n  NOT AS IT MUST BE: {problem}")
    print(flush=True)
    return not problems


def exchanges(stats: dict[str, Any]) -> int:
    return int(stats["aws"]["calls"].get("sts:AssumeRoleWithWebIdentity", 0))
