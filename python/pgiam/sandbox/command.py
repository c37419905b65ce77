"""`pgiam sandbox`: a sandbox for a command, or for other terminals until Ctrl-C."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import final

from .box import Sandbox
from .errors import SandboxError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command: list[str] = []
    if "--" in arguments:
        split = arguments.index("--")
        arguments, command = arguments[:split], arguments[split + 1 :]
        if not command:
            _parser().error("'--' must be followed by a command")
    options = _parser().parse_args(arguments)
    box = Sandbox(
        options.flavor,
        region=options.region,
        platform=options.platform,
        role=options.role,
        port=options.port,
        data=options.data,
        postgres=options.postgres,
        accept_localhost_tokens=options.accept_localhost_tokens,
        log_to_stderr=options.log,
    )
    stopped = _Stopped()
    try:
        with stopped, box:
            stopped.starting = False
            return _run(box, command, stopped) if command else _stay(box, stopped, as_json=options.json)
    except SandboxError as error:
        print(f"pgiam sandbox: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


@final
class _Stopped:
    """Notes the signals that end the sandbox, so that it ends in order whenever they come."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.starting = True
        self.child: subprocess.Popen[bytes] | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> _Stopped:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._before[number] = signal.signal(number, self._received)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal itself returned

    def _received(self, number: int, _: FrameType | None) -> None:
        self.event.set()
        if self.starting:
            raise KeyboardInterrupt
        # Ctrl-C goes to the command by way of the terminal; how it ends is for the command to say.
        if self.child is not None and number != signal.SIGINT:
            self.child.send_signal(number)


def _run(box: Sandbox, command: list[str], stopped: _Stopped) -> int:
    try:
        stopped.child = subprocess.Popen(command, env=box.environment())
    except OSError as error:
        print(f"pgiam sandbox: {command[0]}: {error.strerror}", file=sys.stderr)
        return 127 if isinstance(error, FileNotFoundError) else 126
    status = stopped.child.wait()
    return status if status >= 0 else 128 - status


def _stay(box: Sandbox, stopped: _Stopped, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps(box.env))
    else:
        for name, value in box.env.items():
            print(f"export {name}={shlex.quote(value)}")
        print(f"# {box.flavor} sandbox, PostgreSQL {box.postgres_version}, on {box.host}:{box.port}. Ctrl-C ends it.")
    # Whoever reads our output line by line, or has gone, must see it now.
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    while not stopped.event.wait(0.5):
        if not box.alive():
            print("pgiam sandbox: the sandbox ended by itself", file=sys.stderr)
            return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pgiam sandbox",
        usage="pgiam sandbox [options] [-- COMMAND ...]",
        description="A real PostgreSQL that lets in only valid IAM auth tokens, with STS and OIDC beside it."
        " Runs COMMAND inside it; without one prints the environment and stays up until Ctrl-C.",
    )
    parser.add_argument("--flavor", choices=("rds", "rds-proxy", "dsql"), default="rds")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--platform", default="session", help="whose environment to imitate, such as eks or vercel")
    parser.add_argument("--role", default="app", help="the IAM role of the workload")
    parser.add_argument("--port", type=int, default=0, help="the database's port; by default a free one")
    parser.add_argument("--data", metavar="DIR", help="keep the data there; by default it goes at the end")
    parser.add_argument("--postgres", metavar="DIR", help="PostgreSQL's bin directory, or 'system'")
    parser.add_argument("--accept-localhost-tokens", action="store_true", help="also tokens signed for 'localhost'")
    parser.add_argument("--json", action="store_true", help="print the environment as JSON")
    parser.add_argument("--log", action="store_true", help="log every login to stderr")
    return parser
