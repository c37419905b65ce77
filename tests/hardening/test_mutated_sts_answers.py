"""Whatever answers in STS's place: credentials or a typed error that shows no secret and no control character."""

from __future__ import annotations

import http.server
import random
import threading
import traceback
from collections.abc import Iterator

import pytest

import pgiam
from hardening.mutation import corpus, mutations

IDENTITY_TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhcHAiLCJleHAiOjQwNzA5MDg4MDB9.c2lnbmF0dXJl"
ROLE = "arn:aws:iam::123456789012:role/app"
HOST = "shop.cluster-abc123.us-east-1.rds.amazonaws.com"
SECRETS = ("wJalrXUtnFEMI", "IQoJb3JpZ2luX2Vj", IDENTITY_TOKEN[20:50])
DATES = (
    "Fri, 02 Jan 2026 03:04:05 GMT",
    "",
    "now",
    "Fri, 99 Foo 99999 99:99:99 GMT",
    "Thu, 01 Jan 1970 00:00:00 GMT",
    "9" * 300,
)


class Impostor(http.server.ThreadingHTTPServer):
    """Answers every request with what it was told last."""

    status = 200
    body = b""
    headers: tuple[tuple[str, str], ...] = ()
    requests = 0


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Impostor

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests += 1
        self.send_response_only(self.server.status)
        for name, value in self.server.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def impostor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Impostor]:
    server = Impostor(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # an answer by chance worth retrying is not waited for
    yield server
    server.shutdown()
    serving.join()
    server.server_close()


def test_the_corpus_reaches_both_outcomes(impostor: Impostor) -> None:
    outcomes = []
    for impostor.status in (200, 400):
        for impostor.body in corpus("sts"):
            outcomes.append(type(outcome()).__name__)
    assert outcomes.count("Credentials") == 1
    assert {"ExchangeError", "TransportError"} <= set(outcomes)
    assert impostor.requests == len(outcomes)


def test_mutated_answers(impostor: Impostor) -> None:
    chance = random.Random(1)
    for number, impostor.body in enumerate(mutations("sts", 1500)):
        impostor.status = chance.choice((200, 200, 400, 403, 404))
        impostor.headers = (
            ("Date", chance.choice(DATES)),
            ("x-amzn-RequestId", chance.choice(("1", "\xe9", "x" * 500))),
        )
        result = outcome()
        if isinstance(result, pgiam.Credentials):
            assert result.access_key, number
            assert result.secret_key, number
            assert result.expires_at is not None, number
            assert not any(secret in repr(result) for secret in SECRETS), number
            continue
        told = "".join(traceback.format_exception(result)) + repr(result) + result.hint
        assert result.hint, number
        assert not any(secret in told for secret in SECRETS), (number, told)
        for text in (
            str(result),
            result.hint,
            str(getattr(result, "code", "")),
            str(getattr(result, "request_id", "")),
        ):
            assert len(text) < 1200, (number, text)
            assert text.isprintable(), (number, text)


def outcome() -> pgiam.Credentials | pgiam.Error:
    try:
        credentials = pgiam.exchange_oidc_token(IDENTITY_TOKEN, role_arn=ROLE)
    except pgiam.Error as error:
        return error
    try:
        pgiam.Client(credentials).generate_auth_token(host=HOST, user="app")
    except pgiam.Error as error:  # they have expired by now, or cannot sign
        return error
    return credentials
