"""Where containers get their credentials: the ECS agent and the EKS Pod Identity agent.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from typing import Final

from pgiam.sandbox import sigv4, sts_identity
from pgiam.sandbox.clock import Clock
from pgiam.sandbox.http import Request, Response
from pgiam.sandbox.iam import Credential, Directory
from pgiam.sandbox.machine_credentials import MachineCredentials
from pgiam.sandbox.oidc_issuer import OidcIssuer
from pgiam.sandbox.sts_protocol import StsError, timestamp

RELATIVE_PREFIX: Final = "/v2/credentials/"
FULL_PREFIX: Final = "/ecs/credentials/"
POD_IDENTITY_PATH: Final = "/v1/credentials"
TASK: Final = "2c3d4e5f6a7b8c9d0e1f2a3b4c5d6e7f"


class EcsAgent:
    """Credentials of a task's role, behind an unguessable path, and behind a token under the full URI."""

    def __init__(self, directory: Directory, credentials: MachineCredentials) -> None:
        self.authorization = f"Bearer {secrets.token_urlsafe(32)}"
        self._directory = directory
        self._credentials = credentials
        self._tasks: dict[str, str] = {}

    def place(self, role: str) -> str:
        """Start a task with a role; returns the last part of its path."""
        task = next((task for task, name in self._tasks.items() if name == role), None)
        if task is None:
            task = secrets.token_hex(16)
            self._tasks[task] = role
        return task

    def answer(self, request: Request) -> Response:
        if request.method != "GET":
            return Response(405)
        if request.path.startswith(FULL_PREFIX):
            if not sigv4.equal(request.headers.get("authorization", ""), self.authorization):
                return refused(401, "Unauthorized", "the authorization token is missing or wrong")
            task = request.path[len(FULL_PREFIX) :]
        else:
            task = request.path[len(RELATIVE_PREFIX) :]
        role = self._tasks.get(task)
        if role is None or self._directory.role(role) is None:
            return refused(404, "NoSuchTask", "there are no credentials at this path")
        arn = self._directory.role_arn(role)
        return handed_out(self._credentials.of(role, TASK), {"RoleArn": arn})


class PodIdentityAgent:
    """Trades the service account's projected token for the credentials of the role associated with it."""

    def __init__(
        self,
        directory: Directory,
        clock: Clock,
        credentials: MachineCredentials,
        issuer: OidcIssuer,
    ) -> None:
        shape = issuer.shape("eks_pod_identity")
        self.subject = shape.subject
        self._directory = directory
        self._clock = clock
        self._credentials = credentials
        self._associations: dict[str, str] = {}
        jwks: Callable[[], dict[str, object]] = lambda: issuer.jwks(shape.issuer)  # noqa: E731
        self._provider = sts_identity.Provider(shape.issuer, {shape.audience}, jwks)

    def associate(self, role: str, subject: str | None = None) -> None:
        self._associations[subject or self.subject] = role

    def answer(self, request: Request) -> Response:
        if request.method != "GET":
            return Response(405)
        token = request.headers.get("authorization")
        if token is None:
            return refused(400, "InvalidRequestException", "the Authorization header is missing")
        try:
            identity = sts_identity.verify(token, [self._provider], self._clock.now())
        except StsError as error:
            code = "ExpiredTokenException" if error.code == "ExpiredTokenException" else "InvalidTokenException"
            return refused(400, code, error.message)
        role = self._associations.get(identity.subject)
        if role is None or self._directory.role(role) is None:
            return refused(404, "ResourceNotFoundException", "no role is associated with this service account")
        session_name = f"eks-{identity.subject.rpartition(':')[2]}"[:64]
        return handed_out(self._credentials.of(role, session_name), {"AccountId": self._directory.account})


def handed_out(credential: Credential, more: dict[str, str]) -> Response:
    document = {
        "AccessKeyId": credential.access_key,
        "SecretAccessKey": credential.secret_key,
        "Token": credential.session_token,
        "Expiration": timestamp(credential.expires_at or 0.0),
        **more,
    }
    return Response(200, json.dumps(document).encode(), {"Content-Type": "application/json"})


def refused(status: int, code: str, message: str) -> Response:
    return Response(
        status, json.dumps({"code": code, "message": message}).encode(), {"Content-Type": "application/json"}
    )
