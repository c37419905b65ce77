"""`pgiam token`, `exec`, `env`, `whoami`: by subprocess, against the sandbox."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from cli.conftest import Run
from pgiam.sandbox import Sandbox

ARN = "arn:aws:sts::123456789012:assumed-role/app/sandbox"
psql = pytest.mark.skipif(shutil.which("psql") is None, reason="psql is not installed")
ASK = "import os, psycopg; print(psycopg.connect(dbname='postgres').execute('SELECT current_user').fetchone()[0])"


def test_token_is_a_password(box: Sandbox, pgiam_command: Run) -> None:
    done = pgiam_command("token")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    (token,) = done.stdout.splitlines()
    with psycopg.connect(box.url(), password=token) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_token_as_json(box: Sandbox, pgiam_command: Run) -> None:
    document = json.loads(pgiam_command("token", "--json", "--expires-in", "60").stdout)
    with psycopg.connect(box.url(), password=document.pop("token")):
        pass
    assert document["schema"] == "pgiam.token/1"
    assert document["identity"]["arn"] == ARN
    assert document["host"] == f"{box.token_host}:{box.port}"
    assert (document["user"], document["region"]) == ("app", "us-east-1")
    assert document["expires_at"].endswith("Z")


def test_token_of_a_url(box: Sandbox, pgiam_command: Run) -> None:
    url = f"postgresql+asyncpg://reporting@localhost:{box.port}/postgres"
    token = pgiam_command("token", url, PGHOST=None, PGPORT=None, PGUSER=None).stdout.strip()
    assert "DBUser=reporting" in token
    assert f"{box.token_host}:{box.port}/" in token
    assert "DBUser=app" in pgiam_command("token", url, "--user", "app").stdout


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        ((), {"PGHOST": None}, "host is missing"),
        ((), {"AWS_ACCESS_KEY_ID": None}, "no AWS credentials"),
        (("mysql://app@h/x",), {}, "postgresql://"),
        (("postgresql://app:secret@h:70000/x",), {}, "cannot be read"),
        (("--expires-in", "901"), {}, "expires_in=901"),
        (("--region", "eu-west-1"), {}, "contradicts"),
    ],
)
def test_errors_are_two_lines_and_say_what_to_do(
    arguments: tuple[str, ...], variables: dict[str, str | None], said: str, pgiam_command: Run
) -> None:
    done = pgiam_command("token", *arguments, **variables)
    assert done.returncode == 1
    assert done.stdout == ""
    message, hint = done.stderr.splitlines()
    assert message.startswith("pgiam token: ")
    assert said in message
    assert hint.startswith("  ")
    assert "secret" not in done.stderr


def test_exec_logs_in(pgiam_command: Run) -> None:
    done = pgiam_command("exec", "--", sys.executable, "-c", ASK, PGSSLMODE=None, PGSSLROOTCERT=None)
    assert (done.returncode, done.stdout) == (0, "app\n"), done.stderr


@psql
def test_exec_psql(pgiam_command: Run) -> None:
    done = pgiam_command("exec", "--database", "postgres", "--", "psql", "-Atc", "select 1")
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


@psql
def test_token_in_plain_psql(box: Sandbox, pgiam_command: Run) -> None:
    token = pgiam_command("token").stdout.strip()
    environment = {**box.environment(), "PGPASSWORD": token}
    done = subprocess.run(["psql", "-Atc", "select 2"], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "2\n"


def test_exec_is_for_the_child_only(box: Sandbox, pgiam_command: Run) -> None:
    show = "import json, os; print(json.dumps({n: v for n, v in os.environ.items() if n.startswith('PG')}))"
    done = pgiam_command("exec", "--database", "x", "--", sys.executable, "-c", show, PGSSLMODE="prefer")
    variables = json.loads(done.stdout)
    assert variables["PGSSLMODE"] == "verify-full"
    assert variables["PGDATABASE"] == "x"
    assert variables["PGPORT"] == str(box.port)
    assert variables["PGPASSWORD"].startswith(box.token_host)
    assert variables["PGSSLROOTCERT"] == box.ca_file


@pytest.mark.parametrize(
    ("code", "status"), [("raise SystemExit(7)", 7), ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -15)]
)
def test_exec_ends_as_the_program_does(code: str, status: int, pgiam_command: Run) -> None:
    assert pgiam_command("exec", "--", sys.executable, "-c", code).returncode == status


def test_exec_passes_signals_on(box: Sandbox) -> None:
    code = "import signal, sys; signal.signal(2, lambda *_: sys.exit(42)); print('up', flush=True); signal.pause()"
    process = subprocess.Popen(
        [sys.executable, "-m", "pgiam", "exec", "--", sys.executable, "-c", code],
        env=box.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 42


def test_exec_lets_pipes_break(box: Sandbox) -> None:
    """Python ignores SIGPIPE; a program must not inherit that."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "pgiam", "exec", "--", "sh", "-c", "yes; echo $? >&2"],
        env=box.environment(),
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(writer)
    assert done.stderr.strip() == str(128 + signal.SIGPIPE)


