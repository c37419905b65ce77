"""One fetch at a time, early refresh, errors: the client with sources made for the test."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest

import pgiam

HOST = "db.cluster-abc123.us-east-1.rds.amazonaws.com"


def credentials(lifetime: float | None = 3600, access_key: str = "AKIDEXAMPLE") -> pgiam.Credentials:
    end = None if lifetime is None else datetime.now(timezone.utc) + timedelta(seconds=lifetime)
    return pgiam.Credentials(access_key, "secret", "session", end)


def mint(client: pgiam.Client) -> str:
    return client.generate_auth_token(host=HOST, user="app")


async def mint_async(client: pgiam.Client) -> str:
    return await client.generate_auth_token_async(host=HOST, user="app")


class Source:
    """Counts its calls; each gives credentials of its own access key."""

    def __init__(self, lifetime: float | None = 3600, takes: float = 0.0) -> None:
        self.lifetime, self.takes = lifetime, takes
        self.calls = 0
        self.at_once = 0
        self.most_at_once = 0
        self.error: Exception | None = None
        self.lock = threading.Lock()

    def __call__(self) -> pgiam.Credentials:
        with self.lock:
            self.calls += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            call = self.calls
        try:
            time.sleep(self.takes)
            if self.error is not None:
                raise self.error
            return credentials(self.lifetime, f"AKID{call}")
        finally:
            with self.lock:
                self.at_once -= 1


def eventually(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_construction_fetches_nothing() -> None:
    source = Source()
    client = pgiam.Client(source)
    assert source.calls == 0
    assert client.stats().expires_at is None
    assert "AKID1" in mint(client)
    assert client.stats().tokens == 1
    assert client.stats().waits == 1
    assert client.stats().refreshes == 1
    mint(client)
    assert source.calls == 1
    assert client.stats().waits == 1


def test_32_threads_on_a_cold_client_make_one_fetch() -> None:
    source = Source(takes=0.5)
    client = pgiam.Client(source)
    ready = threading.Barrier(32)

    def work() -> str:
        ready.wait()
        return mint(client)

    with ThreadPoolExecutor(32) as pool:
        tokens = [future.result() for future in [pool.submit(work) for _ in range(32)]]
    assert source.calls == 1
    assert all("AKID1" in token for token in tokens)


def test_1000_tasks_on_a_cold_client_make_one_fetch() -> None:
    source = Source(takes=0.5)
    client = pgiam.Client(source)

    async def main() -> list[str]:
        return await asyncio.gather(*(mint_async(client) for _ in range(1000)))

    assert len(asyncio.run(main())) == 1000
    assert source.calls == 1


def test_threads_and_tasks_share_one_fetch() -> None:
    source = Source(takes=0.5)
    client = pgiam.Client(source)

    async def main() -> None:
        threads = [asyncio.to_thread(mint, client) for _ in range(8)]
        await asyncio.gather(*threads, *(mint_async(client) for _ in range(100)))

    asyncio.run(main())
    assert source.calls == 1


def test_an_async_source_runs_on_the_callers_loop() -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def source() -> pgiam.Credentials:
        loops.append(asyncio.get_running_loop())
        await asyncio.sleep(0.05)
        return credentials()

    async def main() -> None:
        client = pgiam.Client(source)
        await asyncio.gather(*(mint_async(client) for _ in range(50)))
        assert loops == [asyncio.get_running_loop()]

    asyncio.run(main())


@pytest.mark.parametrize("make", ["function", "partial", "object", "lambda"])
def test_an_async_source_serves_threads(make: str) -> None:
    import functools

    async def function() -> pgiam.Credentials:
        await asyncio.sleep(0.01)
        return credentials()

    async def with_argument(_: int) -> pgiam.Credentials:
        return await function()

    class Object:
        async def __call__(self) -> pgiam.Credentials:
            return await function()

    sources: dict[str, Callable[[], object]] = {
        "function": function,
        "partial": functools.partial(with_argument, 1),
        "object": Object(),
        "lambda": lambda: function(),
    }
    assert "AKIDEXAMPLE" in mint(pgiam.Client(sources[make]))
    assert "AKIDEXAMPLE" in asyncio.run(mint_async(pgiam.Client(sources[make])))


def test_the_loop_never_waits_for_a_blocking_source() -> None:
    source = Source(takes=1.0)
    client = pgiam.Client(source)

    async def main() -> int:
        beats = 0
        minting = asyncio.ensure_future(mint_async(client))
        while not minting.done():
            await asyncio.sleep(0.01)
            beats += 1
        await minting
        return beats

    # A blocked loop beats once or twice in that second.
    assert asyncio.run(main()) > 20


def test_a_source_sees_the_context_of_who_triggered_it() -> None:
    request: contextvars.ContextVar[str] = contextvars.ContextVar("request", default="none")
    seen: list[str] = []

    def source() -> pgiam.Credentials:
        seen.append(request.get())
        return credentials()

    async def async_source() -> pgiam.Credentials:
        return source()

    async def main(client: pgiam.Client) -> None:
        request.set("task")
        await mint_async(client)

    request.set("thread")
    mint(pgiam.Client(source))
    mint(pgiam.Client(async_source))
    asyncio.run(main(pgiam.Client(source)))
    asyncio.run(main(pgiam.Client(async_source)))
    assert seen == ["thread", "thread", "task", "task"]


def test_cancelling_one_waiter_leaves_the_others() -> None:
    async def main() -> None:
        started = asyncio.Event()
        release = asyncio.Event()

        async def source() -> pgiam.Credentials:
            started.set()
            await release.wait()
            return credentials()

        client = pgiam.Client(source)
        first, *others = [asyncio.ensure_future(mint_async(client)) for _ in range(10)]
        await started.wait()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        release.set()
        assert len(await asyncio.gather(*others)) == 9

    asyncio.run(main())


def test_a_loop_that_ends_in_mid_fetch_harms_nobody() -> None:
    calls = 0
    started = threading.Event()

    async def source() -> pgiam.Credentials:
        nonlocal calls
        calls += 1
        if calls == 1:
            started.set()
            await asyncio.sleep(3600)
        return credentials()

    client = pgiam.Client(source)

    async def abandoned() -> None:
        task = asyncio.ensure_future(mint_async(client))
        await asyncio.sleep(0.2)
        task.cancel()

    with ThreadPoolExecutor(2) as pool:
        loop = pool.submit(asyncio.run, abandoned())
        started.wait()
        waiting = pool.submit(mint, client)
        loop.result()
        assert "AKIDEXAMPLE" in waiting.result(timeout=30)
    assert calls == 2


def test_early_refresh_runs_beside_and_nobody_waits() -> None:
    source = Source(lifetime=10)
    client = pgiam.Client(source)
    assert "AKID1" in mint(client)
    source.takes = 0.2
    # Early from 8 s on, 8.5 s at the latest; mandatory from 9 s on.
    during = 0
    while client.stats().refreshes < 2:
        token = mint(client)
        if source.at_once and client.stats().refreshes < 2:
            assert "AKID1" in token
            during += 1
        time.sleep(0.002)
    assert during
    assert "AKID2" in mint(client)
    assert client.stats().waits == 1
    assert source.most_at_once == 1


def test_a_failed_early_refresh_is_logged_and_the_present_credentials_stay(caplog: pytest.LogCaptureFixture) -> None:
    source = Source(lifetime=5)
    client = pgiam.Client(source)
    mint(client)
    source.error = RuntimeError("source is down")
    with caplog.at_level(logging.DEBUG, "pgiam"):
        # Early from 4 s on, 4.25 s at the latest; mandatory from 4.5 s on.
        while not client.stats().refresh_failures:
            assert "AKID1" in mint(client)
            time.sleep(0.005)
        eventually(lambda: bool(caplog.records))
    assert client.stats().refresh_failures >= 1
    assert [record.levelname for record in caplog.records] == ["WARNING"] * len(caplog.records)
    assert "valid until" in caplog.text
    assert "secret" not in caplog.text
    # Past the end, and not before, it is an error, at once and typed.
    end = client.stats().expires_at
    assert end is not None
    eventually(lambda: datetime.now(timezone.utc) > end)
    with pytest.raises(pgiam.CredentialsError) as raised:
        mint(client)
    assert isinstance(raised.value.__cause__, RuntimeError)
    # And when the source is back, so is the client.
    source.error = None
    eventually(lambda: works(client))


def works(client: pgiam.Client) -> bool:
    try:
        mint(client)
    except pgiam.CredentialsError:
        return False
    return True


def test_a_failed_source_is_not_asked_again_at_once() -> None:
    source = Source()
    source.error = RuntimeError("down")
    client = pgiam.Client(source)
    for _ in range(20):
        with pytest.raises(pgiam.CredentialsError):
            mint(client)
    assert source.calls == 1
    client.invalidate()
    with pytest.raises(pgiam.CredentialsError):
        mint(client)
    assert source.calls == 2
    source.error = None
    assert client.refresh().access_key == "AKID3"
    assert "AKID3" in mint(client)


def test_invalidate_forgets_and_what_was_under_way_cannot_bring_it_back() -> None:
    source = Source(takes=0.5)
    client = pgiam.Client(source)
    with ThreadPoolExecutor(2) as pool:
        old = pool.submit(mint, client)
        eventually(lambda: source.calls == 1)
        client.invalidate()
        new = pool.submit(mint, client)
        assert "AKID1" in old.result()
        assert "AKID2" in new.result()
    assert "AKID2" in mint(client)
    assert source.calls == 2


def test_refresh_keeps_the_present_credentials_until_the_new_ones_are_here() -> None:
    source = Source()
    client = pgiam.Client(source)
    mint(client)
    source.takes = 0.5
    with ThreadPoolExecutor(1) as pool:
        refreshed = pool.submit(client.refresh)
        eventually(lambda: source.calls == 2)
        assert "AKID1" in mint(client)
        assert refreshed.result().access_key == "AKID2"
    assert "AKID2" in mint(client)


def test_refresh_async_and_credentials_async() -> None:
    source = Source()
    client = pgiam.Client(source)

    async def main() -> None:
        assert (await client.credentials_async()).access_key == "AKID1"
        assert (await client.refresh_async()).access_key == "AKID2"
        assert (await client.credentials_async()).access_key == "AKID2"

    asyncio.run(main())
    assert client.credentials().access_key == "AKID2"


def test_credentials_that_have_expired_already_are_an_error() -> None:
    with pytest.raises(pgiam.CredentialsError, match="expired at"):
        mint(pgiam.Client(lambda: credentials(-1)))


def test_given_credentials_serve_until_they_end() -> None:
    client = pgiam.Client(credentials(1))
    mint(client)
    eventually(lambda: not client.ready())
    with pytest.raises(pgiam.CredentialsError):
        mint(client)
    assert "AKIDEXAMPLE" in mint(pgiam.Client(credentials(None)))


def test_a_token_lasts_no_longer_than_its_credentials_say() -> None:
    client = pgiam.Client(credentials(120))
    assert "X-Amz-Expires=900" in mint(client)
    assert client.stats().expires_at is not None


def test_ctrl_c_ends_a_wait() -> None:
    import _thread

    client = pgiam.Client(Source(takes=3))
    timer = threading.Timer(0.3, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        mint(client)
    timer.join()


def test_arguments_are_checked_before_anybody_waits() -> None:
    source = Source(takes=5)
    client = pgiam.Client(source)
    with pytest.raises(pgiam.EndpointError):
        client.generate_auth_token(host="db.example.com", user="app")
    with pytest.raises(pgiam.ConfigurationError):
        client.generate_auth_token(host=HOST, user="")
    with pytest.raises(pgiam.ConfigurationError):
        client.generate_auth_token(host=HOST, user="app", expires_in=901)
    assert source.calls == 0


def test_default_client_is_made_once() -> None:
    ready = threading.Barrier(16)

    def work() -> pgiam.Client:
        ready.wait()
        return pgiam.default_client()

    with ThreadPoolExecutor(16) as pool:
        clients = [future.result() for future in [pool.submit(work) for _ in range(16)]]
    assert len(set(map(id, clients))) == 1


def test_stats_and_repr_show_no_secret() -> None:
    client = pgiam.Client(Source())
    mint(client)
    stats = client.stats()
    assert stats.last_refresh is not None
    assert stats.last_refresh <= datetime.now(timezone.utc)
    assert repr(stats) == "<pgiam.Stats tokens=1 refreshes=1 refresh_failures=0 waits=1>"
    assert repr(client) == "<pgiam.Client>"
