"""The three kinds of server that the sandbox can be, and how each words its refusals.

RDS: PostgreSQL's own texts, since RDS is PostgreSQL with PAM.
RDS Proxy: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy.troubleshooting.html
Aurora DSQL: https://docs.aws.amazon.com/aurora-dsql/latest/userguide/troubleshooting.html
Where AWS documents a text without its SQLSTATE, the nearest class was chosen; docs/sandbox.md lists these.
"""

from __future__ import annotations

from typing import Literal, Protocol, get_args

from . import statements
from .verifier import Refused

Flavor = Literal["rds", "rds-proxy", "dsql"]
FLAVORS: tuple[str, ...] = get_args(Flavor)

CLUSTER_ID = "sandboxsandboxsandboxsandb"  # 26 characters, as DSQL's are


class Denial(Exception):
    """A connection that is turned away, with the error the client sees."""

    def __init__(self, sqlstate: str, message: str, *, hint: str | None = None, reason: str = "") -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.message = message
        self.hint = hint
        self.reason = reason or message


class Wording(Protocol):
    """The errors that differ between the flavours."""

    def bad_token(self, user: str, refused: Refused) -> Denial: ...
    def no_encryption(self, user: str, database: str, client: str) -> Denial: ...
    def too_many_connections(self) -> Denial: ...
    def rate_exceeded(self) -> Denial: ...
    def waking_up(self) -> Denial: ...
    def startup(self, parameters: dict[str, str], server_name: str | None) -> dict[str, str]:
        """The parameters that the database gets, or a `Denial`."""
        ...


class Rds:
    """An RDS or Aurora instance: pg_hba.conf with pam for members of rds_iam."""

    def bad_token(self, user: str, refused: Refused) -> Denial:
        return Denial("28000", f'PAM authentication failed for user "{user}"', reason=refused.reason.value)

    def no_encryption(self, user: str, database: str, client: str) -> Denial:
        return Denial(
            "28000",
            f'no pg_hba.conf entry for host "{client}", user "{user}", database "{database}", no encryption',
            reason="no_encryption",
        )

    def too_many_connections(self) -> Denial:
        return Denial("53300", "sorry, too many clients already", reason="too_many_connections")

    def rate_exceeded(self) -> Denial:
        return Denial("53400", "too many connection attempts, rate exceeded", reason="rate_exceeded")

    def waking_up(self) -> Denial:
        return Denial("57P03", "the database system is starting up", reason="waking_up")

    def startup(self, parameters: dict[str, str], server_name: str | None) -> dict[str, str]:
        return parameters


class RdsProxy(Rds):
    """RDS Proxy in front of an instance."""

    def bad_token(self, user: str, refused: Refused) -> Denial:
        return Denial(
            "28000",
            f"The IAM authentication failed for the role {user}. Check the IAM token for this role and try again.",
            reason=refused.reason.value,
        )

    def no_encryption(self, user: str, database: str, client: str) -> Denial:
        return Denial("28000", "This RDS Proxy requires TLS connections.", reason="no_encryption")

    def too_many_connections(self) -> Denial:
        return Denial(
            "53300",
            "The maximum number of client connections to the proxy exceeded 100.",
            reason="too_many_connections",
        )

    def rate_exceeded(self) -> Denial:
        return Denial("53400", "Rate of connection to proxy exceeded 100.", reason="rate_exceeded")

    def waking_up(self) -> Denial:
        return Denial("08006", "Timed-out waiting to acquire database connection.", reason="waking_up")

    def startup(self, parameters: dict[str, str], server_name: str | None) -> dict[str, str]:
        for name in ("options", "replication"):
            if parameters.get(name):
                raise Denial(
                    "0A000",
                    f"Feature not supported: RDS Proxy currently doesn't support the option {name}.",
                    reason="unsupported_option",
                )
        return parameters


class Dsql:
    """An Aurora DSQL cluster."""

    def __init__(self, cluster_id: str = CLUSTER_ID) -> None:
        self.cluster_id = cluster_id

    def bad_token(self, user: str, refused: Refused) -> Denial:
        return self._denied(refused.detail, refused.reason.value)

    def no_encryption(self, user: str, database: str, client: str) -> Denial:
        return Denial("08006", "unable to accept connection, sni was not received", reason="no_encryption")

    def too_many_connections(self) -> Denial:
        return Denial("53300", "Unable to accept connection, too many open connections.", reason="too_many_connections")

    def rate_exceeded(self) -> Denial:
        return Denial("53400", "Unable to accept connection, rate exceeded.", reason="rate_exceeded")

    def waking_up(self) -> Denial:
        return Denial("08006", "unable to accept connection, waking up cluster, please retry later", reason="waking_up")

    def startup(self, parameters: dict[str, str], server_name: str | None) -> dict[str, str]:
        """`server_name` is the TLS client's SNI: DSQL finds the cluster by it."""
        if not server_name:
            raise Denial("08006", "unable to accept connection, sni was not received", reason="no_sni")
        # PrivateLink names no cluster in the SNI; there the client says it, in an option of the gateway's own.
        named, rest = _cluster_option(parameters.get("options", ""))
        if named is None:
            named = self.cluster_id if server_name == "localhost" else server_name.split(".", 1)[0]
        if named != self.cluster_id:
            raise self._denied("The cluster was not found", "wrong_cluster")
        for name in (*parameters, *(option.partition("=")[0] for option in rest)):
            if name.lower() in statements.REFUSED_SETTINGS:
                refused = statements.refused_setting(name)
                raise Denial(refused.sqlstate, refused.message, reason="unsupported_setting")
        return {**parameters, "options": " ".join(f"-c {option}" for option in rest)} if rest else _without(parameters)

    def _denied(self, hint: str, reason: str) -> Denial:
        return Denial("08006", "unable to accept connection, access denied", hint=hint, reason=reason)


def _cluster_option(text: str) -> tuple[str | None, list[str]]:
    """The cluster id in a startup packet's `options`, and the settings beside it."""
    cluster, settings = None, []
    for word in text.split():
        word = word.removeprefix("--") if word.startswith("--") else word.removeprefix("-c")
        name, _, value = word.partition("=")
        if name == "amzn-cluster-id":
            cluster = value
        elif word:
            settings.append(word)
    return cluster, settings


def _without(parameters: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in parameters.items() if name != "options"}


def wording(flavor: str) -> Wording:
    words: dict[str, Wording] = {"rds": Rds(), "rds-proxy": RdsProxy(), "dsql": Dsql()}
    return words[flavor]


def endpoint(flavor: str, region: str) -> str:
    """The AWS-shaped name of the sandbox's database: what auth tokens are signed for."""
    if flavor == "dsql":
        return f"{CLUSTER_ID}.dsql.{region}.on.aws"
    kind = "proxy" if flavor == "rds-proxy" else "cluster"
    return f"sandbox.{kind}-abcdefghijkl.{region}.rds.amazonaws.com"


def default_user(flavor: str) -> str:
    return "admin" if flavor == "dsql" else "app"
