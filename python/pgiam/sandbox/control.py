"""The control port: JSON over HTTP on loopback, for the Python API and for anything else that can POST.

`POST /<operation>` with a JSON object as the arguments and `Authorization: Bearer <token>`. The token keeps
other users of the machine out; the box hands it to whoever started it.
"""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from . import http, iam
from .aws_control import ControlError
from .database import QueryError
from .errors import SandboxError

if TYPE_CHECKING:
    from .server import Assembly

log = logging.getLogger("pgiam.sandbox.control")

Json = dict[str, Any]
Operation = Callable[..., Awaitable[Json]]
AWS = "aws/"


class ControlPort:
    """Each public coroutine of `Operations` is an operation; those under `aws/` belong to the AWS half."""

    def __init__(self, assembly: Assembly, token: str) -> None:
        self._operations = Operations(assembly)
        self._assembly = assembly
        self._token = token
        self._server: http.Server

    async def start(self) -> str:
        self._server = await http.serve(self._handle, idle_timeout=None)
        return f"http://127.0.0.1:{self._server.port}"

    async def close(self) -> None:
        await self._server.close()

    async def _handle(self, request: http.Request) -> http.Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not hmac.compare_digest(token.encode(), self._token.encode()):
            return _answer(401, {"error": "the control port wants 'Authorization: Bearer <token>'"})
        if request.method != "POST":
            return _answer(405, {"error": "POST to /<operation>, with the arguments as a JSON object"})
        try:
            arguments = json.loads(request.body or b"{}")
            if not isinstance(arguments, dict):
                raise ControlError("the arguments must be a JSON object")
            return _answer(200, await self._perform(request.path.strip("/"), arguments))
        except (SandboxError, ControlError, QueryError, json.JSONDecodeError) as error:
            hint = error.hint if isinstance(error, SandboxError) else ""
            return _answer(400, {"error": str(error), "hint": hint})

    async def _perform(self, operation: str, arguments: Json) -> Json:
        if operation.startswith(AWS):
            return await self._assembly.aws.control(operation[len(AWS) :], arguments)
        if operation not in OPERATIONS:
            raise SandboxError(f"no operation {operation!r}", hint=f"There are: {', '.join(OPERATIONS)}, aws/*.")
        method: Operation = getattr(self._operations, operation)
        try:
            return await method(**arguments)
        except (TypeError, LookupError) as error:
            raise SandboxError(f"{operation}: {error}") from error


class Operations:
    """What can be asked of the database half, of the clock and of the account."""

    def __init__(self, assembly: Assembly) -> None:
        self._all = assembly

    # --- faults -----------------------------------------------------------------------------------

    async def fault(self, *, name: str, value: Any = None, count: int | None = None) -> Json:
        if not self._all.has_gateway:
            raise SandboxError(f"the fault {name} needs the gateway", hint="Leave out authentication='pam'.")
        fault = self._all.faults.set(name, value, count)
        if name == "refuse_connections":
            self._all.gateway.stop_listening()
        return {"name": fault.name}

    async def clear_faults(self, *, name: str | None = None) -> Json:
        """One fault of the database, or every fault there is (the clock's skew too)."""
        self._all.faults.clear(name)
        if self._all.has_gateway and "refuse_connections" not in self._all.faults.active:
            self._all.gateway.listen()
        if name is None:
            self._all.aws.faults.clear()
            self._all.clock.offset = 0.0
        return {}

    async def skew_clock(self, *, seconds: float) -> Json:
        self._all.clock.offset = float(seconds)
        return {}

    async def kill_sessions(self, *, abruptly: bool = False) -> Json:
        return {"killed": await self._all.gateway.kill_sessions(abruptly=abruptly)}

    async def rds_iam(self, *, user: str, granted: bool) -> Json:
        """GRANT or REVOKE rds_iam, in the database itself."""
        verb, link = ("GRANT", "TO") if granted else ("REVOKE", "FROM")
        await self._all.gateway.administer(f'{verb} rds_iam {link} "{user.replace(chr(34), chr(34) * 2)}"')
        return {}

    # --- account ----------------------------------------------------------------------------------

    async def add_role(
        self,
        *,
        name: str,
        db_users: list[str] | None = None,
        dsql_admin: bool = False,
        platforms: list[str] | None = None,
        trust: list[Json] | None = None,
        max_session: int = 3600,
        external_id: str | None = None,
    ) -> Json:
        rules = [self._all.aws.trust(platform) for platform in platforms or []]
        rules += [iam.TrustRule(**rule) for rule in trust or []]
        self._all.directory.add_role(
            name,
            trust=rules,
            max_session=max_session,
            db_users=db_users or [],
            dsql_admin=dsql_admin,
            external_id=external_id,
        )
        return {"arn": self._all.directory.role_arn(name)}

    async def add_user(self, *, name: str, db_users: list[str] | None = None, dsql_admin: bool = False) -> Json:
        return _spoken(self._all.directory.add_user(name, db_users=db_users or [], dsql_admin=dsql_admin))

    async def issue_credentials(
        self,
        *,
        role: str,
        session_name: str = "sandbox",
        lifetime: float = 3600.0,
        session_token_size: int | None = None,
    ) -> Json:
        now = self._all.clock.now()
        issued = self._all.directory.issue(role, session_name, lifetime, now, session_token_size=session_token_size)
        return _spoken(issued)

    async def rotate_key(self, *, user: str) -> Json:
        return _spoken(self._all.directory.rotate(user))

    async def disable_key(self, *, access_key: str, disabled: bool = True) -> Json:
        (self._all.directory.disable if disabled else self._all.directory.enable)(access_key)
        return {}

    # --- looking ----------------------------------------------------------------------------------

    async def stats(self) -> Json:
        figures = self._all.gateway.figures
        return {
            "connections": figures.connections,
            "accepted": figures.accepted,
            "refused": dict(figures.refused),
            "tokens": figures.tokens,
            "cancels": figures.cancels,
            "sessions": len(self._all.gateway.sessions),
            "peak_sessions": figures.peak_sessions,
            "faults": dict(self._all.faults.happened),
            "aws": await self._all.aws.control("stats", {}),
        }

    async def log(self) -> Json:
        return {"lines": list(self._all.lines)}

    async def sql(self, *, statement: str) -> Json:
        """Run SQL as the sandbox's superuser, past the gateway."""
        return {"rows": await self._all.gateway.administer(statement)}


OPERATIONS = tuple(name for name in vars(Operations) if not name.startswith("_"))


def _spoken(credential: iam.Credential) -> Json:
    return {
        "access_key": credential.access_key,
        "secret_key": credential.secret_key,
        "session_token": credential.session_token,
        "expires_at": credential.expires_at,
    }


def _answer(status: int, body: Json) -> http.Response:
    return http.Response(status, json.dumps(body).encode(), {"content-type": "application/json"})
