"""The sandbox's own process: PostgreSQL, the gateway, the AWS half and the control port on one event loop.

Started by `Sandbox` as `python -m pgiam.sandbox.server`. The configuration comes as one JSON line on stdin,
which the starter then keeps open: its end means that the starter is gone. One JSON line on stdout says that
all is ready, or why it is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import binaries, certificates, flavors, pam
from .aws import NOT_FOR_STS, AwsServices
from .aws_faults import AwsFaults
from .claim_shapes import SHAPES
from .clock import Clock
from .control import ControlPort
from .database import Database, Network
from .errors import SandboxError
from .faults import DatabaseFaults
from .gateway import Gateway, Settings
from .iam import Directory, TrustRule
from .setup_sql import hba_rules, statements_for
from .verifier import Target

log = logging.getLogger("pgiam.sandbox")

PREFIX = "pgiam-sandbox-"
_KEPT_LINES = 2000
_MAX_SOCKET_PATH = 100  # sun_path holds 104 bytes on macOS, 108 on Linux


@dataclass
class Configuration:
    """What the starter asks for."""

    flavor: str = "rds"
    region: str = "us-east-1"
    port: int = 0
    data: str | None = None
    postgres: str | None = None
    platform: str = "session"
    role: str = "app"
    authentication: str = "gateway"
    accept_localhost_tokens: bool = False
    max_connections: int = 500
    log_to_stderr: bool = False
    parent: int = 0


@dataclass
class Assembly:
    """The parts, for the control port."""

    clock: Clock
    directory: Directory
    faults: DatabaseFaults
    aws: AwsServices
    gateway: Gateway
    lines: deque[str]
    port: int  # that clients connect to
    has_gateway: bool


class _Keeper(logging.Handler):
    """Keeps the last log lines for whoever asks."""

    def __init__(self, lines: deque[str]) -> None:
        super().__init__()
        self._lines = lines
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))


class _Builder:
    """Puts the parts together, in the order in which they need each other."""

    def __init__(self, configuration: Configuration, room: Path, stack: contextlib.AsyncExitStack) -> None:
        self.configuration = configuration
        self.room = room
        self.stack = stack
        self.clock = Clock()
        self.directory = Directory()
        self.endpoint = flavors.endpoint(configuration.flavor, configuration.region)
        self.names = ["localhost", self.endpoint, "127.0.0.1", "::1"]
        self.authority = certificates.Authority("pgiam sandbox")
        self.programs = binaries.find(configuration.postgres)
        self.gateway: Gateway

    async def database(self) -> Database:
        """A running PostgreSQL, new or with the data that was kept."""
        configuration = self.configuration
        data = Path(configuration.data) if configuration.data else None
        database = Database(self.room, self.programs, data=data, max_connections=configuration.max_connections)
        # initdb takes the longest of all; the AWS half comes up meanwhile.
        preparing = asyncio.ensure_future(asyncio.to_thread(database.prepare))
        try:
            self.aws = await self._aws()
        finally:
            self.fresh = await preparing
        self.port = configuration.port
        network = await self._network(database) if configuration.authentication == "pam" else None
        database.allow(pam.hba_rules() if network else hba_rules(configuration.flavor))
        self.stack.callback(database.stop)
        database.start(network)
        return database

    async def _network(self, database: Database) -> Network:
        if self.configuration.flavor != "rds":
            raise SandboxError("PostgreSQL's own PAM login exists in the flavor 'rds' only")
        service = pam.Pam(self.room, self.programs, lambda user, token: self.gateway.judge(user, token, self.port))
        await asyncio.to_thread(service.build)
        await service.start(database.owner)
        self.stack.push_async_callback(service.close)
        self.port = self.port or pam.free_port()
        return Network(self.port, *self.authority.server_pem(self.names), service.wrap(database.owner))

    async def assemble(self, database: Database, lines: deque[str]) -> tuple[Assembly, dict[str, str]]:
        """Everything else; and the variables that lead a client to it."""
        configuration = self.configuration
        ca_file = self.room / "ca.pem"
        ca_file.write_bytes(self.authority.pem())
        await database.wait_until_ready()
        if self.fresh:
            for statement in statements_for(configuration.flavor):
                await database.query(statement)
        faults = DatabaseFaults()
        wording = flavors.wording(configuration.flavor)
        settings = Settings(configuration.flavor, self._target, wording, database.socket, self.authority, self.names)
        self.gateway = Gateway(settings, self.directory, self.clock, faults)
        has_gateway = configuration.authentication == "gateway"
        await self.gateway.start(self.port, listen=has_gateway)
        self.stack.push_async_callback(self.gateway.close)
        port = self.gateway.port if has_gateway else self.port
        environment = await asyncio.to_thread(self.aws.environment, configuration.platform, configuration.role)
        _prepare_profiles(environment)
        environment |= {
            "PGHOST": "localhost",
            "PGPORT": str(port),
            "PGUSER": flavors.default_user(configuration.flavor),
            "PGDATABASE": "postgres",
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": str(ca_file),
            "PGIAM_CA_FILE": str(ca_file),
            "PGIAM_TOKEN_HOST": self.endpoint,
            "PGIAM_SANDBOX_STS_HTTPS_URL": self.aws.secure_sts_url,
        }
        parts = Assembly(self.clock, self.directory, faults, self.aws, self.gateway, lines, port, has_gateway)
        return parts, environment

    async def _aws(self) -> AwsServices:
        folder = self.room / "aws"
        folder.mkdir(mode=0o700)
        secure = self.authority.server_context(self.names)
        secure.set_alpn_protocols(["http/1.1"])
        aws = AwsServices(self.directory, self.clock, AwsFaults(), self.configuration.region, tls=secure, folder=folder)
        await aws.start()
        self.stack.push_async_callback(aws.close)
        _populate(self.directory, aws)
        return aws

    def _target(self, port: int) -> Target:
        flavor, region, account = self.configuration.flavor, self.configuration.region, self.directory.account
        local = {"localhost"} if self.configuration.accept_localhost_tokens else set()
        hosts = frozenset({self.endpoint, *local})
        if flavor == "dsql":
            return Target.dsql(region, hosts, f"arn:aws:dsql:{region}:{account}:cluster/{flavors.CLUSTER_ID}")
        resource = "prx-SANDBOX" if flavor == "rds-proxy" else "cluster-SANDBOX"
        return Target.rds(region, hosts, port, f"arn:aws:rds-db:{region}:{account}:dbuser:{resource}/*")


async def serve(configuration: Configuration, room: Path, stop: asyncio.Event) -> None:
    """Start everything in `room`, say so on stdout, and run until `stop`."""
    lines: deque[str] = deque(maxlen=_KEPT_LINES)
    logging.getLogger("pgiam.sandbox").addHandler(_Keeper(lines))
    async with contextlib.AsyncExitStack() as stack:
        builder = _Builder(configuration, room, stack)
        database = await builder.database()
        assembly, environment = await builder.assemble(database, lines)
        token = secrets.token_urlsafe(32)
        control = ControlPort(assembly, token)
        url = await control.start()
        stack.push_async_callback(control.close)
        passwords = await _passwords(configuration.flavor, assembly.gateway)
        _say(
            {
                "ready": {
                    "port": assembly.port,
                    "token_host": builder.endpoint,
                    "directory": str(room),
                    "ca_file": str(room / "ca.pem"),
                    "control_url": url,
                    "control_token": token,
                    "postgres_version": binaries.version(builder.programs),
                    "postgres_pid": database.pid,
                    "passwords": passwords,
                    "env": {**environment, "PGIAM_SANDBOX_CONTROL_URL": url, "PGIAM_SANDBOX_CONTROL_TOKEN": token},
                }
            }
        )
        await _until_over(stop, database, configuration.parent)


def _populate(directory: Directory, aws: AwsServices) -> None:
    """The account that every sandbox starts with; see docs/sandbox.md."""
    everywhere = [aws.trust(platform) for platform in SHAPES if platform not in NOT_FOR_STS]
    pods = TrustRule(principal="pods.eks.amazonaws.com")
    directory.add_role("app", trust=[*everywhere, pods], db_users={"app", "reporting"}, dsql_admin=True)
    directory.add_role("outsider", trust=everywhere)
    own = TrustRule(principal=f"arn:aws:*::{directory.account}:*")
    directory.add_role("auditor", trust=[own], db_users={"reporting"})
    directory.add_user("developer", db_users={"app", "reporting"}, dsql_admin=True)


def _prepare_profiles(environment: dict[str, str]) -> None:
    # Empty but existing: a client told of a file that is missing may fall back to the user's own.
    for variable in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        path = Path(environment[variable])
        if not path.exists():
            path.write_text("[default]\n")


async def _passwords(flavor: str, gateway: Gateway) -> dict[str, str]:
    """New passwords for the roles that are not IAM users, each time the sandbox starts."""
    if flavor == "dsql":
        return {}
    passwords = {user: secrets.token_urlsafe(16) for user in ("legacy", "postgres")}
    for user, password in passwords.items():
        await gateway.administer(f"ALTER ROLE {user} PASSWORD '{password}'")
    return passwords


async def _until_over(stop: asyncio.Event, database: Database, parent: int) -> None:
    while not stop.is_set():
        if not database.running():
            log.error("PostgreSQL ended by itself; the sandbox closes")
            return
        # stdin stays open as long as a fork of the starter lives; the starter itself may be gone.
        if parent and os.getppid() != parent:
            return
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stop.wait(), 0.25)


def _say(what: dict[str, Any]) -> None:
    # The starter may have died meanwhile; then the end of stdin tells us so.
    with contextlib.suppress(BrokenPipeError):
        os.write(1, (json.dumps(what) + "\n").encode())


def _make_room() -> Path:
    """A directory of our own, where a unix socket's path still fits and other accounts may pass through."""
    for place in (None, "/tmp"):  # noqa: S108 - mkdtemp makes a fresh directory in it
        room = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        reachable = os.geteuid() != 0 or all(parent.stat().st_mode & 0o001 for parent in room.parents)
        if len(os.fsencode(room)) + 30 <= _MAX_SOCKET_PATH and reachable:
            return room
        room.rmdir()
    raise SandboxError("no temporary directory is fit for the sandbox", hint="Set TMPDIR to a short path.")


