"""Beside the AWS Advanced Python Wrapper's IAM plugin, with psycopg: per token, per connection, and really connecting.

Its plugin makes a token with boto3 and then uses it for every connection to the same host, port, user and region for
14.5 minutes; pgiam makes one for each connection. Both paths of the plugin are measured: `IamAuthPlugin.connect` as the
wrapper calls it, with a connect function that does nothing, and `IamAuthUtils.generate_authentication_token` alone.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import psycopg
from _cases import HOST, hook_call, hook_floor, use_example_credentials
from _measure import compared, interleaved, nanoseconds
from _results import Findings, Options, Row, Table, main
from aws_advanced_python_wrapper import AwsWrapperConnection, release_resources
from aws_advanced_python_wrapper.aws_credentials_manager import AwsCredentialsManager
from aws_advanced_python_wrapper.driver_dialect_manager import DriverDialectManager
from aws_advanced_python_wrapper.hostinfo import HostInfo
from aws_advanced_python_wrapper.iam_plugin import IamAuthPlugin
from aws_advanced_python_wrapper.plugin_service import (
    PluginManager,
    PluginServiceImpl,
    PluginServiceManagerContainer,
)
from aws_advanced_python_wrapper.utils import services_container
from aws_advanced_python_wrapper.utils.iam_utils import IamAuthUtils, TokenInfo
from aws_advanced_python_wrapper.utils.properties import Properties
from aws_advanced_python_wrapper.utils.telemetry.default_telemetry_factory import DefaultTelemetryFactory

import pgiam
import pgiam.psycopg
from pgiam.sandbox import Sandbox


class Plugin:
    """The wrapper's IAM plugin, set up as `AwsWrapperConnection.connect` does, for one connection after another."""

    def __init__(self) -> None:
        self.properties = Properties({"host": HOST, "port": "5432", "user": "app", "plugins": "iam"})
        self.host_info = HostInfo(HOST, 5432)
        dialects = DriverDialectManager()
        target = psycopg.Connection.connect
        self.dialect = dialects.get_dialect(target, self.properties)
        container = PluginServiceManagerContainer()
        self.service = PluginServiceImpl(container, self.properties, target, dialects, self.dialect)
        PluginManager(container, self.properties, DefaultTelemetryFactory(self.properties))

    def connect(self) -> None:
        """A plugin is made for each connection."""
        properties = Properties(self.properties)
        IamAuthPlugin(self.service).connect(
            psycopg.Connection.connect, self.dialect, self.host_info, properties, True, lambda: None
        )
        if "X-Amz-Signature" not in properties["password"]:
            raise RuntimeError("the wrapper's IAM plugin set no auth token")

    def connect_anew(self) -> None:
        """The same when its token has expired."""
        services_container.get_storage_service().clear(TokenInfo)
        self.connect()

    def token(self) -> str:
        session = AwsCredentialsManager.get_session(self.host_info, self.properties, "us-east-1")
        return str(
            IamAuthUtils.generate_authentication_token(self.service, "app", HOST, 5432, "us-east-1", session, None)
        )

    def connect_first(self) -> None:
        """The same for the first connection to a host, which makes a session and a client of boto3."""
        AwsCredentialsManager.release_resources()
        self.connect_anew()


def per_connection(options: Options) -> list[Row]:
    from sqlalchemy.dialects import registry

    use_example_credentials()
    client, plugin = pgiam.Client(), Plugin()
    hook = hook_call(client, registry.load("postgresql.psycopg")(), HOST, "app")
    least = hook_floor(client.generate_auth_token(host=HOST, user="app", port=5432))
    count, theirs_count = (20, 2) if options.tiny else (2000, 100)

    def row(key: str, what: str, ours: Callable[[], object], theirs: Callable[[], object], times: int) -> Row:
        floor = (lambda: nanoseconds(least, count)) if ours is hook else None
        return compared(
            key,
            f"{what} (wrapper)",
            lambda: nanoseconds(ours, count),
            lambda: nanoseconds(theirs, times),
            pairs=options.pairs,
            unit="ns",
            floor=floor,
        )

    def mint() -> object:
        return client.generate_auth_token(host=HOST, user="app", port=5432)

    return [
        row("wrapper-token", "mint, its client warm", mint, plugin.token, theirs_count),
        row("wrapper-cached", "hook, its token cached", hook, plugin.connect, theirs_count),
        row("wrapper-expired", "hook, its token expired", hook, plugin.connect_anew, theirs_count),
        row("wrapper-first", "hook, its first to a host", hook, plugin.connect_first, 1),
    ]


def connecting(options: Options) -> tuple[Row, Table]:
    """Connections a second, one after another, on the sandbox. The wrapper does more than IAM: that is a row, too."""
    count = 2 if options.tiny else 40
    with Sandbox() as box, box.activated():
        client = pgiam.default_client()
        tls = {"dbname": "postgres", "sslmode": "verify-full", "sslrootcert": box.ca_file}
        place: dict[str, Any] = {"host": box.host, "port": box.port, "user": "app", **tls}
        iam = {"iam_host": box.token_host, "iam_default_port": box.port, "iam_region": "us-east-1"}
        token = pgiam.password(host=box.host, port=box.port, user="app", client=client)
        wrapped: dict[str, Any] = {**place, "wrapper_dialect": "pg"}

        def rate(connect: Callable[[], Any]) -> float:
            start = time.perf_counter()
            for _ in range(count):
                connect().close()
            return count / (time.perf_counter() - start)

        def ours() -> float:
            return rate(lambda: pgiam.psycopg.connect(**place))

        def password() -> float:
            return rate(lambda: psycopg.connect(**place, password=token))  # type: ignore[arg-type]

        def theirs() -> float:
            return rate(
                lambda: AwsWrapperConnection.connect(psycopg.Connection.connect, plugins="iam", **wrapped, **iam)
            )

        def bare_wrapper() -> float:
            return rate(
                lambda: AwsWrapperConnection.connect(
                    psycopg.Connection.connect, plugins="", password=str(token), **wrapped
                )
            )

        row = compared(
            "wrapper-connections",
            "connections, psycopg (wrapper)",
            ours,
            theirs,
            pairs=options.pairs,
            unit="/s",
            rate=True,
        )
        calls = {
            "pgiam.psycopg.connect": ours,
            "psycopg.connect, pgiam.password": password,
            "wrapper, plugins=iam (token cached)": theirs,
            "wrapper, no plugin, a token of ours": bare_wrapper,
        }
        found = {name: statistics.median(rates) for name, rates in interleaved(calls, options.pairs).items()}
    rows: list[list[float | str]] = [[name, rate, 1e9 / rate] for name, rate in found.items()]
    columns = [("connected with", ""), ("connections", "/s"), ("each", "ns")]
    return row, Table("wrapper", "Connections to the sandbox, one after another", columns, rows)


def measure(options: Options) -> Findings:
    rows = per_connection(options)
    row, table = connecting(options)
    release_resources()
    return Findings(
        [*rows, row], [table], {"AWS Advanced Python Wrapper": version("aws-advanced-python-wrapper") + ", plugins=iam"}
    )


if __name__ == "__main__":
    sys.exit(main(__doc__, measure, pairs=7))
