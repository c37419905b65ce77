"""Starting and ending: nothing of a sandbox outlives it, however it ends."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from botocore_tokens import token_for
from leftovers import WAIT, assert_nothing_left, eventually, listening, processes_in
from pgiam.sandbox import Sandbox, SandboxError, binaries

# A program that starts a sandbox, says where it is, and waits.
HOLDER = """
import json, sys, time
from pgiam.sandbox import Sandbox
with Sandbox() as box:
    told = {"port": box.port, "directory": box.ca_file.rpartition("/")[0], "pids": [box._process.pid]}
    told["pids"].append(int(box.sql("SELECT pg_backend_pid()")[0][0]))
    print(json.dumps({**told, "url": box.env["PGIAM_SANDBOX_CONTROL_URL"]}), flush=True)
    for _ in range(6000):  # a signal that comes right before a sleep is only noticed after it
        time.sleep(0.1)
"""


def start_holder(tmp_path: Path) -> tuple[subprocess.Popen[bytes], dict[str, object]]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd=tmp_path
    )
    assert holder.stdout is not None
    line = holder.stdout.readline()
    if not line:
        assert holder.stderr is not None
        pytest.fail(holder.stderr.read().decode())
    return holder, json.loads(line)


def test_close_leaves_nothing() -> None:
    with Sandbox() as box:
        directory, port = str(Path(box.ca_file).parent), box.port
        assert listening(port)
        assert processes_in(directory)
    assert not box.alive()
    assert_nothing_left(directory, port)
    box.close()  # again, for nothing
    with pytest.raises(SandboxError, match="does not answer"):
        box.stats()


def test_async_form() -> None:
    async def run() -> tuple[str, int]:
        async with Sandbox("dsql") as box:
            assert box.alive()
            return str(Path(box.ca_file).parent), box.port

    assert_nothing_left(*asyncio.run(run()))


def test_a_cancelled_start_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    async def run() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(Sandbox().__aenter__(), 0.1)

    asyncio.run(run())
    assert eventually(lambda: not processes_in(str(tmp_path)))
    assert eventually(lambda: not list(tmp_path.glob("pgiam-sandbox-*")))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_the_program(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C, an end by default action (no handler, no `finally`), and a crash."""
    holder, told = start_holder(tmp_path)
    holder.send_signal(number)
    holder.wait(WAIT)
    for stream in (holder.stdout, holder.stderr):
        assert stream is not None
        stream.close()
    assert_nothing_left(str(told["directory"]), int(str(told["port"])))


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_no_process_outlives_a_killed_server() -> None:
    box = Sandbox().start()
    directory, port = str(Path(box.ca_file).parent), box.port
    assert box._process is not None
    box._process.kill()
    assert eventually(lambda: not processes_in(directory)), processes_in(directory)
    assert not box.alive()
    box.close()
    assert_nothing_left(directory, port)


def test_the_sandbox_ends_with_postgresql() -> None:
    with Sandbox() as box:
        directory, port = str(Path(box.ca_file).parent), box.port
        os.kill(int(box._ready["postgres_pid"]), signal.SIGQUIT)
        assert eventually(lambda: not box.alive())
        assert_nothing_left(directory, port)


def test_a_fork_of_the_program_keeps_nothing_alive(tmp_path: Path) -> None:
    """A worker holds a copy of every pipe; the sandbox must end all the same."""
    program = HOLDER.replace("time.sleep(0.1)", "os.fork() or time.sleep(5)\n        os._exit(0)").replace(
        "import json,", "import os, json,"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        stdout=subprocess.PIPE,
        env=environment,
        timeout=WAIT,
        check=True,
        cwd=tmp_path,
    )
    told = json.loads(done.stdout)
    assert_nothing_left(told["directory"], told["port"])


