"""The door of the database: TLS, the auth token as password, then the database itself.

A client of an IAM role is asked for a password in clear text, inside TLS, as RDS and DSQL do; the verifier
decides. Any other role is left to PostgreSQL's own password exchange, of which the gateway passes on every
byte. After the login both sides are joined and the gateway is out of the way.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from . import certificates, front_door, statements, wire
from .clock import Clock
from .database import SUPERUSER, Administration, QueryError
from .faults import DatabaseFaults
from .flavors import Denial, Wording
from .iam import Directory
from .inspector import Inspector
from .listeners import loopback_listeners
from .relay import Disconnected, Side, reset_on_close
from .verifier import Accepted, Refused, Target, verify

log = logging.getLogger("pgiam.sandbox.gateway")

LOGIN_TIMEOUT = 60.0  # PostgreSQL's authentication_timeout
DSQL_SESSION_LIMIT = 3600.0
# PostgreSQL's own accept queue is finite, and asyncio does not notice when a unix socket's is full.
_OPENING_AT_ONCE = 48

_MEMBER = """
WITH RECURSIVE held(oid) AS (
  SELECT oid FROM pg_roles WHERE rolname = {user}
  UNION SELECT m.roleid FROM pg_auth_members m JOIN held ON m.member = held.oid
) SELECT count(*) FROM held JOIN pg_roles r USING (oid) WHERE r.rolname = 'rds_iam'
"""
_TERMINATE = f"""
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND usename <> '{SUPERUSER}'
"""  # noqa: S608 - a constant


@dataclass
class Settings:
    """What the gateway is: fixed at start."""

    flavor: str
    target: Callable[[int], Target]  # from the port that clients connect to
    wording: Wording
    socket: str  # the database's
    trusted: certificates.Authority
    names: list[str]
    allow_plain: bool = False


class _Cut(Exception):
    """A fault says to break this connection off here."""


@dataclass(eq=False)
class Session:
    """One logged-in client."""

    user: str
    client: Side
    opened: float
    last_activity: float


@dataclass
class Figures:
    """What has happened so far."""

    connections: int = 0
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    cancels: int = 0
    peak_sessions: int = 0


class Gateway:
    """Listens on loopback, at one port of both IP versions."""

    def __init__(self, settings: Settings, directory: Directory, clock: Clock, faults: DatabaseFaults) -> None:
        self.settings = settings
        self.directory = directory
        self.clock = clock
        self.faults = faults
        self.figures = Figures()
        self.port = 0
        self.sessions: set[Session] = set()
        self._listeners: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself holds them weakly
        self._administration: Administration
        self._opening = asyncio.Semaphore(_OPENING_AT_ONCE)
        self._contexts: dict[str, ssl.SSLContext] = {}

    async def start(self, port: int = 0, *, listen: bool = True) -> None:
        self._administration = await Administration(self.settings.socket).__aenter__()
        self._contexts[""] = self._context("")
        if listen:
            self.listen(port)
        self._spawn(self._keep_time())

    async def close(self) -> None:
        self.stop_listening()
        for session in list(self.sessions):
            session.client.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._administration.__aexit__()

    # --- listening --------------------------------------------------------------------------------

    def listen(self, port: int = 0) -> None:
        """Open the port; the same one again after `stop_listening`."""
        if self._listeners:
            return
        loop = asyncio.get_running_loop()
        for listener in loopback_listeners(port or self.port):
            self._listeners.append(listener)
            loop.add_reader(listener.fileno(), self._accept, listener)
        self.port = self._listeners[0].getsockname()[1]

    def stop_listening(self) -> None:
        """Close the port: from now on connections are refused by the kernel."""
        for listener in self._listeners:
            asyncio.get_running_loop().remove_reader(listener.fileno())
            listener.close()
        self._listeners.clear()

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(128):
            try:
                sock, _address = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log.error("cannot accept a connection: %s", error.strerror)
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.figures.connections += 1
            self._spawn(self._serve(sock))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the gateway itself failed", exc_info=error)

    # --- one client -------------------------------------------------------------------------------

    async def _serve(self, sock: socket.socket) -> None:
        visitor: front_door.Visitor | front_door.Cancel | None = None
        try:
            client_address = sock.getpeername()[0]
            visitor = await asyncio.wait_for(self._receive(sock), LOGIN_TIMEOUT)
            if isinstance(visitor, front_door.Cancel):
                await self._cancel(visitor)
            else:
                await self._admit(visitor, client_address)
        except _Cut:
            if isinstance(visitor, front_door.Visitor):
                visitor.side.reset()
        except (Disconnected, OSError, asyncio.TimeoutError, wire.ProtocolViolation) as ended:
            log.debug("a connection ended before its login: %s %s", type(ended).__name__, ended)
        finally:
            if isinstance(visitor, front_door.Visitor):
                visitor.side.transport.close()

    async def _receive(self, sock: socket.socket) -> front_door.Visitor | front_door.Cancel:
        try:
            if seconds := self.faults.take("slow_accept"):
                await asyncio.sleep(seconds)
            self._cut_at("accept")
            context = self._context(self.faults.take("certificate") or "")
            no_tls = self.faults.take("no_tls")
            opening = await front_door.open_encounter(sock, offers_tls=not no_tls)
            if opening.wants_tls:
                self._cut_at("tls")
        except _Cut:
            reset_on_close(sock)
            sock.close()
            raise
        except BaseException:
            sock.close()
            raise
        return await front_door.receive(sock, opening, context)

    def _cut_at(self, stage: str) -> None:
        if self.faults.take("reset", stage):
            raise _Cut

    async def _admit(self, visitor: front_door.Visitor, client_address: str) -> None:
        client = visitor.side
        user = visitor.parameters.get("user", "")
        try:
            backend = await asyncio.wait_for(self._log_in(visitor, user, client_address), LOGIN_TIMEOUT)
        except Denial as denial:
            self.figures.refused[denial.reason] += 1
            client.transport.write(wire.error("FATAL", denial.sqlstate, denial.message, hint=denial.hint))
            return
        except wire.ProtocolViolation as violation:
            client.transport.write(wire.error("FATAL", "08P01", str(violation)))
            return
        now = asyncio.get_running_loop().time()
        session = Session(user, client, now, now)
        self.sessions.add(session)
        self.figures.peak_sessions = max(self.figures.peak_sessions, len(self.sessions))
        try:
            self._join(session, backend)
            await client.closed
        finally:
            self.sessions.discard(session)
            backend.transport.close()

    async def _log_in(self, visitor: front_door.Visitor, user: str, client_address: str) -> Side:
        wording, faults = self.settings.wording, self.faults
        self._cut_at("startup")
        if not user:
            raise Denial("28000", "no PostgreSQL user name specified in startup packet")
        database = visitor.parameters.get("database") or user
        if not visitor.encrypted:
            raise wording.no_encryption(user, database, client_address)
        if user == SUPERUSER:
            raise Denial(
                "28000",
                f'pg_hba.conf rejects connection for host "{client_address}", user "{user}",'
                f' database "{database}", SSL encryption',
                reason="reserved_user",
            )
        passed_on = wording.startup(visitor.parameters, visitor.server_name)
        if passed_on != visitor.parameters:
            visitor.packet = wire.startup(passed_on, visitor.version)
        limit = faults.standing("connection_limit")
        if faults.take("too_many_connections") or (limit is not None and len(self.sessions) >= limit):
            raise wording.too_many_connections()
        if faults.take("rate_exceeded"):
            raise wording.rate_exceeded()
        if faults.take("waking_up"):
            raise wording.waking_up()
        if self.settings.flavor != "dsql" and not await self._uses_iam(user):
            return await self._pass_through(visitor, user)
        await self._check_token(visitor.side, user)
        return await self._open(visitor, user)

    async def _check_token(self, client: Side, user: str) -> None:
        client.transport.write(wire.AUTHENTICATION_CLEARTEXT)
        kind, payload = await client.read_message(wire.MAX_PASSWORD + 5)
        if kind != b"p":
            raise wire.ProtocolViolation("expected password response")
        self._cut_at("password")
        if self.faults.take("proxy_competing_requests"):
            raise Denial(
                "53400",
                "The IAM authentication failed because of too many competing requests.",
                reason="competing_requests",
            )
        verdict = self.judge(user, wire.password(payload), self.port)
        if not isinstance(verdict, Accepted):
            raise self.settings.wording.bad_token(user, verdict)

    def judge(self, user: str, token: str, port: int) -> Accepted | Refused:
        """Ask the verifier; count and log what it says."""
        self.figures.tokens += 1
        verdict = verify(token, user, self.settings.target(port), self.directory, self.clock.now())
        if isinstance(verdict, Accepted):
            self.figures.accepted += 1
            log.info("accepted: user %r as %s", user, verdict.credential.principal)
        else:
            log.info("refused: user %r: %s: %s", user, verdict.reason.value, verdict.detail)
        return verdict

    async def _uses_iam(self, user: str) -> bool:
        literal = "'" + user.replace("'", "''") + "'"
        if "\\" in user:  # in case standard_conforming_strings was turned off
            literal = " E" + literal.replace("\\", "\\\\")
        try:
            rows = await self._administration.query(_MEMBER.format(user=literal))
        except QueryError as error:
            log.error("cannot ask for the roles of a user: %s", error)
            raise Denial("58000", "the sandbox could not read its roles", reason="internal") from error
        return rows[0][0] != "0"

    async def _open(self, visitor: front_door.Visitor, user: str) -> Side:
        """A connection to the database that was let in without a password, its first answer pending."""
        async with self._opening:
            backend = await self._connect(visitor.packet)
            try:
                kind, payload = await backend.read_message(wire.MAX_PASSWORD)
                if kind == wire.AUTHENTICATION and payload != b"\0\0\0\0":
                    # Between the look at rds_iam and now the role lost it.
                    raise Denial("28P01", f'password authentication failed for user "{user}"')
            except BaseException:
                backend.transport.close()
                raise
        visitor.side.transport.write(wire.message(kind, payload))
        return backend

    async def _pass_through(self, visitor: front_door.Visitor, user: str) -> Side:
        """Leave the password to PostgreSQL, which must ask for one."""
        async with self._opening:
            backend = await self._connect(visitor.packet)
            try:
                kind, payload = await backend.read_message(wire.MAX_PASSWORD)
            except BaseException:
                backend.transport.close()
                raise
        if kind == wire.AUTHENTICATION and payload == b"\0\0\0\0":
            backend.transport.close()
            # Became a member of rds_iam a moment ago: then a token is due, and none was asked for.
            raise Denial("28000", f'PAM authentication failed for user "{user}"', reason="no_token")
        visitor.side.transport.write(wire.message(kind, payload))
        return backend

    async def _connect(self, packet: bytes) -> Side:
        transport, backend = await asyncio.get_running_loop().create_unix_connection(Side, self.settings.socket)
        transport.write(packet)
        return backend

    def _join(self, session: Session, backend: Side) -> None:
        loop = asyncio.get_running_loop()

        def active() -> None:
            session.last_activity = loop.time()

        if self.settings.flavor == "dsql":
            inspector = Inspector(self._take_conflict)
            session.client.join(backend, inspector.client, active)
            backend.join(session.client, inspector.server, active)
        else:
            session.client.join(backend, on_activity=active)
            backend.join(session.client, on_activity=active)

    def _take_conflict(self) -> statements.Refusal | None:
        code = self.faults.take("conflict")
        return {"OC000": statements.CONFLICT, "OC001": statements.SCHEMA_CHANGED}.get(code)

    async def _cancel(self, cancel: front_door.Cancel) -> None:
        """The database made the key itself, so it knows what to do with the packet."""
        self.figures.cancels += 1
        backend = await self._connect(cancel.packet)
        try:
            await asyncio.wait_for(asyncio.shield(backend.closed), LOGIN_TIMEOUT)
        finally:
            backend.transport.close()

    # --- control ----------------------------------------------------------------------------------

    async def kill_sessions(self, *, abruptly: bool = False) -> int:
        """End every session: as an administrator would (57P01), or by a TCP reset."""
        if not abruptly:
            return len(await self._administration.query(_TERMINATE))
        doomed = list(self.sessions)
        for session in doomed:
            session.client.reset()
        return len(doomed)

    async def administer(self, sql: str) -> list[list[str | None]]:
        """SQL as the sandbox's superuser."""
        return await self._administration.query(sql)

    async def _keep_time(self) -> None:
        """Cut sessions that are over their limit, or idle for too long where a fault says so."""
        loop = asyncio.get_running_loop()
        while True:
            idle = self.faults.standing("idle_close")
            limit = self.faults.standing("session_limit")
            if limit is None and self.settings.flavor == "dsql":
                limit = DSQL_SESSION_LIMIT
            now = loop.time()
            for session in list(self.sessions):
                too_old = limit is not None and now - session.opened >= limit
                too_idle = idle is not None and now - session.last_activity >= idle
                if too_old or too_idle:
                    session.client.transport.close()
            await asyncio.sleep(0.05)

    def _context(self, kind: str) -> ssl.SSLContext:
        """The TLS context of the right certificate (''), or of a wrong one, made when first asked for."""
        if kind not in self._contexts:
            names = self.settings.names
            authority = self.settings.trusted
            if kind == "wrong_host":
                names = ["another-database.example"]
            elif kind == "unknown_ca":
                authority = certificates.Authority("Unknown authority")
            context = authority.server_context(names, expired=kind == "expired")
            self._contexts[kind] = front_door.remember_server_name(context)
        return self._contexts[kind]
