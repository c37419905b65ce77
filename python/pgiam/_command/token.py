"""`pgiam token`."""

from __future__ import annotations

import argparse
import json
import os
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from pgiam.errors import Error

from . import options as flags

if TYPE_CHECKING:
    from pgiam import Client

SCHEMA = "pgiam.token/1"


def fill(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Print a fresh auth token. The database takes it as the password, for 15 minutes\n"
        "and over TLS only. It is a secret: whoever reads it can log in."
    )
    parser.epilog = (
        "example:\n"
        "  PGPASSWORD=$(pgiam token --host db.abc123.eu-central-1.rds.amazonaws.com \\\n"
        "    --user app) psql 'host=db.abc123.eu-central-1.rds.amazonaws.com user=app \\\n"
        "    dbname=shop sslmode=verify-full sslrootcert=/path/to/trust.pem'"
    )
    flags.add_login(parser, database=False)
    flags.add_identity(parser)
    parser.add_argument("--json", action="store_true", help="with its expiry and the identity that signed it")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    wanted, client = flags.target(options), flags.client(options)
    token = flags.sign(client, wanted)
    print(json.dumps(_described(token, wanted, client), indent=2) if options.json else token)
    return 0


def _described(token: str, wanted: flags.Target, client: Client) -> dict[str, Any]:
    credentials = client.credentials()
    try:
        identity: str | None = client.whoami().arn
    except Error:
        identity = None  # signing needs no STS, and there may be no way to it
    signed = {name: values[0] for name, values in parse_qs(token.partition("?")[2]).items()}
    scope = signed["X-Amz-Credential"].split("/")
    begin = datetime.strptime(signed["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
    end = begin + timedelta(seconds=int(signed["X-Amz-Expires"]))
    if credentials.expires_at is not None:
        end = min(end, credentials.expires_at.replace(microsecond=0))
    return {
        "schema": SCHEMA,
        "token": token,
        "expires_at": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "host": token.partition("/?")[0],
        "user": wanted.user or os.environ.get("PGUSER"),
        "region": scope[2],
        "identity": {"arn": identity, "source": credentials.source, "access_key": credentials.access_key},
    }
