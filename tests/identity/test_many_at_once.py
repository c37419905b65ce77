"""Threads, tasks, loops that close and processes that fork: one exchange serves them all, and nobody hangs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

import pgiam
from aws_box import WAIT, AwsBox
from identity.workload import HOST, mint, run_python

WEB_IDENTITY = "sts:AssumeRoleWithWebIdentity"
THREADS = 150
TASKS = 1500
LOOPS = 3


@pytest.fixture
def client(box: AwsBox, on: Callable[..., dict[str, str]]) -> pgiam.Client:
    on("github_actions")
    return pgiam.Client()


async def mint_async(client: pgiam.Client) -> str:
    return await client.generate_auth_token_async(host=HOST, user="app")


def from_everywhere(client: pgiam.Client) -> list[str]:
    """Threads and tasks on several loops, all let go at the same time."""
    start = threading.Barrier(THREADS + LOOPS)
    tokens: list[str] = []

    def thread() -> None:
        start.wait(WAIT)
        tokens.append(mint(client))

    def loop() -> None:
        async def main() -> None:
            tasks = [mint_async(client) for _ in range(TASKS // LOOPS)]
            start.wait(WAIT)
            tokens.extend(await asyncio.gather(*tasks))

        asyncio.run(main())

    with ThreadPoolExecutor(THREADS + LOOPS) as pool:
        done = [pool.submit(thread) for _ in range(THREADS)] + [pool.submit(loop) for _ in range(LOOPS)]
        for each in done:
            each.result(WAIT * 2)
    return tokens


def test_cold(box: AwsBox, client: pgiam.Client, opens: Callable[[str], object]) -> None:
    box.control("fault", target="sts", kind="slow", seconds=0.5)
    tokens = from_everywhere(client)
    assert len(tokens) == THREADS + TASKS
    for token in set(tokens):
        opens(token)
    assert box.calls(WEB_IDENTITY) == 1
    assert box.calls("github_actions:token") == 1
    assert client.stats().refreshes == 1


def test_expired(box: AwsBox, client: pgiam.Client) -> None:
    box.control("session_lifetime", seconds=0.2)
    mint(client)
    box.control("session_lifetime", seconds=None)
    threading.Event().wait(0.3)
    box.control("fault", target="sts", kind="slow", seconds=0.5)
    assert len(from_everywhere(client)) == THREADS + TASKS
    assert box.calls(WEB_IDENTITY) == 2


def test_near_its_end(box: AwsBox, client: pgiam.Client) -> None:
    box.control("session_lifetime", seconds=10)
    mint(client)
    box.control("session_lifetime", seconds=None)
    threading.Event().wait(9.05)  # all of the early window but the last tenth of the life
    box.control("fault", target="sts", kind="slow", seconds=0.5)
    assert len(from_everywhere(client)) == THREADS + TASKS
    assert box.calls(WEB_IDENTITY) == 2


def test_failing(box: AwsBox, client: pgiam.Client) -> None:
    box.control("fault", target="sts", kind="access_denied")
    box.control("fault", target="sts", kind="slow", seconds=0.3)

    def fails() -> str:
        with pytest.raises(pgiam.ExchangeError) as caught:
            mint(client)
        return str(caught.value.code)

    with ThreadPoolExecutor(50) as pool:
        codes = [each.result(WAIT) for each in [pool.submit(fails) for _ in range(50)]]
    assert codes == ["AccessDenied"] * 50
    # Those who came while it failed share one answer; who came after it found the back-off.
    assert box.calls(WEB_IDENTITY) == 1


async def test_one_who_goes_away_takes_nobody_along(box: AwsBox, client: pgiam.Client) -> None:
    box.control("fault", target="sts", kind="slow", seconds=1.0)
    first = asyncio.create_task(mint_async(client))
    others = [asyncio.create_task(mint_async(client)) for _ in range(10)]
    await asyncio.sleep(0.2)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert len({*await asyncio.gather(*others)}) >= 1
    assert box.calls(WEB_IDENTITY) == 1


def test_a_loop_that_closes_in_the_middle(box: AwsBox, client: pgiam.Client) -> None:
    box.control("fault", target="sts", kind="slow", seconds=0.7)

    async def give_up() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(mint_async(client), 0.2)

    asyncio.run(give_up())
    assert mint(client)
    assert box.calls(WEB_IDENTITY) == 1


def test_a_coroutine_whose_loop_closes_is_started_anew(box: AwsBox, role_arn: str) -> None:
    token = box.token("github_actions")
    begun: list[int] = []

    async def source() -> str:
        begun.append(1)
        if len(begun) == 1:
            await asyncio.sleep(WAIT)
        return token

    client = pgiam.Client(pgiam.WebIdentity(role_arn=role_arn, identity_token=source))
    waiting = threading.Thread(target=lambda: mint(client))

    async def give_up() -> None:
        task = asyncio.create_task(mint_async(client))
        await asyncio.sleep(0.2)
        waiting.start()
        await asyncio.sleep(0.2)
        task.cancel()

    asyncio.run(give_up())
    waiting.join(WAIT)
    assert not waiting.is_alive()
    assert len(begun) == 2


async def test_the_callable_runs_in_the_context_of_its_caller(box: AwsBox, role_arn: str) -> None:
    import contextvars

    request: contextvars.ContextVar[str] = contextvars.ContextVar("request")
    threads: list[bool] = []

    def blocking() -> str:
        threads.append(threading.current_thread() is threading.main_thread())
        return request.get()

    async def awaited() -> str:
        return request.get()

    for source in (blocking, awaited):
        client = pgiam.Client(pgiam.WebIdentity(role_arn=role_arn, identity_token=source))
        request.set(box.token("gitlab"))
        assert (await client.credentials_async()).account_id == box.directory.account
        client.invalidate()
        context = contextvars.copy_context()
        await asyncio.to_thread(context.run, client.credentials)
    # What may block got a thread of its own, and the loop went on.
    assert not any(threads)


@pytest.mark.parametrize("source", ["raises", "bytes", "no token", "an error of pgiam's"])
def test_a_callable_that_fails(role_arn: str, source: str, box: AwsBox) -> None:
    def fails() -> object:
        if source == "raises":
            raise OSError("the vault is shut")
        if source == "bytes":
            return b"a.b.c"
        if source == "an error of pgiam's":
            raise pgiam.ConfigurationError("not so", hint="Do it so.")
        return "opaque"

    client = pgiam.Client(pgiam.WebIdentity(role_arn=role_arn, identity_token=fails))  # type: ignore[arg-type]
    with pytest.raises(pgiam.Error) as caught:
        client.credentials()
    if source == "raises":
        assert isinstance(caught.value, pgiam.IdentityTokenError)
        assert isinstance(caught.value.__cause__, OSError)
    elif source == "an error of pgiam's":
        assert caught.value.hint == "Do it so."
    assert box.calls(WEB_IDENTITY) == 0


FORK = """
import os, threading, time, warnings
import pgiam
warnings.simplefilter("ignore", DeprecationWarning)  # threads are there on purpose
client = pgiam.Client()
mint = lambda: client.generate_auth_token(host="db.cluster-abc123.eu-west-1.rds.amazonaws.com", user="app")
def children(count):
    pids = []
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            try:
                mint()
                os._exit(0)
            finally:
                os._exit(1)
        pids.append(pid)
    return [os.waitpid(pid, 0)[1] for pid in pids]
