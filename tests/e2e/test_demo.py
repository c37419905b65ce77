"""`make demo`, shortened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_it_ends_without_a_failure() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "demo", "--seconds", "7"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "ends all" in done.stdout
    assert "failures               0" in done.stdout
