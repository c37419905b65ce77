"""Whether anything is left of a sandbox: processes, files, sockets."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from pathlib import Path

WAIT = 60.0  # against hangs


def eventually(what: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline:
        if what():
            return True
        time.sleep(0.05)
    return what()


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def processes_in(directory: str) -> list[str]:
    """Processes that were started with, or work in, this directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if directory in line or str((entry / "cwd").readlink()).startswith(directory):
                    found.append(line)
    return found


def assert_nothing_left(directory: str, port: int) -> None:
    assert eventually(lambda: not Path(directory).exists()), list(Path(directory).rglob("*"))[:9]
    assert eventually(lambda: not processes_in(directory)), processes_in(directory)
    assert not listening(port)
