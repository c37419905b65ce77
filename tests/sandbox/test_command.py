"""`pgiam sandbox`, as a person or a script at a terminal uses it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from leftovers import assert_nothing_left

INSIDE = """
import os, boto3, psycopg
token = boto3.client("rds").generate_db_auth_token(
    os.environ["PGIAM_TOKEN_HOST"], int(os.environ["PGPORT"]), os.environ["PGUSER"])
with psycopg.connect(password=token) as connection:
    print(connection.execute("SELECT current_user").fetchone()[0], boto3.client("sts").get_caller_identity()["Arn"])
print(os.environ.get("AWS_PROFILE"), os.environ.get("PGPASSWORD"))
"""


def start(*arguments: str, **extra: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **extra}
    return subprocess.Popen(
        [sys.executable, "-m", "pgiam.sandbox", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    output, errors = process.communicate(timeout=90)
    return process.returncode, output, errors


def test_a_command_runs_inside() -> None:
    status, output, errors = finish(
        start("--", sys.executable, "-c", INSIDE, AWS_PROFILE="production", PGPASSWORD="the user's own")
    )
    assert status == 0, errors
    assert output.splitlines() == ["app arn:aws:sts::123456789012:assumed-role/app/sandbox", "None None"]


@pytest.mark.parametrize(
    ("code", "status"), [("import sys; sys.exit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 137)]
)
def test_the_command_s_status_is_ours(code: str, status: int) -> None:
    assert finish(start("--", sys.executable, "-c", code))[0] == status


def test_a_command_that_does_not_exist() -> None:
    status, _, errors = finish(start("--", "no-such-program"))
    assert status == 127
    assert "no-such-program" in errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_stays_until_told_to_end(number: signal.Signals) -> None:
    process = start("--json", "--flavor", "dsql")
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    assert told["PGUSER"] == "admin"
    process.send_signal(number)
    status, _, errors = finish(process)
    assert status == 0, errors
    assert not errors
    assert_nothing_left(str(Path(told["PGSSLROOTCERT"]).parent), int(told["PGPORT"]))


def test_exports_that_a_shell_can_take() -> None:
    process = start("--platform", "vercel")
    assert process.stdout is not None
    lines = []
    while not (line := process.stdout.readline()).startswith("#"):
        assert line, "it ended early"
        lines.append(line)
    shell = subprocess.run(
        ["sh", "-c", "".join(lines) + 'echo "$PGHOST $AWS_ROLE_ARN"'], capture_output=True, text=True, check=True
    )
    assert shell.stdout == "localhost arn:aws:iam::123456789012:role/app\n"
    process.terminate()
    assert finish(process)[0] == 0


def test_sigterm_reaches_the_command_inside() -> None:
    code = (
        "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(3)); print('up', flush=True); time.sleep(60)"
    )
    process = start("--", sys.executable, "-c", code)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.terminate()
    assert finish(process)[0] == 3


@pytest.mark.parametrize("arguments", [["--flavor", "mysql"], ["--"], ["--port", "x"]])
def test_wrong_usage(arguments: list[str]) -> None:
    status, _, errors = finish(start(*arguments))
    assert status == 2
    assert "usage: pgiam sandbox" in errors


def test_a_start_that_fails_says_why() -> None:
    status, _, errors = finish(start("--postgres", "/nowhere"))
    assert status == 1
    assert errors.startswith("pgiam sandbox: /nowhere does not hold the programs")
