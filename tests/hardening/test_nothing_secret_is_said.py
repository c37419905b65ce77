"""However much a program says, no secret of its run is in it: in no log, repr, traceback or dump, in no encoding."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgiam.sandbox import Sandbox

PROGRAM = Path(__file__).with_name("talkative.py")
# Of what the program could not name: each connection's auth token, and each identity token.
MARKS = ("X-Amz-Signature", "X-Amz-Security-Token", "eyJhbGciOi")
NAMED = ("SECRET", "TOKEN", "OIDC")


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with Sandbox("rds") as box:
        yield box


def leaks(text: str, secrets: set[str]) -> list[str]:
    """The secrets that are in the text, under any spelling that a program gives them by accident."""
    found = []
    for secret in secrets:
        plain = secret.encode()
        spellings = {
            secret,
            urllib.parse.quote(secret),
            urllib.parse.quote_plus(secret),
            urllib.parse.quote(secret, ""),
        }
        spellings |= {base64.b64encode(plain).decode(), base64.urlsafe_b64encode(plain).decode(), plain.hex()}
        # What is cut short has leaked as well.
        spellings |= {secret[:24], secret[-24:]}
        found += [secret for spelling in spellings if spelling in text]
    return found


@pytest.mark.parametrize("platform", ["vercel", "eks", "ecs"])
def test_nothing_secret_is_said(box: Sandbox, platform: str, tmp_path: Path) -> None:
    given = {**box.environment(), **box.platform_env(platform)}
    secrets_file = tmp_path / "secrets.json"
    arguments = [str(secrets_file), box.host, str(box.port), box.user, box.add_role("of-nobody")]
    arguments.append(box.issue_identity_token(platform if platform != "ecs" else "github_actions"))
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "always", str(PROGRAM), *arguments],
        env={**given, "RUST_LOG": "trace", "RUST_BACKTRACE": "full", "PYTHONASYNCIODEBUG": "1"},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    secrets = {*json.loads(secrets_file.read_text(encoding="utf-8")), arguments[-1]}
    assert len(secrets) == 4
    for name, value in given.items():
        if any(part in name for part in NAMED) and not name.startswith("PGIAM_") and "://" not in value:
            path = Path(value)
            secrets.add(path.read_text(encoding="utf-8").strip() if value.startswith("/") and path.is_file() else value)
    assert leaks(said, secrets) == []
    assert leaks("\n".join(box.log()), secrets) == []
    assert [line for line in said.splitlines() if any(mark in line for mark in MARKS)] == []
    # It did log in and was refused, by each of them, and it said so.
    assert said.count("Row ('app',)") >= 4  # both engines, each to stdout and to the program's logging
    assert said.count("<psycopg.Connection [IDLE]") > 1
    for driver in (
        "psycopg.OperationalError",
        "psycopg2.OperationalError",
        "pg8000.exceptions.",
        "asyncpg.exceptions.",
    ):
        assert f"\n{driver}" in said
    assert "\ncode AccessDenied" in said


@pytest.mark.parametrize(
    "said",
    [
        "secret is wJalr/XUtnFEMI+K7MDENGbPxRfiCYEXAMPLE!",
        "b'd0phbHIvWFV0bkZFTUkrSzdNREVOR2JQeFJmaUNZRVhBTVBMRQ=='",
        "?token=wJalr%2FXUtnFEMI%2BK7MDENGbPxRfiCYEXAMPLE",
        "wJalr/XUtnFEMI+K7MDENGbP... (cut)",
    ],
)
def test_a_leak_is_found(said: str) -> None:
    assert leaks(said, {"wJalr/XUtnFEMI+K7MDENGbPxRfiCYEXAMPLE", "another"}) != []
    assert leaks(said, {"another"}) == []
