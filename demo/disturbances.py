"""What happens to the service while it runs, besides that its credentials end every few seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from demo.service import Service
from pgiam.sandbox import Sandbox


def kill_sessions(box: Sandbox, service: Service) -> str:
    killed = box.faults.kill_sessions()
    service.killed += killed
    return f"an administrator ends all {killed} sessions"


def rotate_signing_keys(box: Sandbox, _: Service) -> str:
    box.faults.rotate_signing_keys()
    return "the OIDC issuer rotates its signing keys"


def throttle_sts(box: Sandbox, _: Service) -> str:
    box.faults.sts.throttled(count=1)
    return "STS throttles the next call"


def break_connections(box: Sandbox, service: Service) -> str:
    killed = box.faults.kill_sessions(abruptly=True)
    service.killed += killed
    return f"the network resets all {killed} connections"


# By the second at which it happens.
DISTURBANCES: Final[dict[int, Callable[[Sandbox, Service], str]]] = {
    3: kill_sessions,
    6: rotate_signing_keys,
    8: throttle_sts,
    11: break_connections,
}
