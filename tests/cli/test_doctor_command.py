"""`pgiam doctor` at a terminal, in a pipe, and for programs."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from cli.conftest import Run
from doctor import strange_servers
from pgiam.sandbox import Sandbox

STAGES = ["environment", "credentials", "clock", "endpoint", "dns", "tcp", "tls", "token", "login", "session"]
ESCAPE = re.compile(r"\x1b\[[0-9;]*[mK]")


def test_a_healthy_login(pgiam_command: Run) -> None:
    done = pgiam_command("doctor")
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("The login works.\n")
    marks = re.findall(r"^ (\S+) +(\w+) +\S", done.stdout, re.MULTILINE)
    assert marks == [("ok", stage) for stage in STAGES]


@pytest.mark.parametrize(
    ("arguments", "status", "name"),
    [
        (("--user", "denied"), 18, "login.policy"),
        (("--user", "legacy"), 18, "login.not_iam_user"),
        (("--region", "eu-west-1"), 13, "endpoint.region_conflict"),
        (("--ca-file", "/nowhere.pem"), 16, "tls.trust_file"),
        (("--expires-in", "10000"), 17, "token.not_signed"),
    ],
)
def test_the_exit_status_names_the_stage(
    arguments: tuple[str, ...], status: int, name: str, pgiam_command: Run
) -> None:
    done = pgiam_command("doctor", *arguments)
    assert done.returncode == status, done.stdout
    assert f"({name})." in done.stdout
    assert done.stderr == ""


def test_json(pgiam_command: Run) -> None:
    done = pgiam_command("doctor", "--json", "--user", "denied")
    document = json.loads(done.stdout)
    assert done.returncode == document["exit_status"] == 18
    assert document["schema"] == "pgiam.doctor/1"
    assert document["ok"] is False
    assert [stage["stage"] for stage in document["stages"]] == STAGES
    keys = {"stage", "status", "name", "title", "detail", "why", "fix", "snippets", "data"}
    assert all(set(stage) == keys for stage in document["stages"])
    login = document["stages"][STAGES.index("login")]
    assert login["data"]["asked_for"] == "cleartext"
    assert {"cause": "a wrong clock", "because": "it agrees with AWS's"} in login["data"]["excluded"]
    policy = json.loads(login["snippets"][0]["text"])
    assert policy["Resource"] == "arn:aws:rds-db:us-east-1:123456789012:dbuser:<cluster-id>/denied"


@pytest.mark.parametrize(
    "arguments", [(), ("-v",), ("--user", "denied"), ("--user", "legacy", "-v"), ("--host", "nowhere.example")]
)
def test_eighty_columns_and_no_colour_in_a_pipe(arguments: tuple[str, ...], pgiam_command: Run) -> None:
    output = pgiam_command("doctor", *arguments, "--timeout", "5", FORCE_COLOR="1").stdout
    assert "\x1b" not in output
    # What is there to be copied, and names that cannot be broken, may be longer.
    long = [line for line in output.splitlines() if len(line) > 80]
    assert all(re.search(r"\S{50}", line) for line in long), long
    assert all(line == line.rstrip() for line in output.splitlines())


def test_colour_and_progress_on_a_terminal(box: Sandbox) -> None:
    output = at_terminal(box, TERM="xterm-256color")
    assert "\x1b[32mok  \x1b[0m" in output
    assert "\x1b[1;31mFAIL\x1b[0m" in output
    assert " ...   credentials" in ESCAPE.sub("", output)
    assert "\r\x1b[K" in output
    # What stays on the screen is what a pipe gets.
    shown = ESCAPE.sub("", re.sub(r"[^\n]*\r(?=\x1b\[K)", "", output.replace("\r\n", "\n")))
    assert "..." not in shown


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1", "TERM": "xterm"}, {"TERM": "dumb"}])
def test_no_colour_where_none_is_wanted(variables: dict[str, str], box: Sandbox) -> None:
    output = at_terminal(box, **variables)
    assert "\x1b[3" not in output
    assert "FAIL" in output


def at_terminal(box: Sandbox, **variables: str) -> str:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "pgiam", "doctor", "--user", "denied"],
        env={**box.environment(), **variables},
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    output = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # Linux says so when the other end has been closed
            break
        if not part:
            break
        output += part
    os.close(master)
    assert process.wait(60) == 18
    return output.decode()


def test_a_filtered_port_is_reported_in_time(pgiam_command: Run) -> None:
    with strange_servers.filtered() as port:
        done = pgiam_command("doctor", "--host", "127.0.0.1", "--port", str(port), "--timeout", "1", "--json")
    assert done.returncode == 15
    tcp = json.loads(done.stdout)["stages"][STAGES.index("tcp")]
    assert tcp["name"] == "tcp.timed_out"
    assert tcp["data"]["attempts"][0]["milliseconds"] <= 1100  # what the doctor itself waited


@pytest.mark.parametrize("command", ["", "token", "exec", "env", "whoami", "doctor", "completion"])
def test_help(command: str, pgiam_command: Run) -> None:
    done = pgiam_command(*filter(None, [command]), "--help")
    assert done.returncode == 0
    assert "example" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert pgiam_command("nonsense").returncode == 2


def test_a_reader_that_goes_away(box: Sandbox) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m pgiam doctor -v | true"],
        env=box.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
