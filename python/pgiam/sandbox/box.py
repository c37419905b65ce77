"""`Sandbox`: a thin client, in the user's process, of the process that does the work."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlencode, urlsplit

from .errors import SandboxError
from .fault_controls import Faults

if TYPE_CHECKING:
    from typing_extensions import Self

Flavor = Literal["rds", "rds-proxy", "dsql"]

# Runs with our own import path, and without the working directory that "-m" or "-c" would put first.
_START = "import sys; sys.path[:] = sys.argv[1:]; from pgiam.sandbox.server import main; sys.exit(main())"
# Variables that would mix the user's own AWS account or database into the sandbox.
_FOREIGN = ("AWS_", "PG", "VERCEL", "ACTIONS_ID_TOKEN_", "BUILDKITE_AGENT_", "FLY_", "TFC_WORKLOAD_", "CIRCLE_OIDC_")
_KEPT = ("PGIAM_POSTGRES_BIN",)


class Sandbox:
    """A PostgreSQL that lets in only valid IAM auth tokens, with STS and OIDC beside it.

    `with Sandbox() as box:` or `async with Sandbox() as box:`. Everything runs in a process of its own that
    ends with this one; nothing stays behind, except the data where `data` names a directory for it.

    flavor: "rds", "rds-proxy" or "dsql".
    platform, role: the surroundings that `env` describes, such as "session", "eks", "vercel",
        "github_actions", "ec2"; and the IAM role that a workload there has.
    postgres: a directory with PostgreSQL's programs, or "system"; by default the installed wheel's.
    authentication: "gateway", or "pam" to have PostgreSQL ask for tokens itself, as RDS does (Linux, with a
        PostgreSQL built with PAM, a C compiler and PAM's headers).
    accept_localhost_tokens: also take tokens signed for the host "localhost".
    """

    def __init__(
        self,
        flavor: Flavor = "rds",
        *,
        region: str = "us-east-1",
        platform: str = "session",
        role: str = "app",
        port: int = 0,
        data: str | os.PathLike[str] | None = None,
        postgres: str | os.PathLike[str] | None = None,
        authentication: Literal["gateway", "pam"] = "gateway",
        accept_localhost_tokens: bool = False,
        max_connections: int = 500,
        log_to_stderr: bool = False,
        start_timeout: float = 60.0,
    ) -> None:
        if flavor not in ("rds", "rds-proxy", "dsql"):
            raise SandboxError(f"no flavor {flavor!r}", hint="There are 'rds', 'rds-proxy' and 'dsql'.")
        self.flavor = flavor
        self.region = region
        self.host = "localhost"
        self.database = "postgres"
        self.user = "admin" if flavor == "dsql" else "app"
        self._configuration: dict[str, Any] = {
            "flavor": flavor,
            "region": region,
            "platform": platform,
            "role": role,
            "port": port,
            "data": os.path.abspath(data) if data is not None else None,
            "postgres": os.fspath(postgres) if postgres is not None else None,
            "authentication": authentication,
            "accept_localhost_tokens": accept_localhost_tokens,
            "max_connections": max_connections,
            "log_to_stderr": log_to_stderr,
        }
        self._start_timeout = start_timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None
        self._ready: dict[str, Any] = {}
        self.faults = Faults(self.control)

    # --- life ---------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start, and return when everything answers."""
        if self._process is not None:
            raise SandboxError("this sandbox was started already", hint="Make another Sandbox.")
        # A file and not a pipe: nobody reads along, and a full pipe would stop the server.
        self._stderr = None if self._configuration["log_to_stderr"] else tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            start_new_session=True,  # Ctrl-C is ours to receive; `close` ends the sandbox
            env=_server_environment(),
        )
        try:
            self._configure(self._process)
            self._ready = self._await_ready(self._process)
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """End the sandbox and wait until nothing of it is left. May be called again."""
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for stream in (process.stdout, self._stderr):
            if stream is not None:
                stream.close()
        # Removed already, unless the process was killed before it could.
        if directory := self._ready.get("directory"):
            shutil.rmtree(directory, ignore_errors=True)

    def alive(self) -> bool:
        """Whether it is running."""
        return self._process is not None and bool(self._ready) and self._process.poll() is None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        import asyncio

        starting = asyncio.ensure_future(asyncio.to_thread(self.start))
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            await asyncio.wait({starting})  # a thread cannot be cancelled, and must not outlive us
            await asyncio.to_thread(self.close)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        import asyncio

        await asyncio.to_thread(self.close)

    def __repr__(self) -> str:
        state = f"at {self.host}:{self.port}" if self._ready else "not started"
        return f"<pgiam.sandbox.Sandbox {self.flavor} {state}>"

    # --- where it is ----------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        return int(self._told("port"))

    @property
    def token_host(self) -> str:
        """The AWS-shaped endpoint name that auth tokens are signed for, with `port` (RDS)."""
        return str(self._told("token_host"))

    @property
    def ca_file(self) -> str:
        """The certificate to trust, and no other."""
        return str(self._told("ca_file"))

    @property
    def env(self) -> dict[str, str]:
        """The variables that lead a client here. `environment()` has the whole environment for a program."""
        return dict(self._told("env"))

    @property
    def postgres_version(self) -> str:
        return str(self._told("postgres_version"))

    def password_of(self, user: str) -> str:
        """The password of a role that is no IAM user: 'legacy', or the superuser 'postgres' (RDS)."""
        passwords: dict[str, str] = self._told("passwords")
        if user not in passwords:
            raise SandboxError(f"{user!r} has no password", hint=f"These have: {', '.join(passwords) or 'none'}.")
        return passwords[user]

    def url(self, driver: str = "", user: str | None = None) -> str:
        """A database URL without a password.

        driver: "" for libpq and asyncpg's own DSN; for SQLAlchemy "psycopg", "psycopg2", "asyncpg" or "pg8000".
        asyncpg and pg8000 under SQLAlchemy take TLS as `connect_args`, not from the URL.
        """
        known = ("", "psycopg", "psycopg_async", "psycopg2", "asyncpg", "pg8000")
        name = driver.removeprefix("postgresql+")
        if name not in known:
            raise SandboxError(f"no driver {driver!r}", hint=f"There are: {', '.join(known[1:])}.")
        scheme = f"postgresql+{name}" if name else "postgresql"
        url = f"{scheme}://{quote(user or self.user, safe='')}@{self.host}:{self.port}/{self.database}"
        if name in ("asyncpg", "pg8000"):
            return url
        return f"{url}?{urlencode({'sslmode': 'verify-full', 'sslrootcert': self.ca_file})}"

    def environment(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """`base` (the present environment) with every AWS and PostgreSQL variable replaced by the sandbox's."""
        own = os.environ if base is None else base
        return {name: value for name, value in own.items() if not _foreign(name)} | self.env

    @contextlib.contextmanager
    def activated(self) -> Iterator[Self]:
        """Have this process itself see the sandbox's environment, for the length of a `with`."""
        before = dict(os.environ)
        try:
            os.environ.clear()
            os.environ.update(self.environment(before))
            yield self
        finally:
            os.environ.clear()
            os.environ.update(before)

    # --- what it can do ---------------------------------------------------------------------------------

    def issue_identity_token(
        self,
        platform: str = "vercel",
        *,
        audience: str | list[str] | None = None,
        subject: str | None = None,
        lifetime: float | None = None,
        issuer: str | None = None,
        claims: dict[str, Any] | None = None,
    ) -> str:
        """An OIDC identity token in the shape of a platform's, signed by the sandbox's issuer."""
        answer = self.control(
            "aws/issue_identity_token",
            platform=platform,
            audience=audience,
            subject=subject,
            lifetime=lifetime,
            issuer=issuer,
            claims=claims,
        )
        return str(answer["token"])

    def platform_env(self, platform: str, role: str = "app", *, lifetime: float | None = None) -> dict[str, str]:
        """The environment of a workload on a platform, such as "github_actions", with the database's variables."""
        answer = self.control("aws/environment", platform=platform, role=role, lifetime=lifetime)
        mine = {name: value for name, value in self.env.items() if name.startswith("PG")}
        return {**mine, **answer["environment"]}

    def issue_credentials(
        self, role: str = "app", *, lifetime: float = 3600.0, session_token_size: int | None = None
    ) -> dict[str, Any]:
        """Temporary credentials: `access_key`, `secret_key`, `session_token`, `expires_at`."""
        return self.control("issue_credentials", role=role, lifetime=lifetime, session_token_size=session_token_size)

    def add_role(self, name: str, **options: Any) -> str:
        """Add an IAM role; returns its ARN.

        Options: db_users, dsql_admin, platforms (whose identity tokens it trusts), trust, max_session, external_id.
        """
        return str(self.control("add_role", name=name, **options)["arn"])

    def add_user(self, name: str, **options: Any) -> dict[str, Any]:
        """Add an IAM user; returns its access key. Options: db_users, dsql_admin."""
        return self.control("add_user", name=name, **options)

    def sql(self, statement: str) -> list[list[str | None]]:
        """Run SQL as the superuser, past the gateway. For preparing and looking."""
        rows: list[list[str | None]] = self.control("sql", statement=statement)["rows"]
        return rows

    def stats(self) -> dict[str, Any]:
        """What has happened so far: connections, logins, refusals by reason, AWS calls."""
        return self.control("stats")

    def log(self) -> list[str]:
        """The last lines of the sandbox's log. They hold no secret."""
        return list(self.control("log")["lines"])

    def control(self, operation: str, /, **arguments: Any) -> dict[str, Any]:
        """One operation of the control port; a call of about a millisecond over loopback."""
        url = urlsplit(str(self._told("control_url")))
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=30)
        try:
            connection.request(
                "POST",
                f"/{operation}",
                json.dumps(arguments),
                {"Authorization": f"Bearer {self._told('control_token')}", "Content-Type": "application/json"},
            )
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        except (OSError, http.client.HTTPException) as error:
            raise SandboxError(
                f"the sandbox does not answer: {error}", hint="Has it been closed, or its process killed?"
            ) from error
        finally:
            connection.close()
        if response.status != 200:
            raise SandboxError(answer["error"], hint=answer.get("hint", ""))
        return answer

    # --- starting -----------------------------------------------------------------------------------------

    def _told(self, name: str) -> Any:
        if not self._ready:
            raise SandboxError("this sandbox has not been started", hint="Use it in a `with` block.")
        return self._ready[name]

    def _configure(self, process: subprocess.Popen[bytes]) -> None:
        configuration = {**self._configuration, "parent": os.getpid()}
        assert process.stdin is not None  # noqa: S101 - it was asked for
        with contextlib.suppress(BrokenPipeError):  # it died at once; why, is read next
            process.stdin.write(json.dumps(configuration).encode() + b"\n")
            process.stdin.flush()

    def _await_ready(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        line = b""
        deadline = time.monotonic() + self._start_timeout
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
                raise SandboxError(f"the sandbox was not ready after {self._start_timeout:.0f} s")
            part = os.read(process.stdout.fileno(), 65536)
            if not part:
                raise SandboxError("the sandbox ended while starting", hint=self._last_words(process))
            line += part
        told: dict[str, Any] = json.loads(line)
        if "error" in told:
            raise SandboxError(told["error"]["message"], hint=told["error"]["hint"])
        ready: dict[str, Any] = told["ready"]
        return ready

    def _last_words(self, process: subprocess.Popen[bytes]) -> str:
        process.wait(30)
        if self._stderr is None:
            return "See its log."
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        if lines and "No module named 'cryptography'" in lines[-1]:
            return "pip install 'pgiam[sandbox]'."
        return "It said: " + " / ".join(lines[-3:]) if lines else "It said nothing."


def _foreign(name: str) -> bool:
    return name.startswith(_FOREIGN) and not name.startswith(_KEPT)


def _server_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not _foreign(name)}
