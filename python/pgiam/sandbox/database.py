"""A private PostgreSQL server: made, started, asked and stopped. Reachable by a unix socket only."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from . import binaries, wire
from .errors import SandboxError

log = logging.getLogger("pgiam.sandbox.database")

SUPERUSER = "pgiam_sandbox"  # the sandbox's own; nobody can log in as it through the gateway
_PR_SET_PDEATHSIG = 1
_LOST = (ConnectionError, asyncio.IncompleteReadError)
_SHUT_DOWN = "57P01"


@dataclass(frozen=True)
class Owner:
    """The account PostgreSQL runs under, when that is not our own."""

    uid: int
    gid: int

    def popen(self) -> dict[str, Any]:
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


@dataclass(frozen=True)
class Network:
    """A TCP port of PostgreSQL's own on loopback, with TLS; and what its command line starts with."""

    port: int
    certificate: bytes
    key: bytes = field(repr=False)
    wrapper: list[str] = field(default_factory=list)


class Database:
    """One server with its data directory, of which it owns the whole."""

    def __init__(self, room: Path, programs: Path, *, data: Path | None = None, max_connections: int = 500) -> None:
        self._owner = _unprivileged(data)
        self._room = room
        self._kept = data is not None
        self._sockets = room / "run"
        self._data = (data / "pgdata") if data is not None else room / "data"
        self._log = room / "postgres.log"
        self._given_programs = programs
        self._programs = programs
        self._max_connections = max_connections
        self._port = 5432
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> str:
        return str(self._sockets / f".s.PGSQL.{self._port}")

    @property
    def owner(self) -> tuple[int, int] | None:
        """The account it runs under, if not ours."""
        return (self._owner.uid, self._owner.gid) if self._owner is not None else None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def prepare(self) -> bool:
        """Make the data directory, unless it is there; returns whether it is new. Blocks for about 0.3 s."""
        self._make_room()
        self._programs = self._reachable_programs()
        if (self._data / "PG_VERSION").exists():
            return False
        self._run(
            [
                *("initdb", f"--pgdata={self._data}", f"--username={SUPERUSER}", "--encoding=UTF8", "--locale=C"),
                *("--auth=trust", "--no-instructions", "--no-sync"),
            ]
        )
        return True

    def allow(self, rules: Sequence[str]) -> None:
        """Write pg_hba.conf: first our own superuser, then `rules`. Before `start`."""
        lines = [f"local all {SUPERUSER} trust", *rules]
        path = self._data / "pg_hba.conf"
        path.write_text("\n".join(lines) + "\n")
        self._give(path)

    def start(self, network: Network | None = None) -> None:
        """Start the server; use `wait_until_ready` to know when it answers."""
        if network is not None:
            self._port = network.port
        settings = {
            "unix_socket_directories": str(self._sockets),
            "listen_addresses": "",
            "port": str(self._port),
            "max_connections": str(self._max_connections),
            "shared_buffers": "64MB",
            "wal_level": "minimal",
            "max_wal_senders": "0",
            "password_encryption": "scram-sha-256",
            "timezone": "UTC",
            "log_timezone": "UTC",
            # A file under the data directory leaves with it; POSIX segments would outlive a SIGKILL.
            "dynamic_shared_memory_type": "mmap",
            # Statements may hold passwords (CREATE ROLE ... PASSWORD): none goes into the log.
            "log_min_error_statement": "panic",
            "log_statement": "none",
        }
        if not self._kept:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        if network is not None:
            settings |= {"listen_addresses": "localhost", "ssl": "on"} | self._store_certificate(network)
        command = [*(network.wrapper if network else []), str(self._programs / "postgres"), "-D", str(self._data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with open(self._log, "ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Its own group: Ctrl-C in the terminal is ours to turn into an orderly shutdown.
                start_new_session=True,
                cwd=self._sockets,
                env=self._environment(),
                preexec_fn=_die_with_parent(),
                # A wrapper drops the account itself, after what only root may do.
                **(self._owner.popen() if self._owner and not (network and network.wrapper) else {}),
            )

    def _store_certificate(self, network: Network) -> dict[str, str]:
        """PostgreSQL reads its key from a file; it lies in its own folder, and leaves with it."""
        settings = {}
        for name, content in (("ssl_cert_file", network.certificate), ("ssl_key_file", network.key)):
            path = self._sockets / f"{name}.pem"
            path.touch(mode=0o600)
            path.write_bytes(content)
            self._give(path)
            settings[name] = str(path)
        return settings

    async def wait_until_ready(self, timeout: float = 30.0) -> None:
        """Return once a connection is accepted."""
        deadline = asyncio.get_running_loop().time() + timeout
        while True:
            if not self.running():
                raise SandboxError("PostgreSQL stopped while starting", hint=self._last_words())
            try:
                await self.query("SELECT 1")
                return
            except (OSError, QueryError, asyncio.IncompleteReadError):
                if asyncio.get_running_loop().time() > deadline:
                    raise SandboxError("PostgreSQL did not become ready", hint=self._last_words()) from None
                await asyncio.sleep(0.01)

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self, timeout: float = 10.0) -> None:
        """Shut down at once, ending all sessions; kept data is written out first."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGINT if self._kept else signal.SIGQUIT)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            log.warning("PostgreSQL did not stop in %.0f s and is killed", timeout)
            process.kill()
            process.wait()

    async def query(self, sql: str, database: str = "postgres") -> list[list[str | None]]:
        """Run SQL as the sandbox's superuser on a connection of its own; rows as text."""
        async with Administration(self.socket, database) as connection:
            return await connection.query(sql)

    def _make_room(self) -> None:
        self._sockets.mkdir(mode=0o700, exist_ok=True)
        self._give(self._sockets)
        if self._kept:
            self._data.parent.mkdir(parents=True, exist_ok=True)
        self._data.mkdir(mode=0o700, exist_ok=True)
        if not (self._data / "PG_VERSION").exists():
            self._give(self._data)
        if self._owner is None:
            return
        self._room.chmod(0o711)  # ours: the server's account must be able to pass through
        blocked = _blocked_at(self._data, self._owner)
        if blocked is not None:
            raise SandboxError(
                f"PostgreSQL must not run as root, and uid {self._owner.uid} cannot pass through {blocked}",
                hint="Choose a directory that other users can reach, or run as an ordinary user.",
            )

    def _reachable_programs(self) -> Path:
        """The programs themselves, or a copy of them where the server's account cannot reach the original."""
        given = self._given_programs
        if self._owner is None or _blocked_at(given / "postgres", self._owner) is None:
            return given
        root = binaries.installation(given)
        if not (root / "share").is_dir():
            raise SandboxError(
                f"uid {self._owner.uid} cannot reach {given}, and that installation cannot be copied",
                hint="Run as an ordinary user, or set PGIAM_POSTGRES_BIN to programs that every user can run.",
            )
        copy = self._room / "postgres" / root.parent.name / root.name
        # About 0.1 s. Copied anew each time: nothing to keep, nothing left behind, no folder of others touched.
        shutil.copytree(root, copy, ignore=shutil.ignore_patterns("include", "doc", "man"))
        # Wheels keep the shared libraries they bring along beside the package, at a relative path.
        libraries = root.parent.parent / f"{root.parent.name}.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, copy.parent.parent / libraries.name)
        for place, folders, _ in os.walk(self._room / "postgres"):
            for name in [place, *(os.path.join(place, folder) for folder in folders)]:
                os.chmod(name, 0o755)  # noqa: S103 - our own copy, for the server's account to pass
        return copy / given.name

    def _environment(self) -> dict[str, str]:
        # Not the caller's: PG* variables and a foreign locale would change what the programs do.
        kept = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "TZDIR")
        return {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C", "LANG": "C"}

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(
            [str(self._programs / command[0]), *command[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=self._sockets,
            env=self._environment(),
            check=False,
            **(self._owner.popen() if self._owner else {}),
        )
        if done.returncode:
            raise SandboxError(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")

    def _give(self, path: Path) -> None:
        if self._owner is not None:
            os.chown(path, self._owner.uid, self._owner.gid)

    def _last_words(self) -> str:
        try:
            return "It said: " + " / ".join(self._log.read_text(errors="replace").splitlines()[-5:])
        except FileNotFoundError:
            return "It said nothing."


class QueryError(Exception):
    """The server refused a statement of ours."""

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__(f"{fields.get('C')}: {fields.get('M')}")
        self.sqlstate = fields.get("C", "")


@final
class Administration:
    """One connection as the sandbox's superuser, for one query at a time."""

    def __init__(self, socket: str, database: str = "postgres") -> None:
        self._socket = socket
        self._database = database
        self._turn = asyncio.Lock()
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def __aenter__(self) -> Administration:
        await self._connect()
        return self

    async def _connect(self) -> None:
        self._reader, self._writer = await asyncio.open_unix_connection(self._socket)
        self._writer.write(
            wire.startup({"user": SUPERUSER, "database": self._database, "application_name": "pgiam.sandbox"})
        )
        try:
            await self._rows()
        except BaseException:
            self._writer.close()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._writer.write(wire.message(b"X", b""))
        self._writer.close()

    async def query(self, sql: str) -> list[list[str | None]]:
        async with self._turn:
            try:
                return await self._ask(sql)
            except (*_LOST, QueryError) as error:
                if isinstance(error, QueryError) and error.sqlstate != _SHUT_DOWN:
                    raise
            # A superuser ended this session, perhaps with all others.
            self._writer.close()
            await self._connect()
            return await self._ask(sql)

    async def _ask(self, sql: str) -> list[list[str | None]]:
        self._writer.write(wire.query(sql))
        return await self._rows()

    async def _rows(self) -> list[list[str | None]]:
        rows: list[list[str | None]] = []
        failure: QueryError | None = None
        while True:
            kind, length = wire.header(await self._reader.readexactly(5))
            payload = await self._reader.readexactly(length - 5)
            if kind == b"D":
                rows.append(wire.data_row(payload))
            elif kind == wire.ERROR:
                failure = QueryError(wire.error_fields(payload))
                if wire.error_fields(payload).get("V") == "FATAL":
                    raise failure
            elif kind == b"Z":
                if failure is not None:
                    raise failure
                return rows


def _unprivileged(data: Path | None) -> Owner | None:
    """PostgreSQL refuses to run as root. Then it is the owner of the kept data, else 'nobody'."""
    if os.geteuid() != 0:
        return None
    kept = data / "pgdata" if data is not None else None
    if kept is not None and kept.exists() and kept.stat().st_uid != 0:
        return Owner(kept.stat().st_uid, kept.stat().st_gid)
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise SandboxError(
            "PostgreSQL must not run as root, and this machine has no user 'nobody'",
            hint="Run as an ordinary user.",
        ) from None
    return Owner(entry.pw_uid, entry.pw_gid)


def _blocked_at(path: Path, owner: Owner) -> Path | None:
    """The first folder on the way to `path` that `owner` may not pass through, by its mode bits."""
    for folder in reversed(path.resolve().parents):
        status = folder.stat()
        if status.st_uid == owner.uid:
            passes = status.st_mode & 0o100
        elif status.st_gid == owner.gid:
            passes = status.st_mode & 0o010
        else:
            passes = status.st_mode & 0o001
        if not passes:
            return folder
    return None


def _die_with_parent() -> Callable[[], None] | None:
    """On Linux, have the kernel stop PostgreSQL if this process dies without a chance to."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def arrange() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT, 0, 0, 0)
        if os.getppid() != parent:  # died before the line above
            os._exit(1)

    return arrange
