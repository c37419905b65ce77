"""What a process does at import, at fork and at exit: each case in an interpreter of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PRELUDE = """
import logging, os, sys, threading, time
from datetime import datetime, timedelta, timezone
import pgiam
HOST = "db.cluster-abc123.us-east-1.rds.amazonaws.com"
def mint(client):
    return client.generate_auth_token(host=HOST, user="app")
def credentials(seconds=3600):
    return pgiam.Credentials("AKID", "s", "t", datetime.now(timezone.utc) + timedelta(seconds=seconds))
def in_child(work):
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return pid
def wait_for(pid):
    for _ in range(3000):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            assert status == 0, status
            return
        time.sleep(0.01)
    os.kill(pid, 9)
    raise AssertionError("the child hangs")
"""


def run(script: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", PRELUDE + script],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "panicked" not in done.stderr
    return done.stdout


def test_import_starts_no_thread_and_imports_nothing_heavy() -> None:
    script = """
import pgiam
heavy = ["asyncio", "ssl", "typing", "logging", "sqlalchemy", "asyncpg", "psycopg", "psycopg2", "boto3", "inspect"]
print([name for name in heavy if name in sys.modules])
try:
    print(len(os.listdir("/proc/self/task")))
except FileNotFoundError:
    print(1)
"""
    # Not the prelude's interpreter: an empty one, which imports `site` alone.
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import os, sys; sys.path[:0] = {_site()!r}\n" + script],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split("\n")[:2] == ["[]", "1"]


def _site() -> list[str]:
    import sysconfig

    return [sysconfig.get_path("platlib")]


def test_the_first_token_from_the_environment_starts_no_thread() -> None:
    script = """
mint(pgiam.Client())
try:
    print(len(os.listdir("/proc/self/task")))
except FileNotFoundError:
    print(1)
"""
    assert run(script, AWS_ACCESS_KEY_ID="AKID", AWS_SECRET_ACCESS_KEY="s").strip() == "1"


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@needs_fork
def test_fork_of_a_warm_client() -> None:
    run("""
calls = []
client = pgiam.Client(lambda: calls.append(os.getpid()) or credentials())
mint(client)
pids = [in_child(lambda: mint(client)) for _ in range(8)]
for pid in pids: wait_for(pid)
mint(client)
assert calls == [os.getpid()], calls
""")


@needs_fork
def test_fork_while_a_refresh_is_in_flight() -> None:
    run("""
import pathlib, tempfile
log = pathlib.Path(tempfile.mkdtemp()) / "calls"
def source():
    with open(log, "a") as file: file.write(f"{os.getpid()}\\n")
    time.sleep(1)
    return credentials()
client = pgiam.Client(source)
waiting = [threading.Thread(target=mint, args=(client,)) for _ in range(8)]
for thread in waiting: thread.start()
while not log.exists(): time.sleep(0.01)
def child():
    threads = [threading.Thread(target=mint, args=(client,)) for _ in range(4)]
    for thread in threads: thread.start()
    mint(client)
    for thread in threads: thread.join()
    assert client.stats().refreshes == 1
pids = [in_child(child) for _ in range(4)]
for pid in pids: wait_for(pid)
for thread in waiting: thread.join()
mint(client)
calls = log.read_text().split()
assert sorted(calls) == sorted([str(os.getpid()), *map(str, pids)]), calls
import shutil; shutil.rmtree(log.parent)
""")


@needs_fork
def test_fork_under_load_in_any_state() -> None:
    """Threads refresh and mint all the time; children forked at random moments must never hang."""
    run("""
import random
parent = os.getpid()
def source():
    time.sleep(random.random() / 100)
    # Where all processors are busy, what lives for 50 ms may have ended on arrival.
    return credentials(0.05 if os.getpid() == parent else 3600)
client = pgiam.Client(source)
stop = False
def load():
    while not stop:
        try: mint(client)
        except pgiam.Error: pass
threads = [threading.Thread(target=load) for _ in range(6)]
for thread in threads: thread.start()
def child():
    for _ in range(3):
        client.invalidate()
        mint(client)
