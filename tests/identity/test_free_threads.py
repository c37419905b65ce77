"""Threads that truly run at the same time: what the GIL would keep in order happens here in any order.

On every interpreter these must pass; on a free-threaded one they also see that nobody switched the GIL back on.
"""

from __future__ import annotations

import asyncio
import os
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qs, urlsplit

import pytest

import pgiam
from aws_box import WAIT, AwsBox
from identity.workload import HOST, run_python
from pgiam.sandbox.verifier import Accepted

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
ROUNDS = 150
EACH = 3  # threads of every kind


def gil_is_on() -> bool:
    on: bool = getattr(sys, "_is_gil_enabled", lambda: True)()
    return on


@pytest.fixture(autouse=True)
def gil_stays_as_it_is() -> Iterator[None]:
    before = gil_is_on()
    yield
    assert gil_is_on() == before


class Issuer:
    """Numbers its answers, in the order in which they were asked for."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.issued = 0

    def issue(self) -> pgiam.Credentials:
        with self.lock:
            self.issued += 1
            number = self.issued
        expires_at = datetime.now(timezone.utc) + timedelta(seconds=60)
        return pgiam.Credentials(f"AKID{number}", f"secret{number}", f"session{number}", expires_at)

    async def issue_async(self) -> pgiam.Credentials:
        await asyncio.sleep(0)
        return self.issue()


def parts(token: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(f"//{token}").query).items()}


def at_once(*works: Callable[[], object]) -> None:
    """Each in a thread of its own, let go together; the first error is raised."""
    start = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        start.wait(WAIT)
        work()

    with ThreadPoolExecutor(len(works)) as pool:
        for done in [pool.submit(run, work) for work in works]:
            done.result(WAIT * 2)


def test_the_module_leaves_the_gil_off() -> None:
    """Without PYTHON_GIL=0, an extension that does not say that it is safe would switch the GIL on, with a warning."""
    code = """
    import sys, warnings
    warnings.simplefilter("error")
    import pgiam, pgiam.oidc, pgiam.tls
    pgiam.Client(lambda: pgiam.Credentials("AKID", "secret")).generate_auth_token(
        host="db.cluster-abc123.eu-west-1.rds.amazonaws.com", user="app")
    print(getattr(sys, "_is_gil_enabled", lambda: True)())
    """
    environment = {"PYTHON_GIL": ""}
    assert run_python(code, environment) == str(not FREE_THREADED)


@pytest.mark.parametrize("is_async", [False, True], ids=["blocking", "coroutine"])
def test_one_client_and_everything_at_once(is_async: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    issuer = Issuer()
    client = pgiam.Client(issuer.issue_async if is_async else issuer.issue)
    tags = {"team": "a"}
    running = threading.Event()
    running.set()

    def check(token: str, user: str) -> None:
        said = parts(token)
        number = said["X-Amz-Credential"].partition("/")[0].removeprefix("AKID")
        assert said["DBUser"] == user
        # Key and session token of one answer, never of two.
        assert said["X-Amz-Security-Token"] == f"session{number}"

    def mints() -> None:
        user = f"user{threading.get_ident()}"
        for _ in range(ROUNDS * 4):
            check(client.generate_auth_token(host=HOST, user=user), user)

    def mints_on_a_loop() -> None:
        async def one(user: str) -> None:
            check(await client.generate_auth_token_async(host=HOST, user=user), user)

        async def main() -> None:
            await asyncio.gather(*(one(f"task{number}") for number in range(50)))

        for _ in range(ROUNDS // 15):
            asyncio.run(main())

    def invalidates() -> None:
        for _ in range(ROUNDS):
            with issuer.lock:
                before = issuer.issued
            client.invalidate()
            # Nothing that was asked for before may come back.
            assert int(client.credentials().access_key.removeprefix("AKID")) > before

    def refreshes() -> None:
        for _ in range(ROUNDS):
            assert client.refresh().access_key.startswith("AKID")

    def reads() -> None:
        tokens = refreshed = 0
        for _ in range(ROUNDS * 4):
            stats = client.stats()
            assert stats.tokens >= tokens
            assert stats.refreshes >= refreshed
            tokens, refreshed = stats.tokens, stats.refreshes
            assert [finding.state for finding in client.explain()] == ["taken"]
            assert "secret" not in repr(client) + repr(stats) + repr(client.credentials())

    def makes() -> None:
        for number in range(ROUNDS):
            role = pgiam.AssumeRole(role_arn="arn:aws:iam::123456789012:role/app", source=client, tags=tags)
            other = pgiam.Client(role if number % 2 else issuer.issue)
            if number % 2 == 0:
                check(other.generate_auth_token(host=HOST, user="other"), "other")

    def changes_a_dict() -> None:
        number = 0
        while running.is_set():
            tags[f"tag{number % 40}"] = "b"
            tags.pop(f"tag{(number + 20) % 40}", None)
            number += 1

    def changes_the_environment() -> None:
        # More and fewer variables: the C library moves its table of them.
        while running.is_set():
            for number in range(200):
                os.environ[f"PGIAM_TEST_{number}"] = "x"
            for number in range(200):
                del os.environ[f"PGIAM_TEST_{number}"]

    works = (mints, mints_on_a_loop, invalidates, refreshes, reads, makes)
    with ThreadPoolExecutor(2) as pool:
        changing = [pool.submit(changes_a_dict), pool.submit(changes_the_environment)]
        try:
            at_once(*(work for work in works for _ in range(EACH)))
        finally:
            running.clear()
        for done in changing:
            done.result(WAIT)
    stats = client.stats()
    assert stats.tokens == EACH * (ROUNDS * 4 + ROUNDS // 15 * 50)
    assert stats.refresh_failures == 0


def test_the_first_use_of_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is made once in a process is made once by many threads, in an interpreter that has made nothing yet."""
    code = """
    import os, threading, asyncio
    os.environ.update(AWS_ACCESS_KEY_ID="AKID", AWS_SECRET_ACCESS_KEY="secret", AWS_EC2_METADATA_DISABLED="true")
    HOST = "db.cluster-abc123.eu-west-1.rds.amazonaws.com"
    THREADS = 16
    start = threading.Barrier(THREADS)
    clients, others = [], []
    def first():
        start.wait(60)
        import pgiam
        clients.append(pgiam.default_client())
        pgiam.generate_auth_token(host=HOST, user="app")
        asyncio.run(pgiam.generate_auth_token_async(host=HOST, user="app"))
        others.append((pgiam.ca_file(), pgiam.ssl_context().check_hostname, pgiam.password(host=HOST, user="app")()))
        pgiam.Client(lambda: pgiam.Credentials("AKID", "secret")).credentials()
        try:
            pgiam.Endpoint.parse("nowhere.example")
        except pgiam.EndpointError:
            pass
    threads = [threading.Thread(target=first) for _ in range(THREADS)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    for _, _, password in others: asyncio.run(password)
    print(len(clients), len(set(clients)), len(others), clients[0].stats().tokens)
    """
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    assert run_python(code) == "16 1 16 48"


