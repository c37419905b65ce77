"""Vercel's token comes with the request. Each case is a process of its own: what one has seen stays with it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aws_box import AwsBox
from identity.workload import run_python

WEB_IDENTITY = "sts:AssumeRoleWithWebIdentity"
ASGI = """
import asyncio, os, pgiam
from pgiam.oidc import VercelMiddleware

client = pgiam.Client()

async def app(scope, receive, send):
    print((await client.whoami_async()).arn.rpartition("/")[2])

async def request(token):
    scope = {"type": "http", "headers": [(b"host", b"x"), (b"X-Vercel-Oidc-Token", token.encode())]}
    await VercelMiddleware(app)(scope, None, None)
"""


@pytest.fixture
def deployed(on: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    on("vercel")
    monkeypatch.delenv("VERCEL_OIDC_TOKEN")


@pytest.mark.usefixtures("deployed")
def test_asgi(box: AwsBox) -> None:
    token = box.token("vercel")
    assert run_python(ASGI + "asyncio.run(request(os.environ['TOKEN']))", {"TOKEN": token}) == "pgiam-shop"


@pytest.mark.usefixtures("deployed")
def test_wsgi(box: AwsBox) -> None:
    code = """
    import os, pgiam
    from pgiam.oidc import VercelWsgiMiddleware

    client = pgiam.Client()

    def app(environ, start_response):
        return [client.whoami().arn.rpartition("/")[2].encode()]

    print(VercelWsgiMiddleware(app)({"HTTP_X_VERCEL_OIDC_TOKEN": os.environ["TOKEN"]}, None)[0].decode())
    """
    assert run_python(code, {"TOKEN": box.token("vercel")}) == "pgiam-shop"


@pytest.mark.usefixtures("deployed")
def test_without_a_request_the_freshest_token_serves(box: AwsBox) -> None:
    tokens = [box.token("vercel", lifetime=lifetime) for lifetime in (3600, 5400, 60)]
    code = (
        ASGI
        + """
for name in ("A", "B", "C"):
    asyncio.run(request(os.environ[name]))
import threading
# A pool's worker: no request, no context.
worker = threading.Thread(target=lambda: print(pgiam.oidc.vercel().fetch() == os.environ["B"]))
worker.start()
worker.join()
"""
    )
    environment = dict(zip("ABC", tokens, strict=True))
    assert run_python(code, environment).splitlines()[-1] == "True"
    # One exchange served all three requests.
    assert box.calls(WEB_IDENTITY) == 1


@pytest.mark.usefixtures("deployed")
def test_the_package_of_vercel_is_read(box: AwsBox) -> None:
    pytest.importorskip("vercel.oidc", reason="needs the package `vercel`")
    # Five minutes left: the package's own getter refuses such a token, although it is valid.
    code = """
    import contextvars, os, pgiam
    from vercel.headers import set_headers

    client = pgiam.Client()

    def request():
        set_headers({"X-Vercel-OIDC-Token": os.environ["TOKEN"]})
        return client.whoami()

    print(contextvars.copy_context().run(request).arn.rpartition("/")[2])
    """
    assert run_python(code, {"TOKEN": box.token("vercel", lifetime=300)}) == "pgiam-shop"


@pytest.mark.usefixtures("deployed")
def test_the_package_of_vercel_remembers(box: AwsBox) -> None:
    pytest.importorskip("vercel.oidc", reason="needs the package `vercel`")
    code = """
    import contextvars, os, pgiam, vercel.oidc
    from vercel.headers import set_headers

    def request():
        set_headers({"x-vercel-oidc-token": os.environ["TOKEN"]})
        vercel.oidc.get_vercel_oidc_token_sync()

    contextvars.copy_context().run(request)
    print(pgiam.Client().whoami().arn.rpartition("/")[2])
    """
    assert run_python(code, {"TOKEN": box.token("vercel")}) == "pgiam-shop"


def test_off_vercel_a_header_is_anybodys(box: AwsBox, role_arn: str) -> None:
    token = box.token("vercel", lifetime=9_000)
    code = ASGI.replace('    print((await client.whoami_async()).arn.rpartition("/")[2])', "    pass") + (
        "asyncio.run(request(os.environ['TOKEN']))\n"
        "try:\n    pgiam.oidc.vercel().fetch()\n"
        "except pgiam.IdentityTokenError as error:\n    print(dict(error.attempts)['x-vercel-oidc-token'])\n"
    )
    assert run_python(code, {"TOKEN": token}) == "no request has brought one"


@pytest.mark.usefixtures("deployed")
def test_expired_tokens_are_passed_over_and_said(box: AwsBox) -> None:
    code = """
    import pgiam, time
    from pgiam.oidc import VercelWsgiMiddleware
    import os

    def saw(token):
        VercelWsgiMiddleware(lambda environ, start: [])({"HTTP_X_VERCEL_OIDC_TOKEN": token}, None)

    saw("no-token-at-all")
    saw(os.environ["SHORT"])
    end = pgiam.oidc.decode(os.environ["SHORT"])["exp"]
    time.sleep(max(0, end - time.time()) + 0.1)
    client = pgiam.Client()
    for _ in range(2):
        try:
            client.credentials()
        except pgiam.IdentityTokenError as error:
            print(*(f"{source}: {outcome.split()[0]}" for source, outcome in error.attempts), sep=", ")
            assert "eyJ" not in str(error) and "VercelMiddleware" in error.hint
    # A request brings a new one, and all is well.
    saw(os.environ["FRESH"])
    client.invalidate()
    print(client.whoami().arn.rpartition("/")[2])
    """
    environment = {
        "SHORT": box.token("vercel", lifetime=1),
        "VERCEL_OIDC_TOKEN": box.token("vercel", lifetime=1),
        "FRESH": box.token("vercel"),
    }
    passed_over = "x-vercel-oidc-token: expired, VERCEL_OIDC_TOKEN_FILE: not, VERCEL_OIDC_TOKEN: expired"
    assert run_python(code, environment).splitlines() == [passed_over, passed_over, "pgiam-shop"]


def test_a_file_before_the_variable(box: AwsBox, on: Callable[..., dict[str, str]]) -> None:
    on("vercel_file")
    code = "import os, pgiam; print(pgiam.oidc.vercel().fetch() == open(os.environ['VERCEL_OIDC_TOKEN_FILE']).read())"
    assert run_python(code, {"VERCEL_OIDC_TOKEN": box.token("vercel")}) == "True"
