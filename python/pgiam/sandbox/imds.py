"""The EC2 instance metadata service, version 2 only.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
"""

from __future__ import annotations

import json
import secrets
from typing import Final

from pgiam.sandbox.clock import Clock
from pgiam.sandbox.http import Request, Response
from pgiam.sandbox.iam import Directory
from pgiam.sandbox.machine_credentials import MachineCredentials
from pgiam.sandbox.sts_protocol import timestamp

TOKEN_PATH: Final = "/latest/api/token"
CREDENTIALS_PATH: Final = "/latest/meta-data/iam/security-credentials/"
TTL_HEADER: Final = "x-aws-ec2-metadata-token-ttl-seconds"
TOKEN_HEADER: Final = "x-aws-ec2-metadata-token"
MAX_TTL: Final = 21600
INSTANCE_ID: Final = "i-0a1b2c3d4e5f67890"


class Imds:
    """One instance. Without a role it answers 404 where the role would be, as an instance without profile does."""

    def __init__(self, directory: Directory, clock: Clock, credentials: MachineCredentials, region: str) -> None:
        self.role: str | None = None
        self._directory = directory
        self._clock = clock
        self._credentials = credentials
        self._region = region
        self._sessions: dict[str, float] = {}

    def operation(self, request: Request) -> str:
        if request.path == TOKEN_PATH:
            return "token"
        return "credentials" if request.path.startswith(CREDENTIALS_PATH) else "metadata"

    def answer(self, request: Request) -> Response:
        if request.path == TOKEN_PATH:
            return self._open_session(request)
        if request.method != "GET":
            return Response(405)
        if self._sessions.get(request.headers.get(TOKEN_HEADER, ""), 0.0) <= self._clock.now():
            return Response(401, b"Unauthorized", {"Content-Type": "text/plain"})
        if request.path in (CREDENTIALS_PATH, CREDENTIALS_PATH.rstrip("/")):
            return text(self.role) if self.role is not None else not_found()
        if request.path.startswith(CREDENTIALS_PATH):
            return self._role_credentials(request.path[len(CREDENTIALS_PATH) :])
        return self._metadata(request.path)

    def _open_session(self, request: Request) -> Response:
        ttl = request.headers.get(TTL_HEADER, "")
        # A request that came through a proxy is not from this machine.
        if "x-forwarded-for" in request.headers:
            return Response(403)
        if request.method != "PUT":
            return Response(405)
        if not (ttl.isascii() and ttl.isdigit() and len(ttl) <= 5 and 1 <= int(ttl) <= MAX_TTL):
            return Response(400)
        now = self._clock.now()
        self._sessions = {token: end for token, end in self._sessions.items() if end > now}
        token = secrets.token_urlsafe(42)
        self._sessions[token] = now + int(ttl)
        return Response(
            200, token.encode(), {"Content-Type": "text/plain", "X-Aws-Ec2-Metadata-Token-Ttl-Seconds": ttl}
        )

    def _role_credentials(self, name: str) -> Response:
        if name != self.role or self._directory.role(name) is None:
            return not_found()
        credential = self._credentials.of(name, INSTANCE_ID)
        document = {
            "Code": "Success",
            "LastUpdated": timestamp(int(self._clock.now())),
            "Type": "AWS-HMAC",
            "AccessKeyId": credential.access_key,
            "SecretAccessKey": credential.secret_key,
            "Token": credential.session_token,
            "Expiration": timestamp(credential.expires_at or 0.0),
        }
        return Response(200, json.dumps(document, indent=2).encode(), {"Content-Type": "text/plain"})

    def _metadata(self, path: str) -> Response:
        identity = {
            "accountId": self._directory.account,
            "architecture": "x86_64",
            "availabilityZone": f"{self._region}a",
            "instanceId": INSTANCE_ID,
            "instanceType": "t3.micro",
            "region": self._region,
            "version": "2017-09-30",
        }
        known = {
            "/latest/meta-data/instance-id": INSTANCE_ID,
            "/latest/meta-data/placement/region": self._region,
            "/latest/meta-data/placement/availability-zone": f"{self._region}a",
            "/latest/meta-data/placement/availability-zone/": f"{self._region}a",
            "/latest/meta-data/services/partition": self._directory.partition,
            "/latest/dynamic/instance-identity/document": json.dumps(identity, indent=2),
        }
        return text(known[path]) if path in known else not_found()


def text(body: str) -> Response:
    return Response(200, body.encode(), {"Content-Type": "text/plain"})


def not_found() -> Response:
    return Response(404, b"Not Found", {"Content-Type": "text/plain"})
