"""A program that says all it can: every logger at DEBUG, every object shown, every error with its traceback.

What it holds that is secret it writes to the file named first, so that its output can be searched for it.
"""

from __future__ import annotations

import asyncio
import faulthandler
import json
import logging
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pg8000.dbapi
import psycopg
import psycopg2
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

import pgiam
import pgiam.sqlalchemy

logging.basicConfig(level=logging.DEBUG, format="%(name)s %(levelname)s %(message)s %(args)s", stream=sys.stderr)
secrets: list[str] = []


def main(secrets_file: str, host: str, port: int, user: str, role_arn: str, identity: str) -> None:
    client = pgiam.default_client()
    held = client.credentials()
    token = client.generate_auth_token(host=host, port=port, user=user)
    # Of an auth token the signature is what nobody may see; its start is the host's name.
    secrets.extend([held.secret_key, held.session_token or held.secret_key, token.rpartition("=")[2]])
    Path(secrets_file).write_text(json.dumps(secrets), encoding="utf-8")
    password = client.password(host=host, port=port, user=user)
    print(client, client.stats(), client.whoami(), held, [password], f"{password}", vars(sys.modules["pgiam"]))

    for name in (user, "nobody"):
        log_in(client, host, port, name)

    said(lambda: pgiam.Client(pgiam.WebIdentity(role_arn=role_arn, identity_token=identity)).credentials())
    said(lambda: pgiam.Client(pgiam.AssumeRole(role_arn=role_arn + "-of-others", source=client)).credentials())
    said(lambda: pgiam.exchange_oidc_token(held.session_token or "x", role_arn=role_arn))
    said(lambda: pgiam.Client(lambda: {"access_key": "a", "secret_key": held.secret_key, "token": 1}).credentials())
    said(lambda: pgiam.Client(lambda: held.secret_key).credentials())
    said(lambda: pgiam.Credentials(held.access_key, held.secret_key + "\n"))
    said(lambda: client.generate_auth_token(host=token, user=user))
    said(lambda: client.generate_auth_token(host=host, user=user, region=token))
    said(lambda: json.dumps(held))
    client.invalidate()
    said(client.refresh)
    faulthandler.dump_traceback(all_threads=True)


def log_in(client: pgiam.Client, host: str, port: int, user: str) -> None:
    login: dict[str, Any] = {"host": host, "port": port, "user": user}
    libpq = {**login, "dbname": "postgres", "sslmode": "verify-full", "sslrootcert": pgiam.ca_file()}
    tls = pgiam.ssl_context()
    password: Any = client.password(**login)  # libpq's drivers take any object, and their types do not say so
    said(lambda: show(psycopg.connect(**libpq, password=password)))
    said(lambda: show(psycopg2.connect(**libpq, password=password)))
    said(
        lambda: pg8000.dbapi.connect(
            **login, database="postgres", password=str(client.password(**login)), ssl_context=tls
        ).close()
    )
    said(lambda: asyncio.run(by_asyncpg(client, login), debug=True))
    said(lambda: by_sqlalchemy(client, host, port, user))
    said(lambda: asyncio.run(by_async_sqlalchemy(client, host, port, user), debug=True))


def said(action: Callable[[], object]) -> None:
    """What comes of it, shown in full."""
    try:
        print(repr(action()))
    except Exception as error:
        traceback.print_exc()
        logging.getLogger("program").exception("it failed: %r %r", error, getattr(error, "hint", None), stack_info=True)
        for name in ("attempts", "claims", "code", "request_id"):
            print(name, getattr(error, name, None))


def show(connection: Any) -> None:
    print(repr(connection), repr(connection.info))
    connection.close()


async def by_asyncpg(client: pgiam.Client, login: dict[str, Any]) -> None:
    password = client.password(**login)
    connection = await asyncpg.connect(**login, database="postgres", ssl=pgiam.ssl_context(), password=password)
    print(repr(connection))
    await connection.close()


def by_sqlalchemy(client: pgiam.Client, host: str, port: int, user: str) -> None:
    url = f"postgresql+psycopg://{user}@{host}:{port}/postgres"
    engine = pgiam.sqlalchemy.create_engine(url, client=client, echo="debug", echo_pool="debug")
    try:
        with engine.connect() as connection:
            print(repr(engine), engine.url, connection.execute(sa.text("select current_user")).scalar())
    finally:
        engine.dispose()


async def by_async_sqlalchemy(client: pgiam.Client, host: str, port: int, user: str) -> None:
    engine = create_async_engine(f"postgresql+asyncpg://{user}@{host}:{port}/postgres", echo="debug", echo_pool="debug")
    pgiam.sqlalchemy.attach(engine, client=client)
    try:
        async with engine.connect() as connection:
            print(repr(engine), (await connection.execute(sa.text("select current_user"))).scalar())
    finally:
        await engine.dispose()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), *sys.argv[4:7])