async def _run(configuration: Configuration, room: Path) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)

    def read() -> None:
        if not os.read(0, 65536):
            loop.remove_reader(0)
            stop.set()

    loop.add_reader(0, read)
    work = asyncio.ensure_future(serve(configuration, room, stop))
    early = asyncio.ensure_future(stop.wait())
    await asyncio.wait({work, early}, return_when=asyncio.FIRST_COMPLETED)
    if not work.done():
        # While starting, nothing looks at `stop`. Once started, this gives an orderly end its time.
        await asyncio.wait({work}, timeout=5)
        work.cancel()
    early.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await work


def main() -> int:
    """Entry of the process."""
    line = bytearray()
    while not line.endswith(b"\n"):
        part = os.read(0, 1)
        if not part:
            return 1
        line += part
    configuration = Configuration(**json.loads(line))
    logger = logging.getLogger("pgiam.sandbox")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    if configuration.log_to_stderr:
        logger.addHandler(logging.StreamHandler())
    room: Path | None = None
    try:
        room = _make_room()
        asyncio.run(_run(configuration, room))
    except SandboxError as error:
        _say({"error": {"message": str(error.args[0]), "hint": error.hint}})
        return 1
    except OSError as error:
        _say({"error": {"message": str(error), "hint": ""}})
        return 1
    finally:
        if room is not None:
            shutil.rmtree(room, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
