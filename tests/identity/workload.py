"""What the tests of a workload's identity share."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping

import pgiam
from aws_box import WAIT

ROLE = "app"
HOST = "db.cluster-abc123.eu-west-1.rds.amazonaws.com"


def mint(client: pgiam.Client) -> str:
    return client.generate_auth_token(host=HOST, user="app")


def run_python(code: str, environment: Mapping[str, str] = {}) -> str:
    """A program of its own, with this process's environment and more; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=WAIT * 4,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout.strip()
