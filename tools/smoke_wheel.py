"""Use the pgiam that is installed, with nothing beside it: for platforms where the test suite's databases do not run.

python -m venv v && v/bin/pip install --no-index dist/pgiam-*.whl && v/bin/python tools/smoke_wheel.py
"""

from __future__ import annotations

import asyncio
import http.server
import os
import platform
import ssl
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path

import pgiam
from pgiam._core import _sign_at

HOST = "shop.cluster-abc123.us-east-1.rds.amazonaws.com"
# botocore 1.44.5 gave this signature for the same host, user, key, session token and instant.
INSTANT = 1_767_323_045
SIGNATURE = "47d7fea1966ea6cb9c8ca4d8966242a7f46a3caed838687c4e07a2844e12d175"
ANSWER = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey>
<SessionToken>t</SessionToken><Expiration>2099-01-02T03:04:05Z</Expiration></Credentials>
</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""
IDENTITY_TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhcHAiLCJleHAiOjQwNzA5MDg4MDB9.c2lnbmF0dXJl"
exchanges: list[int] = []


class Sts(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        exchanges.append(len(self.rfile.read(int(self.headers["Content-Length"]))))
        body = ANSWER.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, _: str, *arguments: object) -> None:
        """Says nothing."""


def main() -> int:
    installed = Path(pgiam.__file__).parent
    expect(not installed.is_relative_to(Path(__file__).parent.parent / "python"), "this is the source tree")
    signs_as_botocore_does()
    reads_the_trust_file()
    errors_are_typed()
    with_sts(exchanges_once)
    if hasattr(os, "fork") and sys.platform == "linux":
        a_forked_child_signs()
    print(f"pgiam {pgiam.__version__} on {platform.python_implementation()} {sys.version.split()[0]}, ", end="")
    print(f"{platform.platform()}, {free_threaded()}: ok")
    return 0


def signs_as_botocore_does() -> None:
    keys = pgiam.Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "a/session+token=")
    token, ends = _sign_at(keys, INSTANT, host=HOST, user="Jürgen&co")
    expect(token.startswith(f"{HOST}:5432/?Action=connect&DBUser=J%C3%BCrgen%26co&"), "the token's start")
    expect(f"&X-Amz-Signature={SIGNATURE}" in token, "the signature")
    expect(ends == datetime.fromtimestamp(INSTANT + 900, timezone.utc), "the token's end")


def reads_the_trust_file() -> None:
    context = pgiam.ssl_context()
    expect(context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname, "full verification")
    expect(len(context.get_ca_certs()) > 50, "the authorities")


def errors_are_typed() -> None:
    try:
        pgiam.generate_auth_token(host="localhost", user="app")
    except pgiam.EndpointError as error:
        expect(bool(error.hint), "a hint")
    else:
        raise SystemExit("localhost is no AWS endpoint")


def exchanges_once() -> None:
    client = pgiam.Client(
        pgiam.WebIdentity(role_arn="arn:aws:iam::123456789012:role/app", identity_token=IDENTITY_TOKEN)
    )

    def sign(_: int) -> str:
        return client.generate_auth_token(host=HOST, user="app")

    async def sign_many() -> list[str]:
        return await asyncio.gather(*(client.generate_auth_token_async(host=HOST, user="app") for _ in range(32)))

    with ThreadPoolExecutor(16) as threads:
        tokens = list(threads.map(sign, range(320)))
    tokens += asyncio.run(sign_many())
    expect(all("ASIAEXAMPLE" in token for token in tokens), "whose credentials signed")
    expect(len(exchanges) == 1, f"one exchange, not {len(exchanges)}")


def a_forked_child_signs() -> None:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signs_as_botocore_does()
            status = 0
        finally:
            os._exit(status)
    expect(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "the child's token")


def with_sts(action: Callable[[], None]) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sts)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    with tempfile.TemporaryDirectory() as home:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
        os.environ.update(HOME=home, USERPROFILE=home, AWS_REGION="us-east-1", AWS_EC2_METADATA_DISABLED="true")
        os.environ["AWS_ENDPOINT_URL_STS"] = f"http://127.0.0.1:{server.server_port}"
        try:
            action()
        finally:
            server.shutdown()
            serving.join()
            server.server_close()


def free_threaded() -> str:
    enabled = getattr(sys, "_is_gil_enabled", lambda: True)()
    return "with the GIL" if enabled else "free-threaded"


def expect(condition: bool, what: str) -> None:
    if not condition:
        raise SystemExit(f"pgiam {pgiam.__version__}: not as expected: {what}")


if __name__ == "__main__":
    sys.exit(main())
