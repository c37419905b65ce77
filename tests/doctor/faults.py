"""Every fault that a login meets, how to induce it, and the one name it must be given. Data."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from doctor import strange_servers
from doctor.ward import Ward
from pgiam.sandbox.database import SUPERUSER

Options = dict[str, Any]
Inducement = Callable[[Ward], "contextlib.AbstractContextManager[Options]"]


# Methods of `box.faults` that the table uses.
INDUCED: set[str] = set()


class Fault(NamedTuple):
    """`names`: all that the doctor says is wrong, in order. A warning has a question mark."""

    label: str
    induce: Inducement
    names: list[str]
    flavor: str = "rds"
    role: str = "app"


def given(**options: Any) -> Inducement:
    @contextlib.contextmanager
    def induce(_: Ward) -> Iterator[Options]:
        yield options

    return induce


def box(method: str, *arguments: Any, **options: Any) -> Inducement:
    """A fault of the sandbox's own, for as long as the examination takes."""
    INDUCED.add(method)

    @contextlib.contextmanager
    def induce(ward: Ward) -> Iterator[Options]:
        with getattr(ward.box.faults, method)(*arguments):
            yield options

    return induce


def environment(**variables: str | None) -> Inducement:
    @contextlib.contextmanager
    def induce(_: Ward) -> Iterator[Options]:
        for name, value in variables.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        yield {}

    return induce


def server(make: Callable[[], contextlib.AbstractContextManager[int]], **options: Any) -> Inducement:
    @contextlib.contextmanager
    def induce(ward: Ward) -> Iterator[Options]:
        with make() as port:
            yield {"host": "127.0.0.1", "port": port, "token_host": ward.box.token_host, **options}

    return induce


@contextlib.contextmanager
def signed_for_another_cluster(ward: Ward) -> Iterator[Options]:
    yield {"token_host": "other" + ward.box.token_host[5:]}


@contextlib.contextmanager
def signed_for_another_port(ward: Ward) -> Iterator[Options]:
    yield {"token_host": f"{ward.box.token_host}:5432"}


@contextlib.contextmanager
def alias_signed_itself(ward: Ward) -> Iterator[Options]:
    os.environ.pop("PGIAM_TOKEN_HOST")
    with strange_servers.name_server("localhost", ward.box.token_host) as address:
        yield {"region": ward.box.region, "_name_server": address}


@contextlib.contextmanager
def alias_without_a_region(ward: Ward) -> Iterator[Options]:
    os.environ.pop("PGIAM_TOKEN_HOST")
    with strange_servers.name_server("localhost", ward.box.token_host) as address:
        yield {"_name_server": address}


@contextlib.contextmanager
def token_of_another_session(ward: Ward) -> Iterator[Options]:
    os.environ["AWS_SESSION_TOKEN"] = ward.box.issue_credentials()["session_token"]
    yield {}


@contextlib.contextmanager
def secret_of_another_session(ward: Ward) -> Iterator[Options]:
    os.environ["AWS_SECRET_ACCESS_KEY"] = ward.box.issue_credentials()["secret_key"]
    yield {}


@contextlib.contextmanager
def disabled_key(ward: Ward) -> Iterator[Options]:
    ward.box.faults.disable_key(os.environ["AWS_ACCESS_KEY_ID"])
    yield {}


@contextlib.contextmanager
def credentials_that_ended(ward: Ward) -> Iterator[Options]:
    ward.box.faults.expire_credentials()
    yield {}


@contextlib.contextmanager
def revoked_sessions(ward: Ward) -> Iterator[Options]:
    ward.box.faults.revoke_credentials()
    yield {}


@contextlib.contextmanager
def group_role(ward: Ward) -> Iterator[Options]:
    ward.box.sql("CREATE ROLE staff NOLOGIN IN ROLE rds_iam")
    try:
        yield {"user": "staff"}
    finally:
        ward.box.sql("DROP ROLE staff")


@contextlib.contextmanager
def private_database(ward: Ward) -> Iterator[Options]:
    ward.box.sql("CREATE DATABASE private")
    ward.box.sql("REVOKE CONNECT ON DATABASE private FROM PUBLIC")
    try:
        yield {"database": "private"}
    finally:
        ward.box.sql("DROP DATABASE private WITH (FORCE)")


