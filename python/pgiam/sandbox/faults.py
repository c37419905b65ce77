"""The database faults that are in force. State only: the gateway asks, the control port sets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .errors import SandboxError

RESET_STAGES = ("accept", "tls", "startup", "password")
CERTIFICATES = ("wrong_host", "unknown_ca", "expired")
# Each with the argument it takes and that argument's type.
ARGUMENTS: dict[str, tuple[str, type] | None] = {
    "refuse_connections": None,
    "reset": ("stage", str),
    "slow_accept": ("seconds", float),
    "no_tls": None,
    "certificate": ("kind", str),
    "too_many_connections": None,
    "rate_exceeded": None,
    "waking_up": None,
    "proxy_competing_requests": None,
    "idle_close": ("seconds", float),
    "session_limit": ("seconds", float),
    "connection_limit": ("connections", int),
    "conflict": ("code", str),
}
_CHOICES = {"reset": RESET_STAGES, "certificate": CERTIFICATES, "conflict": ("OC000", "OC001")}
# In force until cleared: there is no single event that would use one up.
_STANDING = ("refuse_connections", "idle_close", "session_limit", "connection_limit")


@dataclass
class Fault:
    """One fault: what, with which argument, and how many times more (None: until cleared)."""

    name: str
    value: Any = None
    remaining: int | None = None


@dataclass
class DatabaseFaults:
    """At most one fault of each name."""

    active: dict[str, Fault] = field(default_factory=dict)
    happened: dict[str, int] = field(default_factory=dict)

    def set(self, name: str, value: Any = None, count: int | None = None) -> Fault:
        if name not in ARGUMENTS:
            raise SandboxError(f"no fault {name!r}", hint=f"There are: {', '.join(sorted(ARGUMENTS))}.")
        argument = ARGUMENTS[name]
        if argument is None and value is not None:
            raise SandboxError(f"the fault {name} takes no argument")
        if argument is not None:
            value = _checked(name, argument, value)
        if count is not None and (name in _STANDING or count < 1):
            raise SandboxError(f"the fault {name} cannot happen {count} times")
        fault = self.active[name] = Fault(name, value, count)
        return fault

    def clear(self, name: str | None = None) -> None:
        if name is None:
            self.active.clear()
        else:
            self.active.pop(name, None)

    def standing(self, name: str) -> Any:
        """The argument of a fault that is in force, without using it up; None if it is not."""
        fault = self.active.get(name)
        return None if fault is None else (True if fault.value is None else fault.value)

    def take(self, name: str, value: Any = None) -> Any:
        """As `standing`, for one event: counts it, and ends the fault when its count is used up.

        With `value` only a fault of that argument counts.
        """
        fault = self.active.get(name)
        if fault is None or (value is not None and fault.value != value):
            return None
        self.happened[name] = self.happened.get(name, 0) + 1
        if fault.remaining is not None:
            fault.remaining -= 1
            if not fault.remaining:
                del self.active[name]
        return True if fault.value is None else fault.value


def _checked(name: str, argument: tuple[str, type], value: Any) -> Any:
    label, kind = argument
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return float(value)
    if kind is int and isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if kind is str and value in _CHOICES[name]:
        return value
    choices = f" of {', '.join(_CHOICES[name])}" if name in _CHOICES else " of zero or more"
    raise SandboxError(f"the fault {name} needs {label}: one{choices}, not {value!r}")
