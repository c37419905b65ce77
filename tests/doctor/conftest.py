"""One sandbox of each kind, and the environment of a workload in it with credentials of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from doctor.ward import Ward
from pgiam.sandbox import Sandbox


@pytest.fixture(scope="session")
def wards() -> Iterator[dict[str, Ward]]:
    with Sandbox("rds") as rds, Sandbox("rds-proxy") as proxy, Sandbox("dsql") as dsql:
        yield {box.flavor: Ward(box) for box in (rds, proxy, dsql)}
