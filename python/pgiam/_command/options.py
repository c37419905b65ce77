"""The flags that the commands share, and what they mean."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NamedTuple

import pgiam

if TYPE_CHECKING:
    from pgiam import Client, Endpoint


class Target(NamedTuple):
    """A login as the command line puts it; what is None comes from the environment."""

    host: str | None
    port: int | None
    user: str | None
    database: str | None
    region: str | None
    token_host: str | None
    expires_in: int | None


def add_login(parser: argparse.ArgumentParser, *, database: bool) -> None:
    parser.add_argument(
        "url",
        nargs="?",
        metavar="URL",
        help="postgresql://USER@HOST:PORT/DATABASE, with or without a +driver; flags win over it",
    )
    group = parser.add_argument_group("where to log in")
    group.add_argument("--host", metavar="HOST", help="the endpoint to connect to [PGHOST]")
    group.add_argument("--port", metavar="PORT", type=int, help="its port [PGPORT, or 5432]")
    group.add_argument("--user", metavar="USER", help="the database user [PGUSER]")
    if database:
        group.add_argument("--database", metavar="NAME", help="the database [PGDATABASE]")
    group.add_argument("--region", metavar="REGION", help="the region, where the host's name has none")
    group.add_argument(
        "--token-host",
        metavar="HOST[:PORT]",
        help="sign for this endpoint and connect to the other: for tunnels and aliases [PGIAM_TOKEN_HOST]",
    )
    group.add_argument("--expires-in", metavar="SECONDS", type=int, help="life of the auth token [900]")


def add_identity(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("as whom")
    group.add_argument("--profile", metavar="NAME", help="a profile in ~/.aws/config [AWS_PROFILE]")
    group.add_argument("--role-arn", metavar="ARN", help="assume this role with the credentials found")


def target(options: argparse.Namespace) -> Target:
    address = None
    if options.url is not None:
        from pgiam import _url

        address = _url.parse(options.url)
    return Target(
        host=options.host or (address.host if address else None),
        port=options.port if options.port is not None else (address.port if address else None),
        user=options.user or (address.user if address else None),
        database=getattr(options, "database", None) or (address.database if address else None),
        region=options.region,
        token_host=options.token_host,
        expires_in=options.expires_in,
    )


def client(options: argparse.Namespace) -> Client:
    source = pgiam.Profile(options.profile) if options.profile else None
    if options.role_arn:
        return pgiam.Client(pgiam.AssumeRole(role_arn=options.role_arn, source=source))
    return pgiam.Client(source)


def sign(signer: Client, wanted: Target) -> str:
    return signer.generate_auth_token(
        host=wanted.host,
        port=wanted.port,
        user=wanted.user,
        region=wanted.region,
        token_host=wanted.token_host,
        expires_in=wanted.expires_in,
    )


def endpoint(wanted: Target) -> Endpoint:
    import os

    host = wanted.host or os.environ.get("PGHOST") or ""
    return pgiam.Endpoint.parse(host, port=wanted.port, region=wanted.region, token_host=wanted.token_host)