@pytest.mark.parametrize(
    ("program", "status", "said"), [("/nowhere/psql", 127, "not found"), (os.sep, 126, "ermission denied")]
)
def test_exec_of_what_cannot_run(program: str, status: int, said: str, pgiam_command: Run) -> None:
    done = pgiam_command("exec", "--", program)
    assert done.returncode == status
    assert said in done.stderr


def test_exec_of_nothing(pgiam_command: Run) -> None:
    for arguments in ((), ("--",)):
        done = pgiam_command("exec", *arguments)
        assert done.returncode == 1
        assert "no program" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_env_is_read_by_a_shell(shell: str, box: Sandbox, pgiam_command: Run, tmp_path: Path) -> None:
    exports = pgiam_command("env", "--shell", shell, "--database", "it's").stdout
    script = tmp_path / "script"
    script.write_text(exports + 'printf %s "$PGPASSWORD|$PGHOST|$PGDATABASE|$PGSSLMODE"')
    done = subprocess.run(["sh", str(script)], env={}, capture_output=True, text=True, check=True)
    token, *rest = done.stdout.split("|")
    assert rest == ["localhost", "it's", "verify-full"]
    with psycopg.connect(box.url(), password=token):
        pass


def test_env_in_other_words(pgiam_command: Run) -> None:
    fish = pgiam_command("env", "--shell", "fish", "--database", "it's\\").stdout
    assert "set -gx PGDATABASE 'it\\'s\\\\'\n" in fish
    powershell = pgiam_command("env", "--shell", "powershell", "--database", "it's").stdout
    assert "$Env:PGDATABASE = 'it''s'\n" in powershell
    assert pgiam_command("env", SHELL="/usr/bin/fish").stdout.startswith("set -gx PGHOST 'localhost'\n")
    assert pgiam_command("env", SHELL="/bin/dash").stdout.startswith("export PGHOST=localhost\n")


def test_whoami(pgiam_command: Run) -> None:
    assert pgiam_command("whoami").stdout == f"{ARN}\n"
    verbose = pgiam_command("whoami", "-v").stdout
    assert "taken        environment: " in verbose
    assert "not here     GitHub Actions, " in verbose
    assert all(len(line) <= 80 for line in verbose.splitlines())
    document = json.loads(pgiam_command("whoami", "--json").stdout)
    assert (document["schema"], document["arn"], document["account"]) == ("pgiam.whoami/1", ARN, "123456789012")


def test_a_role_is_assumed(box: Sandbox, pgiam_command: Run) -> None:
    arn = box.add_role("other", trust=[{"principal": "arn:aws:sts::123456789012:assumed-role/app/*"}])
    assert "assumed-role/other/" in pgiam_command("whoami", "--role-arn", arn).stdout
    done = pgiam_command("whoami", "--role-arn", "arn:aws:iam::123456789012:role/nobody")
    assert done.returncode == 1
    assert "nobody" in done.stderr


def test_a_profile_is_used(pgiam_command: Run, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("[profile other]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = x\n")
    token = pgiam_command("token", "--profile", "other", AWS_CONFIG_FILE=str(config), AWS_ACCESS_KEY_ID=None).stdout
    assert "X-Amz-Credential=AKIDEXAMPLE%2F" in token


def test_ctrl_c_is_clean(box: Sandbox) -> None:
    box.faults.sts.hang()
    try:
        for arguments in (["whoami"], ["doctor", "--timeout", "60"]):
            process = subprocess.Popen(
                [sys.executable, "-m", "pgiam", *arguments],
                env={**box.environment(), "PYTHONUNBUFFERED": "1"},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            before = box.stats()["aws"]
            deadline = time.monotonic() + 30
            while box.stats()["aws"] == before and time.monotonic() < deadline:
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
            assert process.returncode == 130
            assert errors.strip() == ""
    finally:
        box.faults.clear()


def test_import_stays_light() -> None:
    heavy = ("argparse", "asyncio", "json", "logging", "ssl", "typing", "pgiam.cli", "pgiam._doctor", "pgiam._explain")
    code = f"import sys; seen = set(sys.modules); import pgiam; print(sorted({set(heavy)} & (set(sys.modules) - seen)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n", done.stderr
