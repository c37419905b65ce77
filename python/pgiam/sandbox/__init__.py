"""A real PostgreSQL that lets in only valid IAM auth tokens, with STS and OIDC beside it.

    with pgiam.sandbox.Sandbox() as box:
        ...

See `Sandbox`. On the command line: `pgiam sandbox`; under pytest: the fixture `pgiam_sandbox`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .box import Flavor, Sandbox
    from .errors import SandboxError
    from .fault_controls import ActiveFault, Faults

__all__ = ["ActiveFault", "Faults", "Flavor", "Sandbox", "SandboxError"]

# Imported when first used: pytest loads the plugin, and so this package, for every run of every project.
_LAZY = {
    "ActiveFault": "fault_controls",
    "Faults": "fault_controls",
    "Flavor": "box",
    "Sandbox": "box",
    "SandboxError": "errors",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_LAZY[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
