"""Hold python/pgiam/_core.pyi against the module that is installed: names, signatures and defaults, both ways.

stubtest alone would first want the whole package to pass mypy; here the stub stands by itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

STUB = Path(__file__).resolve().parent.parent / "python" / "pgiam" / "_core.pyi"
# PyO3 writes an __all__ of its own, which says no more than the names that are compared anyway.
ACCEPTED = "pgiam\\._core\\.__all__\n"


def check(stub: str) -> tuple[int, str]:
    """stubtest's exit status and what it says."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder, "pgiam")
        package.mkdir()
        (package / "__init__.pyi").touch()
        (package / "_core.pyi").write_text(stub)
        accepted = Path(folder, "accepted")
        accepted.write_text(ACCEPTED)
        command = [sys.executable, "-m", "mypy.stubtest", "pgiam._core", "--concise", "--ignore-disjoint-bases"]
        done = subprocess.run(
            [*command, "--allowlist", str(accepted)],
            cwd=folder,
            env={**os.environ, "MYPYPATH": folder},
            capture_output=True,
            text=True,
            check=False,
        )
    return done.returncode, done.stdout + done.stderr


if __name__ == "__main__":
    status, said = check(STUB.read_text())
    print(said, end="")
    sys.exit(status)