"""


@pytest.mark.usefixtures("client")
def test_fork_while_the_first_exchange_is_under_way(box: AwsBox) -> None:
    box.control("fault", target="sts", kind="slow", seconds=0.8)
    code = FORK + "\nthreading.Thread(target=mint).start(); time.sleep(0.3); print(children(5)); mint()\n"
    assert run_python(code) == "[0, 0, 0, 0, 0]"
    # Each child has nothing yet, and asks for itself.
    assert box.calls(WEB_IDENTITY) == 6


@pytest.mark.usefixtures("client")
def test_fork_of_a_warm_client(box: AwsBox) -> None:
    assert run_python(FORK + "\nmint(); print(children(5)); mint()\n") == "[0, 0, 0, 0, 0]"
    assert box.calls(WEB_IDENTITY) == 1


@pytest.mark.usefixtures("client")
def test_fork_during_an_early_refresh(box: AwsBox) -> None:
    box.control("session_lifetime", seconds=6)
    code = FORK + (
        "\nmint(); time.sleep(5.3); mint(); time.sleep(0.1)\n"
        "print(children(4)); mint(); print(client.stats().refresh_failures)\n"
    )
    assert run_python(code) == "[0, 0, 0, 0]\n0"


@pytest.mark.usefixtures("client")
def test_the_end_of_the_interpreter_during_a_refresh(box: AwsBox) -> None:
    box.control("fault", target="sts", kind="slow", seconds=5)
    code = """
    import asyncio, threading, time, pgiam
    client = pgiam.Client()
    threading.Thread(target=client.credentials, daemon=True).start()
    async def give_up():
        task = asyncio.ensure_future(client.credentials_async())
        await asyncio.sleep(0.2)
        task.cancel()
    asyncio.run(give_up())
    print("ended")
    """
    assert run_python(code) == "ended"


@pytest.mark.usefixtures("client")
def test_programs_that_end_right_after_an_await(box: AwsBox) -> None:
    code = "import asyncio, pgiam; asyncio.run(pgiam.Client().whoami_async())"
    with ThreadPoolExecutor(2) as pool:
        assert set(pool.map(run_python, [code] * 20)) == {""}