try:
    for _ in range(100):
        pid = in_child(child)
        wait_for(pid)
finally:
    stop = True
for thread in threads: thread.join()
""")


@needs_fork
def test_a_fork_waits_for_the_step_that_a_fetch_is_in() -> None:
    """What a step makes, in the SDK's statics, too, is whole in the child."""
    run("""
import tempfile
folder = tempfile.mkdtemp()
bundle, token = folder + "/bundle", folder + "/token"
os.mkfifo(bundle)  # reading it is a step that takes until somebody writes
with open(token, "w") as file: file.write("a.b.c")
os.environ.update(
    AWS_CA_BUNDLE=bundle,
    AWS_ROLE_ARN="arn:aws:iam::111122223333:role/app",
    AWS_WEB_IDENTITY_TOKEN_FILE=token,
    AWS_ENDPOINT_URL_STS="http://127.0.0.1:9",
)
client = pgiam.Client()
def fail():
    try: mint(client)
    except pgiam.Error: pass
threading.Thread(target=fail).start()
written = []
def write():
    with open(bundle, "w") as file:  # from here on somebody reads
        opened.set()
        time.sleep(0.3)
        written.append(True)
        file.write("no certificate")
opened = threading.Event()
threading.Thread(target=write).start()
opened.wait()
def child(): assert written
wait_for(in_child(child))
import shutil; shutil.rmtree(folder)
""")


@needs_fork
def test_fork_then_asyncio_in_parent_and_child() -> None:
    run("""
import asyncio
async def source():
    await asyncio.sleep(0.05)
    return credentials(2)
client = pgiam.Client(source)
async def work():
    for _ in range(5):
        await client.generate_auth_token_async(host=HOST, user="app")
        await client.refresh_async()
asyncio.run(work())
pids = [in_child(lambda: asyncio.run(work())) for _ in range(4)]
asyncio.run(work())
for pid in pids: wait_for(pid)
""")


@needs_fork
def test_multiprocessing_fork_and_spawn() -> None:
    run("""
import multiprocessing
client = pgiam.Client(lambda: credentials())
mint(client)
def work(queue): queue.put(mint(client)[:10])
context = multiprocessing.get_context("fork")
queue = context.Queue()
children = [context.Process(target=work, args=(queue,)) for _ in range(4)]
for child in children: child.start()
assert {queue.get(timeout=30) for _ in children} == {mint(client)[:10]}
for child in children: child.join(30)
assert [child.exitcode for child in children] == [0] * 4
""")


@pytest.mark.parametrize("waits", ["thread", "main", "early", "loop"])
def test_exit_during_a_fetch_is_clean(waits: str) -> None:
    run(
        """
client = pgiam.Client(lambda: time.sleep(30) or credentials())
waits = WAITS
if waits == "thread":
    for _ in range(4): threading.Thread(target=mint, args=(client,), daemon=True).start()
    time.sleep(0.3)
elif waits == "main":
    import _thread
    threading.Timer(0.3, _thread.interrupt_main).start()
    try: mint(client)
    except KeyboardInterrupt: pass
elif waits == "early":
    calls = []
    client = pgiam.Client(lambda: (calls.append(1), len(calls) > 1 and time.sleep(30)) and credentials(2))
    while len(calls) < 2: mint(client); time.sleep(0.01)
else:
    import asyncio
    async def main():
        task = asyncio.ensure_future(client.generate_auth_token_async(host=HOST, user="app"))
        await asyncio.sleep(0.3)
    asyncio.run(main())
""".replace("WAITS", repr(waits))
    )


def test_a_loop_closed_without_cancelling_prints_nothing() -> None:
    script = """
import asyncio, gc
client = pgiam.Client(lambda: time.sleep(0.5) or credentials())
loop = asyncio.new_event_loop()
coroutine = client.generate_auth_token_async(host=HOST, user="app")
task = loop.create_task(coroutine)
loop.run_until_complete(asyncio.sleep(0.1))
task._log_destroy_pending = False
loop.close()
assert "AKID" in mint(client)
time.sleep(0.3)
"""
    run(script)