@contextlib.contextmanager
def damaged_trust_file(ward: Ward) -> Iterator[Options]:
    damaged = Path(os.environ["HOME"]) / "damaged.pem"
    damaged.write_text("-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----\n")
    yield {"ca_file": str(damaged)}


@contextlib.contextmanager
def foreign_trust_file(ward: Ward) -> Iterator[Options]:
    import pgiam.tls

    yield {"ca_file": str(Path(pgiam.tls.__file__).parent / "data" / "trust.pem")}


def aws(platform: str, target: str, kind: str, **options: Any) -> Inducement:
    """On another platform, whose credentials come over the network, and fail there."""

    @contextlib.contextmanager
    def induce(ward: Ward) -> Iterator[Options]:
        for name in list(os.environ):
            if name.startswith("AWS_"):
                del os.environ[name]
        os.environ.update(ward.box.platform_env(platform))
        ward.box.faults.aws.add(kind, target=target)
        yield options

    return induce


def sts(kind: str, **options: Any) -> Inducement:
    @contextlib.contextmanager
    def induce(ward: Ward) -> Iterator[Options]:
        ward.box.faults.sts.add(kind)
        yield options

    return induce


NOT_A_NAME = "x" * 64 + ".example"  # longer than a label may be, so no name server needs to be asked

