"""An example, run as its README says: as a process of its own, with nothing but its environment."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from pgiam.sandbox import Sandbox

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
# What would show that a secret was logged, whatever the secret is.
MARKS_OF_SECRETS = ("X-Amz-Signature", "X-Amz-Security-Token", "eyJhbGciOi")


class Service:
    """A running example, over HTTP."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self.process = process
        self.url = url
        self.http = httpx.Client(base_url=url, timeout=60, trust_env=False)


def workload(box: Sandbox, platform: str, **more: str) -> dict[str, str]:
    """The environment of a service on a platform whose database is the sandbox's, told by AWS's variables only."""
    own = {name: value for name, value in box.env.items() if name.startswith(("PGIAM_CA", "PGIAM_TOKEN"))}
    given = {name: value for name, value in box.platform_env(platform).items() if not name.startswith("PG")}
    return {**surroundings(), **own, **given, **more}


def surroundings() -> dict[str, str]:
    """What any program needs, and nothing about databases or accounts."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}


def run(example: str, *arguments: str, env: Mapping[str, str], module: bool = True) -> str:
    """One of the example's commands, to its end; returns what it printed."""
    command = [sys.executable, *(["-m"] if module else []), *arguments]
    done = subprocess.run(
        command, cwd=EXAMPLES / example, env=dict(env), capture_output=True, text=True, check=False, timeout=120
    )
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed
    _hold_no_secret(printed, env)
    return printed


@contextmanager
def serving(example: str, app: str, *, env: Mapping[str, str]) -> Iterator[Service]:
    """`uvicorn APP` in the example's folder, until the block ends; then it must end in order, no secret logged."""
    with socket.create_server(("127.0.0.1", 0)) as listening, tempfile.TemporaryFile() as log:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", app, "--fd", str(listening.fileno()), "--log-level", "info"],
            cwd=EXAMPLES / example,
            env=dict(env),
            stdout=log,
            stderr=log,
            pass_fds=[listening.fileno()],
        )
        listening.close()  # the service's alone from here on: when it dies, so do its callers' connections
        service = Service(process, url)
        try:
            yield service
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        finally:
            service.http.close()
            process.kill()
            process.wait()
            log.seek(0)
            printed = log.read().decode(errors="replace")
            print(printed)  # pytest shows it beside a failure
        assert "Traceback" not in printed
        assert "Finished server process" in printed
        _hold_no_secret(printed, env)


def _hold_no_secret(printed: str, env: Mapping[str, str]) -> None:
    secrets = {value for name, value in env.items() if name in _SECRET}
    for secret in (*secrets, *MARKS_OF_SECRETS):
        assert secret not in printed


_SECRET = {
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "DB_PASSWORD",
    "VERCEL_OIDC_TOKEN",
}
