"""IAM login the way RDS itself does it: PostgreSQL's own TLS and `pam` authentication, no gateway.

A small PAM module (pam_pgiam.c, compiled when needed) asks the verifier over a unix socket. Its service file
has to be in /etc/pam.d, so PostgreSQL runs in a mount namespace of its own where that is a folder of ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from .errors import SandboxError
from .verifier import Accepted, Refused

log = logging.getLogger("pgiam.sandbox.pam")

SERVICE = "pgiam_sandbox"
_SOURCE = Path(__file__).with_name("pam_pgiam.c")
_MAX_QUESTION = 1 << 17
_TRIAL = "#include <security/pam_ext.h>\nint main(void) { return 0; }\n"


def hba_rules() -> list[str]:
    """As on RDS: members of rds_iam by PAM, everyone else by password, nobody in clear."""
    hosts = ("127.0.0.1/32", "::1/128")
    rules = [f"hostssl all +rds_iam {host} pam pamservice={SERVICE}" for host in hosts]
    return rules + [f"hostssl all all {host} md5" for host in hosts]


def obstacle(programs: Path) -> str | None:
    """Why this machine cannot do it, or None."""
    if sys.platform != "linux":
        return "PAM in a private /etc/pam.d needs Linux's mount namespaces"
    for tool in ("cc", "unshare", "setpriv", "mount"):
        if shutil.which(tool) is None:
            return f"the program {tool} is missing"
    if b"pam_authenticate" not in (programs / "postgres").read_bytes():
        return f"the PostgreSQL in {programs} was built without PAM"
    trial = subprocess.run(
        ["cc", "-x", "c", "-fsyntax-only", "-"], input=_TRIAL, text=True, capture_output=True, check=False
    )
    if trial.returncode:
        return "the headers of PAM are missing (on Debian: libpam0g-dev)"
    if subprocess.run([*_namespace(), "true"], capture_output=True, check=False).returncode:
        return "mount namespaces are not allowed here"
    return None


class Pam:
    """The module, its service file, and the verifier's socket."""

    def __init__(self, room: Path, programs: Path, verify: Callable[[str, str], Accepted | Refused]) -> None:
        if (reason := obstacle(programs)) is not None:
            raise SandboxError(f"PostgreSQL cannot authenticate by PAM here: {reason}")
        self._verify = verify
        self._folder = room / "pam"
        self._socket = room / "run" / "verifier"
        self._server: asyncio.AbstractServer
        self._questions: set[asyncio.Task[None]] = set()

    def build(self) -> None:
        """Compile the module and write the service file."""
        folder = self._folder / "pam.d"
        folder.mkdir(parents=True)
        module = self._folder / "pam_pgiam.so"
        command = [
            "cc",
            "-O2",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-shared",
            "-fPIC",
            "-o",
            str(module),
            str(_SOURCE),
            "-lpam",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SandboxError(f"the PAM module does not compile: {done.stderr.strip()}")
        rules = f"auth required {module} socket={self._socket}\naccount required {module}\n"
        (folder / SERVICE).write_text(rules)
        for path in (self._folder, folder, module, folder / SERVICE):
            path.chmod(path.stat().st_mode | 0o055)  # ours; PostgreSQL may run under another account

    def wrap(self, owner: tuple[int, int] | None) -> list[str]:
        """What to put before PostgreSQL's command line."""
        script = 'mount --bind "$0" /etc/pam.d && exec setpriv --pdeathsig QUIT "$@"'
        identity = [f"--reuid={owner[0]}", f"--regid={owner[1]}", "--clear-groups"] if owner is not None else []
        return [*_namespace(), "sh", "-c", script, str(self._folder / "pam.d"), *identity, "--"]

    async def start(self, owner: tuple[int, int] | None) -> None:
        self._server = await asyncio.start_unix_server(self._accept, str(self._socket))
        if owner is not None:
            os.chown(self._socket, *owner)

    async def close(self) -> None:
        self._server.close()
        for task in list(self._questions):
            task.cancel()
        await asyncio.gather(*self._questions, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._answer(reader, writer))
        self._questions.add(task)
        task.add_done_callback(self._questions.discard)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.TimeoutError):
            question = await asyncio.wait_for(reader.read(-1), 30)
            user, separator, token = question[:_MAX_QUESTION].partition(b"\0")
            verdict: Accepted | Refused | None = None
            if separator:
                verdict = self._verify(user.decode("utf-8", "replace"), token.decode("utf-8", "replace"))
            writer.write(b"1" if isinstance(verdict, Accepted) else b"0")
            await writer.drain()


def free_port() -> int:
    """A port that is free on both loopback addresses now. PostgreSQL cannot be handed an open socket."""
    from .listeners import loopback_listeners

    listeners = loopback_listeners(0)
    port: int = listeners[0].getsockname()[1]
    for listener in listeners:
        listener.close()
    return port


def _namespace() -> list[str]:
    if os.geteuid() == 0:
        return ["unshare", "--mount", "--propagation", "private"]
    return ["unshare", "--user", "--mount", "--map-current-user", "--keep-caps"]