def test_data_is_kept_where_told(tmp_path: Path) -> None:
    place = tmp_path / "kept"
    if os.geteuid() == 0:
        place = Path("/var/tmp") / f"pgiam-kept-{os.getpid()}"  # where another account can get to
    try:
        for expected in (1, 2):
            with Sandbox(data=place) as box:
                directory, port = str(Path(box.ca_file).parent), box.port
                with psycopg.connect(
                    host=box.host,
                    port=port,
                    user="app",
                    dbname="postgres",
                    password=token_for(box),
                    sslmode="verify-full",
                    sslrootcert=box.ca_file,
                ) as connection:
                    connection.execute("CREATE TABLE IF NOT EXISTS visits (id int)")
                    connection.execute("INSERT INTO visits VALUES (1)")
                    assert connection.execute("SELECT count(*) FROM visits").fetchone() == (expected,)
            assert_nothing_left(directory, port)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def test_two_sandboxes_do_not_meet() -> None:
    with Sandbox() as one, Sandbox() as other:
        assert one.port != other.port
        token = token_for(one)
        with pytest.raises(psycopg.OperationalError, match="PAM authentication failed"):
            psycopg.connect(
                host=other.host,
                port=other.port,
                user="app",
                dbname="postgres",
                password=token,
                sslmode="verify-full",
                sslrootcert=other.ca_file,
            )


def test_a_given_port_and_one_that_is_taken() -> None:
    with Sandbox() as first:
        port = first.port
        with pytest.raises(SandboxError, match="in use"):
            Sandbox(port=port).start()
    with Sandbox(port=port) as again:
        assert again.port == port


@pytest.mark.skipif(shutil.which("postgres") is None, reason="this machine has no PostgreSQL of its own")
def test_postgresql_of_the_system() -> None:
    with Sandbox(postgres="system") as box:
        programs = binaries.find("system")
        assert box.postgres_version == binaries.version(programs)
        assert box.sql("SHOW server_version")[0][0].startswith(box.postgres_version)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"postgres": "/nowhere"}, "does not hold the programs"),
        ({"platform": "mainframe"}, "no platform"),
        ({"role": "nobody"}, "no role"),
    ],
)
def test_what_cannot_start_says_why(options: dict[str, str], match: str) -> None:
    with pytest.raises(SandboxError, match=match):
        Sandbox(**options).start()  # type: ignore[arg-type]  # strings each


def test_a_flavor_that_does_not_exist() -> None:
    with pytest.raises(SandboxError, match="no flavor"):
        Sandbox("mysql")  # type: ignore[arg-type]


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="needs to be root")
@pytest.mark.skipif(bool(os.environ.get(binaries.VARIABLE)), reason="copies the wheel's installation")
def test_as_root_without_touching_anything_of_others(tmp_path: Path) -> None:
    """An installation that no other account can reach still runs, and keeps its modes."""
    installed = binaries.installation(binaries.find())
    hidden = tmp_path / "private"
    hidden.mkdir(mode=0o700)
    package = installed.parent
    shutil.copytree(package, hidden / package.name)
    libraries = package.parent / f"{package.name}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, hidden / libraries.name)
    tmp_path.chmod(0o700)
    before = {path: path.stat().st_mode for path in [tmp_path, hidden, *hidden.rglob("*")]}
    with Sandbox(postgres=hidden / package.name / installed.name / "bin") as box:
        assert box.sql("SELECT 1") == [["1"]]
        owner = Path(f"/proc/{box._ready['postgres_pid']}").stat().st_uid
        assert owner == pwd.getpwnam("nobody").pw_uid
    assert {path: path.stat().st_mode for path in [tmp_path, hidden, *hidden.rglob("*")]} == before


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="needs root to become someone else")
def test_as_an_ordinary_user(tmp_path: Path) -> None:
    """The whole as an account without rights; its programs must be readable to it."""
    person = pwd.getpwnam("daemon")
    reachable = all(parent.stat().st_mode & 0o001 for parent in Path(sys.executable).resolve().parents)
    if not reachable:
        pytest.skip("this Python interpreter is in a folder that other accounts cannot enter")
    program = "from pgiam.sandbox import Sandbox\nwith Sandbox() as box: print(box.sql('SELECT 1'))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "HOME": "/nonexistent"}
    done = subprocess.run(
        [sys.executable, "-c", program], user=person.pw_uid, group=person.pw_gid, extra_groups=[],
        env=environment, cwd="/", capture_output=True, text=True, timeout=WAIT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[['1']]\n"
