"""The AWS half of the sandbox on a thread of its own, for tests that drive it with blocking clients."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import urllib.parse
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar, final

import boto3
import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from pgiam.sandbox.aws import AwsServices
from pgiam.sandbox.aws_faults import AwsFaults
from pgiam.sandbox.clock import Clock
from pgiam.sandbox.iam import Credential, Directory

T = TypeVar("T")
REGION = "eu-west-1"
WAIT = 30.0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@final
class AwsBox:
    def __init__(self, **options: Any) -> None:
        self.directory = Directory()
        self.clock = Clock()
        self.faults = AwsFaults()
        self.services = AwsServices(self.directory, self.clock, self.faults, REGION, **options)
        self.lost: list[str] = []
        self._session = boto3.Session(botocore_session=botocore.session.Session())
        self._session_lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda _, context: self.lost.append(repr(context)))
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> AwsBox:
        self._thread.start()
        self.common = self.run(self.services.start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run(self.services.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        assert self.lost == []

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(WAIT)

    def control(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        result = self.run(self.services.control(name, json.loads(json.dumps(arguments))))
        return dict(json.loads(json.dumps(result)))

    def token(self, platform: str, **arguments: Any) -> str:
        return str(self.control("issue_identity_token", platform=platform, **arguments)["token"])

    @property
    def sts_url(self) -> str:
        return self.common["AWS_ENDPOINT_URL_STS"]

    @property
    def platform_url(self) -> str:
        return self.services.environments.platform_url

    def calls(self, name: str) -> int:
        return int(self.control("stats")["calls"].get(name, 0))

    def sts(self, credential: Credential | None = None, *, url: str | None = None, region: str = REGION) -> Any:
        """A boto3 client: signing with the credential, or not at all; without retries."""
        signing: dict[str, Any] = {"signature_version": UNSIGNED} if credential is None else {}
        keys = {
            "aws_access_key_id": credential.access_key if credential else None,
            "aws_secret_access_key": credential.secret_key if credential else None,
            "aws_session_token": credential.session_token if credential else None,
        }
        config = Config(retries={"total_max_attempts": 1}, connect_timeout=WAIT, read_timeout=WAIT, **signing)
        # Clients may be shared by threads; the session that makes them may not.
        with self._session_lock:
            return self._session.client(
                "sts", region_name=region, endpoint_url=url or self.sts_url, config=config, **keys
            )

    def exchange(self, token: str, role: str = "app", **more: Any) -> Any:
        given = {"RoleArn": self.directory.role_arn(role), "RoleSessionName": "test", "WebIdentityToken": token, **more}
        return self.sts().assume_role_with_web_identity(**given)

    def exchange_error(self, token: str, role: str = "app", **more: Any) -> str:
        try:
            self.exchange(token, role, **more)
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return ""


def call(
    url: str, *, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> Answer:
    """One request with nothing between the test and the wire."""
    parts = urllib.parse.urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=WAIT)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body, dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def form(url: str, parameters: Mapping[str, str]) -> Answer:
    """A POST of the query protocol, unsigned."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return call(url, method="POST", headers=headers, body=urllib.parse.urlencode(parameters).encode())
