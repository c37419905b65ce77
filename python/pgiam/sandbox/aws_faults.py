"""What the AWS half of the sandbox is told to do wrong, and for how long. Pure; thread-safe."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

Target = Literal[
    "sts",
    "imds",
    "ecs",
    "pod_identity",
    "github_actions",
    "gcp",
    "azure",
    "fly",
    "vercel",
    "buildkite",
    "oidc",
    "identity",
]
Kind = Literal[
    "slow",
    "reset",
    "hang",
    "garbage",
    "truncated",
    "not_found",
    "internal_error",
    "unavailable",
    "throttled",
    "idp_communication_error",
    "expired_token",
    "invalid_token",
    "access_denied",
]
TARGETS: Final[tuple[str, ...]] = get_args(Target)
KINDS: Final[tuple[str, ...]] = get_args(Kind)
WIRE_KINDS: Final = frozenset({"reset", "hang", "garbage", "truncated"})
_STS_ONLY: Final = frozenset(
    {"throttled", "idp_communication_error", "expired_token", "invalid_token", "access_denied"}
)


class UnknownFaultError(ValueError):
    """The target or the kind of fault does not exist, or the two do not go together."""


@dataclass(frozen=True)
class Fault:
    """One standing order. `count` is how many requests it still spoils; None: until cleared."""

    number: int
    target: str
    kind: str
    operation: str | None = None
    count: int | None = None
    seconds: float = 0.0

    def concerns(self, target: str, operation: str | None) -> bool:
        return self.target == target and self.operation in (None, operation)

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True)
class Trouble:
    """What to do to one request: first wait, then fail in a way (or, with no `kind`, serve it)."""

    delay: float = 0.0
    kind: str | None = None


class AwsFaults:
    """The standing orders. `take` is called once for each request and uses up counts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._faults: dict[int, Fault] = {}

    def add(
        self,
        target: str,
        kind: str,
        *,
        operation: str | None = None,
        count: int | None = None,
        seconds: float = 0.0,
    ) -> int:
        """Order a fault; returns its number, for `clear`."""
        check(target, kind, count=count, seconds=seconds)
        with self._lock:
            number = next(self._numbers)
            self._faults[number] = Fault(number, target, kind, operation, count, seconds)
            return number

    def clear(self, number: int | None = None, *, target: str | None = None) -> int:
        """Drop one fault, those of a target, or all; returns how many."""
        with self._lock:
            doomed = [
                fault.number
                for fault in self._faults.values()
                if number in (None, fault.number) and target in (None, fault.target)
            ]
            for each in doomed:
                del self._faults[each]
            return len(doomed)

    def standing(self) -> list[Fault]:
        with self._lock:
            return list(self._faults.values())

    def take(self, target: str, operation: str | None = None) -> Trouble:
        """What happens to this request: every delay that is ordered, and the first failure that is."""
        delay = 0.0
        failure: str | None = None
        with self._lock:
            for fault in list(self._faults.values()):
                if not fault.concerns(target, operation):
                    continue
                if fault.kind == "slow":
                    delay += fault.seconds
                elif failure is None:
                    failure = fault.kind
                else:
                    continue
                self._use_up(fault)
        return Trouble(delay, failure)

    def _use_up(self, fault: Fault) -> None:
        if fault.count is None:
            return
        if fault.count <= 1:
            del self._faults[fault.number]
        else:
            values: Mapping[str, Any] = fault.to_json()
            self._faults[fault.number] = Fault(**{**values, "count": fault.count - 1})


def check(target: str, kind: str, *, count: int | None, seconds: float) -> None:
    if target not in TARGETS:
        raise UnknownFaultError(f"no target {target!r}; there are {', '.join(TARGETS)}")
    if kind not in KINDS:
        raise UnknownFaultError(f"no kind of fault {kind!r}; there are {', '.join(KINDS)}")
    if target == "identity" and kind != "expired_token":
        raise UnknownFaultError("the one fault of freshly minted identity tokens is expired_token")
    if target not in ("sts", "identity") and kind in _STS_ONLY:
        raise UnknownFaultError(f"{kind} is an answer of sts, not of {target}")
    if count is not None and count < 1:
        raise UnknownFaultError("count is at least 1")
    if seconds < 0 or (seconds > 0) != (kind == "slow"):
        raise UnknownFaultError("seconds go with slow, and only with slow")
