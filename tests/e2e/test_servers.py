"""Servers that fork, and gevent: the real ones, with a parent that mints and refreshes while they fork."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from leftovers import eventually
from pgiam.sandbox import Sandbox

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nothing forks there")

TESTS = Path(__file__).parents[1]
SESSION_SECONDS = 10


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with Sandbox("rds", platform="github_actions") as box:
        box.control("aws/session_lifetime", seconds=SESSION_SECONDS)
        yield box


def start(box: Sandbox, folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, *arguments], cwd=TESTS, env=environment(box, folder), stdout=log, stderr=log
        )


def environment(box: Sandbox, folder: Path) -> dict[str, str]:
    own = {"TASKS_FOLDER": str(folder), "PYTHONPATH": str(TESTS), "PYTHONFAULTHANDLER": "1"}
    return {**box.environment(), **own}


def run(box: Sandbox, folder: Path, *arguments: str) -> str:
    command = [sys.executable, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=TESTS, env=environment(box, folder), stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            output, errors = process.communicate(timeout=170)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # says where its threads are
            output, errors = process.communicate()
            server = folder / "log"
            pytest.fail(f"hung: {output}{errors}{server.read_text() if server.exists() else ''}")
    assert process.returncode == 0, output + errors
    assert "Traceback" not in errors, errors
    return output


@contextlib.contextmanager
def running(
    box: Sandbox, folder: Path, *arguments: str, may_hang_in: str | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A server, asked to end, that ends without an error in its log. Of one that hangs, the log says where."""
    server = start(box, folder, *arguments)
    try:
        yield server
        server.terminate()
        try:
            status = server.wait(60)
        except subprocess.TimeoutExpired:
            server.send_signal(signal.SIGABRT)
            status = server.wait(10)
    finally:
        server.kill()
        server.wait()
    log = (folder / "log").read_text()
    hangs = may_hang_in is not None and f" in {may_hang_in}\n" in log
    assert status == (-signal.SIGABRT if hangs else 0), log
    assert "Traceback" not in log, log
    assert "panicked" not in log, log


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self._path)


def ask(path: str, number: int) -> dict[str, Any]:
    with contextlib.closing(UnixConnection(path)) as connection:
        connection.request("GET", "/anew" if number % 5 == 0 else "/")
        response = connection.getresponse()
        body = response.read()
        assert response.status == 200, body
        answer: dict[str, Any] = json.loads(body)
        return answer


def ask_many(path: str, count: int = 60) -> set[int]:
    """The processes that answered."""
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda number: ask(path, number), range(count)))
    assert {answer["user"] for answer in answers} == {"app"}
    return {answer["pid"] for answer in answers}


@pytest.mark.parametrize("worker_class", ["sync", "gthread", "gevent"])
def test_gunicorn_with_preload(box: Sandbox, tmp_path: Path, worker_class: str) -> None:
    path = str(tmp_path / "http")
    options = ["--preload", "--workers=3", "--threads=2", f"--worker-class={worker_class}", f"--bind=unix:{path}"]
    with running(box, tmp_path, "-m", "gunicorn", *options, "e2e.services.wsgi") as server:
        assert eventually(lambda: Path(path).exists()), (tmp_path / "log").read_text()
        first = ask_many(path)
        assert len(first) > 1
        assert server.pid not in first
        server.send_signal(signal.SIGHUP)  # every worker is replaced by a new fork
        assert eventually(lambda: not ask_many(path, 12) & first)
        ask_many(path)


def test_celery_prefork(box: Sandbox, tmp_path: Path) -> None:
    options = ["--pool=prefork", "--concurrency=3", "--max-tasks-per-child=6", "--loglevel=WARNING"]
    command = ("-m", "celery", "-A", "e2e.services.tasks", "worker", *options)
    # Seldom billiard waits for ever at its end, all children gone, for a semaphore that one of them took along.
    with running(box, tmp_path, *command, may_hang_in="_help_stuff_finish") as worker:
        answers = json.loads(run(box, tmp_path, "-m", "e2e.services.tasks", "40"))
        assert {answer["user"] for answer in answers} == {"app"}
        pids = {answer["pid"] for answer in answers}
        assert len(pids) > 3  # children were replaced
        assert worker.pid not in pids


def test_multiprocessing_by_fork(box: Sandbox, tmp_path: Path) -> None:
    assert run(box, tmp_path, "-m", "e2e.services.pools_of_processes") == "48 jobs\n"


@pytest.mark.parametrize("milliseconds", [0, 0.3, 0.5, 1, 1.5, 2, 3, 4, 5, 7, 10, 20])
def test_a_fork_during_the_first_exchange(box: Sandbox, tmp_path: Path, milliseconds: float) -> None:
    run(box, tmp_path, "-m", "e2e.services.first_exchange", str(milliseconds))


@pytest.mark.parametrize("source", ["ambient", "callable"])
def test_greenlets(box: Sandbox, tmp_path: Path, source: str) -> None:
    assert run(box, tmp_path, "-m", "e2e.services.greenlets", source).startswith("120 connections")