FAULTS = [
    # --- the sandbox's own, on the way to the server
    Fault("port closed", box("refuse_connections"), ["tcp.refused"]),
    Fault("reset at accept", box("reset_at", "accept"), ["tls.reset"]),
    Fault("reset at TLS", box("reset_at", "tls"), ["tls.closed"]),
    Fault("reset at startup", box("reset_at", "startup"), ["login.closed"]),
    Fault("reset at password", box("reset_at", "password"), ["login.closed"]),
    Fault("slow to accept", box("slow_accept", 20.0, timeout=1.0), ["tls.no_answer"]),
    Fault("no TLS", box("no_tls"), ["tls.not_offered"]),
    Fault("certificate of another host", box("certificate", "wrong_host"), ["tls.wrong_host"]),
    Fault("certificate of an unknown authority", box("certificate", "unknown_ca"), ["tls.unknown_authority"]),
    Fault("expired certificate", box("certificate", "expired"), ["tls.expired"]),
    # --- the server turns clients away
    Fault("too many connections", box("too_many_connections"), ["login.too_many_connections"]),
    Fault("connection limit", box("connection_limit", 0), ["login.too_many_connections"]),
    Fault("rate exceeded", box("rate_exceeded"), ["login.rate_exceeded"]),
    Fault("starting up", box("waking_up"), ["login.starting_up"]),
    Fault("competing requests", box("proxy_competing_requests"), ["login.proxy_busy"], "rds-proxy"),
    Fault("proxy without a database", box("waking_up"), ["login.proxy_no_database"], "rds-proxy"),
    Fault("proxy's clients", box("too_many_connections"), ["login.too_many_connections"], "rds-proxy"),
    Fault("proxy's rate", box("rate_exceeded"), ["login.rate_exceeded"], "rds-proxy"),
    Fault("cluster asleep", box("waking_up"), ["login.waking_up"], "dsql"),
    Fault("cluster's connections", box("too_many_connections"), ["login.too_many_connections"], "dsql"),
    Fault("cluster's rate", box("rate_exceeded"), ["login.rate_exceeded"], "dsql"),
    # --- identity
    Fault("no credentials", environment(AWS_ACCESS_KEY_ID=None), ["credentials.missing"]),
    Fault("expired credentials", credentials_that_ended, ["credentials.expired"]),
    Fault("revoked sessions", revoked_sessions, ["credentials.refused"]),
    Fault("disabled key", disabled_key, ["credentials.refused"]),
    Fault("another session's token", token_of_another_session, ["credentials.refused"]),
    Fault("session token left out", environment(AWS_SESSION_TOKEN=None), ["credentials.refused"]),
    Fault("another key's secret", secret_of_another_session, ["credentials.wrong_secret"]),
    Fault("STS hangs", sts("hang", timeout=2.0), ["credentials.unconfirmed?"]),
    Fault("STS is denied", sts("access_denied"), ["credentials.unconfirmed?"]),
    Fault("metadata service hangs", aws("ecs", "ecs", "hang", timeout=1.0), ["credentials.timed_out"]),
    Fault("exchange refused", aws("github_actions", "sts", "access_denied"), ["credentials.exchange_refused"]),
    Fault("no identity token", aws("github_actions", "github_actions", "not_found"), ["credentials.source_failed"]),
    # --- the clock
    Fault("clock behind", box("skew_clock", 1200.0), ["clock.skewed", "login.signature_expired"]),
    Fault("clock ahead", box("skew_clock", -600.0), ["clock.skewed", "login.signature_not_yet_valid"]),
    Fault("clock a little off", box("skew_clock", 400.0), ["clock.skewed?"]),
    Fault("clock behind, DSQL", box("skew_clock", 1200.0), ["clock.skewed", "login.signature_expired"], "dsql"),
    # --- the endpoint
    Fault("no host", environment(PGHOST=None), ["endpoint.no_host"]),
    Fault("no user", environment(PGUSER=None), ["endpoint.no_user"]),
    Fault("no endpoint", environment(PGIAM_TOKEN_HOST=None), ["endpoint.not_aws"]),
    Fault("two regions", given(region="eu-west-1"), ["endpoint.region_conflict"]),
    Fault("alias", alias_without_a_region, ["endpoint.alias"]),
    # --- DNS and TCP
    Fault("unknown name", given(host=NOT_A_NAME), ["dns.unknown_name"]),
    Fault("filtered port", server(strange_servers.filtered, timeout=1.0), ["tcp.timed_out"]),
    Fault("nobody there", server(strange_servers.closed), ["tcp.refused"]),
    Fault("another protocol", server(lambda: strange_servers.answering(b"HTTP/1.1 400\r\n")), ["tls.not_postgresql"]),
    Fault("no greeting", server(lambda: strange_servers.answering(b""), timeout=1.0), ["tls.no_answer"]),
    Fault("no TLS handshake", server(lambda: strange_servers.answering(b"S"), timeout=1.0), ["tls.timed_out"]),
    Fault("no PostgreSQL behind TLS", server(lambda: strange_servers.answering(b"Sx" * 99)), ["tls.failed"]),
    # --- trust
    Fault("no trust file", given(ca_file="/nowhere/ca.pem"), ["tls.trust_file"]),
    Fault("damaged trust file", damaged_trust_file, ["tls.trust_file"]),
    Fault("trust file of others", foreign_trust_file, ["tls.unknown_authority"]),
    # --- what is signed
    Fault("signed for another cluster", signed_for_another_cluster, ["login.wrong_host"]),
    Fault("signed for another port", signed_for_another_port, ["login.wrong_port"]),
    Fault("the alias is signed", alias_signed_itself, ["endpoint.alias?", "login.wrong_host"]),
    Fault("signed for another cluster, DSQL", signed_for_another_cluster, ["login.wrong_host"], "dsql"),
    # --- users, grants, policies
    Fault("no policy", given(user="denied"), ["login.policy"]),
    Fault("no policy, proxy", given(user="denied"), ["login.policy"], "rds-proxy"),
    Fault("no policy, DSQL", given(user="denied"), ["login.policy"], "dsql"),
    Fault("no policy for admin", given(user="admin"), ["login.policy"], "dsql", role="reader"),
    Fault("no such user", given(user="nobody"), ["login.not_iam_user"]),
    Fault("a user with a password", given(user="legacy"), ["login.not_iam_user"]),
    Fault("rds_iam revoked", box("revoke_rds_iam", "app"), ["login.not_iam_user"]),
    Fault("a role without LOGIN", group_role, ["login.not_permitted"], role="anybody"),
    Fault("a reserved user", given(user=SUPERUSER), ["login.pg_hba"], role="anybody"),
    Fault("no such database", given(database="nowhere"), ["login.unknown_database"]),
    Fault("a database for others", private_database, ["login.database_permission"]),
    Fault("no server name", given(host="127.0.0.1"), ["login.no_sni"], "dsql"),
    # --- settings
    Fault("TLS switched off", environment(PGSSLMODE="prefer"), ["environment.weak_tls?"]),
    Fault("token for seconds", given(expires_in=30), ["token.short?"]),
    Fault("token for too long", given(expires_in=10_000), ["token.not_signed"]),
]
