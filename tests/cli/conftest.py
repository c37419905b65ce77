"""A sandbox, and `pgiam` in the surroundings of a workload there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from pgiam.sandbox import Sandbox

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def box() -> Iterator[Sandbox]:
    with Sandbox("rds") as box:
        yield box


@pytest.fixture
def pgiam_command(box: Sandbox) -> Iterator[Run]:
    """Runs `python -m pgiam` with these arguments, and these variables changed (None: unset)."""

    def run(*arguments: str, **variables: str | None) -> subprocess.CompletedProcess[str]:
        environment = {**box.environment(), "COLUMNS": "80", "PATH": os.environ["PATH"]}
        for name, value in variables.items():
            environment.pop(name, None)
            if value is not None:
                environment[name] = value
        command = [sys.executable, "-m", "pgiam", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90, check=False)

    yield run
    box.faults.clear()