def test_one_exchange_after_another(
    box: AwsBox, role_arn: str, opens: Callable[[str], Accepted], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the runtime and the network: whatever is signed meanwhile lets in."""
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    identity = box.token("gitlab")
    client = pgiam.Client(pgiam.WebIdentity(role_arn=role_arn, identity_token=lambda: identity))
    tokens: list[str] = []

    def mints() -> None:
        tokens.extend(client.generate_auth_token(host=HOST, user="app") for _ in range(ROUNDS))

    def mints_on_a_loop() -> None:
        async def main() -> None:
            tokens.extend([await client.generate_auth_token_async(host=HOST, user="app") for _ in range(ROUNDS)])

        asyncio.run(main())

    def invalidates() -> None:
        for _ in range(ROUNDS // 5):
            client.invalidate()
            client.credentials()

    at_once(*(work for work in (mints, mints_on_a_loop, invalidates) for _ in range(EACH)))
    assert len(tokens) == 2 * EACH * ROUNDS
    for token in set(tokens):
        opens(token)
    assert client.stats().refresh_failures == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forks_from_several_threads() -> None:
    code = """
    import asyncio, os, threading, time, warnings
    from datetime import datetime, timedelta, timezone
    import pgiam
    warnings.simplefilter("ignore", DeprecationWarning)  # threads are there on purpose
    HOST = "db.cluster-abc123.eu-west-1.rds.amazonaws.com"
    parent = os.getpid()
    def source():
        life = 3 if os.getpid() == parent else 3600
        return pgiam.Credentials("AKID", "secret", "t", datetime.now(timezone.utc) + timedelta(seconds=life))
    client = pgiam.Client(source)
    running = True
    failed = []
    def mints():
        while running:
            client.generate_auth_token(host=HOST, user="app")
    def mints_on_a_loop():
        async def main():
            while running:
                client.invalidate()
                await client.generate_auth_token_async(host=HOST, user="app")
        asyncio.run(main())
    def forks():
        for _ in range(20):
            pid = os.fork()
            if pid == 0:
                try:
                    client.generate_auth_token(host=HOST, user="app")
                    client.refresh()
                    asyncio.run(client.generate_auth_token_async(host=HOST, user="app"))
                    os._exit(0)
                finally:
                    os._exit(1)
            for _ in range(6000):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    break
                time.sleep(0.01)
            else:
                os.kill(pid, 9)
                status = "hangs"
            if status:
                failed.append(status)
    load = [threading.Thread(target=work) for work in (mints, mints, mints_on_a_loop)]
    forking = [threading.Thread(target=forks) for _ in range(3)]
    for thread in load + forking: thread.start()
    for thread in forking: thread.join()
    running = False
    for thread in load: thread.join()
    print(failed)
    """
    assert run_python(code) == "[]"


def test_an_exception_that_uses_the_client_when_it_is_dropped() -> None:
    """The client holds on to the last failure. Letting go of it may run anything, and must not be done in a lock."""
    code = """
    import faulthandler
    import pgiam
    faulthandler.dump_traceback_later(60, exit=True)
    class Held:
        def __del__(self):
            client.invalidate()
            print("dropped")
    class Broken(Exception):
        pass
    def source():
        raise Broken(Held())
    client = pgiam.Client(source)
    for _ in range(20):
        try:
            client.credentials()
        except pgiam.CredentialsError:
            pass
        client.invalidate()
    """
    # Where the runtime is the last to hold one, it goes when a thread next comes by Python.
    assert "dropped" in run_python(code)
