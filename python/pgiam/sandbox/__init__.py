"""A real PostgreSQL that lets in only valid IAM auth tokens, with STS and OIDC beside it.

    with pgiam.sandbox.Sandbox() as box:
        ...

See `Sandbox`. On the command line: `pgiam sandbox`; under pytest: the fixture `pgiam_sandbox`.
"""

from __future__ import annotations

from .box import Flavor, Sandbox
from .errors import SandboxError
from .fault_controls import ActiveFault, Faults

__all__ = ["ActiveFault", "Faults", "Flavor", "Sandbox", "SandboxError"]
