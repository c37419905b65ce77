"""`box.faults`: what can go wrong, as methods. Each takes effect at once.

Every method returns the fault, which can be cleared, or used as a context manager that clears it at the end:

    with box.faults.certificate("expired"):
        ...
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from typing_extensions import Self


class Call(Protocol):
    """Carries out one operation of the control port."""

    def __call__(self, operation: str, /, **arguments: object) -> dict[str, object]: ...


class ActiveFault:
    """A fault in force until it is used up or cleared."""

    def __init__(self, call: Call, clear: str, **which: object) -> None:
        self._call = call
        self._clear = clear
        self._which = which

    def clear(self) -> None:
        self._call(self._clear, **self._which)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.clear()


class Faults:
    """The faults of one sandbox. `count` limits a fault to so many connections; without, it stays."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self.sts = AwsFaultControls(call, "sts")
        self.aws = AwsFaultControls(call, None)

    def clear(self) -> None:
        """End every fault, of the database and of AWS, and the clock's skew."""
        self._call("clear_faults")

    # --- the way to the database ------------------------------------------------------------------

    def refuse_connections(self) -> ActiveFault:
        """Close the port: the kernel refuses."""
        return self._set("refuse_connections")

    def reset_at(
        self, stage: Literal["accept", "tls", "startup", "password"], *, count: int | None = None
    ) -> ActiveFault:
        """Break off with a TCP reset: at once, before the TLS handshake, after it, or after the password."""
        return self._set("reset", stage, count)

    def slow_accept(self, seconds: float, *, count: int | None = None) -> ActiveFault:
        """Let a new connection wait before anything is said."""
        return self._set("slow_accept", seconds, count)

    def no_tls(self, *, count: int | None = None) -> ActiveFault:
        """Answer that this server has no TLS. Clients that go on in clear are turned away."""
        return self._set("no_tls", None, count)

    def certificate(
        self, kind: Literal["wrong_host", "unknown_ca", "expired"], *, count: int | None = None
    ) -> ActiveFault:
        """Show a certificate that must not be trusted."""
        return self._set("certificate", kind, count)

    # --- the database turns clients away ------------------------------------------------------------

    def too_many_connections(self, *, count: int | None = None) -> ActiveFault:
        """SQLSTATE 53300."""
        return self._set("too_many_connections", None, count)

    def connection_limit(self, connections: int) -> ActiveFault:
        """SQLSTATE 53300 for whoever comes while so many are there."""
        return self._set("connection_limit", connections)

    def rate_exceeded(self, *, count: int | None = None) -> ActiveFault:
        """SQLSTATE 53400."""
        return self._set("rate_exceeded", None, count)

    def waking_up(self, *, count: int | None = None) -> ActiveFault:
        """The cluster is scaled to zero and comes back; or PostgreSQL starts up (57P03)."""
        return self._set("waking_up", None, count)

    def proxy_competing_requests(self, *, count: int | None = None) -> ActiveFault:
        """RDS Proxy gives up on checking a token: too many competing requests."""
        return self._set("proxy_competing_requests", None, count)

    # --- sessions -----------------------------------------------------------------------------------

    def kill_sessions(self, *, abruptly: bool = False) -> int:
        """End every session: with 57P01 as an administrator does, or by a TCP reset. Returns how many."""
        killed = self._call("kill_sessions", abruptly=abruptly)["killed"]
        assert isinstance(killed, int)  # noqa: S101 - narrows our own answer
        return killed

    def idle_close(self, seconds: float) -> ActiveFault:
        """Close sessions that were idle for so long, without a word, as RDS Proxy does."""
        return self._set("idle_close", seconds)

    def session_limit(self, seconds: float) -> ActiveFault:
        """Close sessions that are so old, whatever they do: DSQL's 60 minutes, made short."""
        return self._set("session_limit", seconds)

    def conflict(self, code: Literal["OC000", "OC001"] = "OC000", *, count: int | None = 1) -> ActiveFault:
        """DSQL: the next transactions that write lose against another (40001)."""
        return self._set("conflict", code, count)

    # --- the account and the clock --------------------------------------------------------------------

    def revoke_rds_iam(self, user: str) -> ActiveFault:
        """REVOKE rds_iam FROM the user; clearing the fault grants it again."""
        self._call("rds_iam", user=user, granted=False)
        return ActiveFault(self._call, "rds_iam", user=user, granted=True)

    def skew_clock(self, seconds: float) -> ActiveFault:
        """Let the sandbox's clock go ahead by so many seconds (behind, if negative)."""
        self._call("skew_clock", seconds=seconds)
        return ActiveFault(self._call, "skew_clock", seconds=0.0)

    def expire_credentials(self) -> int:
        """End every temporary credential now. Returns how many were alive."""
        return _number(self._call("aws/expire_credentials"), "expired")

    def revoke_credentials(self) -> int:
        """Refuse every temporary credential issued so far, as 'revoke active sessions' does."""
        return _number(self._call("aws/revoke_credentials"), "revoked")

    def disable_key(self, access_key: str) -> ActiveFault:
        self._call("disable_key", access_key=access_key)
        return ActiveFault(self._call, "disable_key", access_key=access_key, disabled=False)

    def rotate_signing_keys(self, platform: str | None = None, *, keep_old: bool = True, publish: bool = True) -> None:
        """Give the OIDC issuers new keys. Without `keep_old` the identity tokens out there stop verifying."""
        self._call("aws/rotate_keys", platform=platform, keep_old=keep_old, publish=publish)

    def _set(self, name: str, value: object = None, count: int | None = None) -> ActiveFault:
        self._call("fault", name=name, value=value, count=count)
        return ActiveFault(self._call, "clear_faults", name=name)


class AwsFaultControls:
    """Faults of STS (`box.faults.sts`) or of any AWS-side endpoint (`box.faults.aws`)."""

    def __init__(self, call: Call, target: str | None) -> None:
        self._call = call
        self._target = target

    def add(
        self,
        kind: str,
        *,
        target: str | None = None,
        operation: str | None = None,
        count: int | None = None,
        seconds: float = 0.0,
    ) -> ActiveFault:
        """One of: slow (with `seconds`), reset, hang, garbage, truncated, internal_error, unavailable,
        throttled, idp_communication_error, expired_token, invalid_token, access_denied ..."""
        answer = self._call(
            "aws/fault",
            target=target or self._target or "sts",
            kind=kind,
            operation=operation,
            count=count,
            seconds=seconds,
        )
        return ActiveFault(self._call, "aws/clear_faults", number=answer["number"])

    def slow(self, seconds: float, *, count: int | None = None) -> ActiveFault:
        return self.add("slow", seconds=seconds, count=count)

    def throttled(self, *, count: int | None = None) -> ActiveFault:
        return self.add("throttled", count=count)

    def internal_error(self, *, count: int | None = None) -> ActiveFault:
        return self.add("internal_error", count=count)

    def reset(self, *, count: int | None = None) -> ActiveFault:
        return self.add("reset", count=count)

    def hang(self, *, count: int | None = None) -> ActiveFault:
        return self.add("hang", count=count)

    def garbage(self, *, count: int | None = None) -> ActiveFault:
        return self.add("garbage", count=count)


def _number(answer: dict[str, object], name: str) -> int:
    value = answer[name]
    assert isinstance(value, int)  # noqa: S101 - narrows our own answer
    return value
