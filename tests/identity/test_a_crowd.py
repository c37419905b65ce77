"""A thousand threads and ten thousand tasks at once: one exchange serves them, and the event loops go on meanwhile.

STS answers only when everybody has asked and every loop has gone on turning since: a loop that stood still for as
long as the exchange takes would stand still for good. How long the longest gap was is recorded, and not judged.
"""

from __future__ import annotations

import asyncio
import datetime
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest

import pgiam
from aws_box import REGION, WAIT, AwsBox
from identity.workload import HOST, mint
from pgiam.sandbox import verifier

WEB_IDENTITY: Final = "sts:AssumeRoleWithWebIdentity"
THREADS: Final = 1_000
TASKS: Final = 10_000
LOOPS: Final = 4
EVERYBODY: Final = THREADS + TASKS
BEATS: Final = 5
LIFE: Final = 10.0
STACK: Final = 512 * 1024  # the usual 8 MiB, a thousand times, is more address space than some containers grant


class Exchange:
    """The one exchange that a crowd may cause; held up at STS until `may_end`."""

    def __init__(self) -> None:
        self.reached_sts = threading.Event()
        self.may_end = threading.Event()


class Crowd:
    """Everybody asks the client at the same time, and says when and with what outcome."""

    def __init__(self, client: pgiam.Client, exchange: Exchange) -> None:
        self.tokens: list[str] = []
        self.asked_at: list[float] = []
        self.tokens_before_the_answer = 0
        self.waits = 0
        self.longest_gap = 0.0
        self._client = client
        self._exchange = exchange
        self._start = threading.Barrier(THREADS + LOOPS + 1)
        self._lock = threading.Lock()
        self._awaited = THREADS + LOOPS

    def let_go(self, at: float = 0.0) -> None:
        waits = self._client.stats().waits
        with ThreadPoolExecutor(THREADS + LOOPS) as pool:
            done = [pool.submit(self._thread) for _ in range(THREADS)]
            done += [pool.submit(asyncio.run, self._loop()) for _ in range(LOOPS)]
            threading.Event().wait(max(0.0, at - time.time()))
            self._start.wait(WAIT)
            for each in done:
                each.result(WAIT * 3)
        self.waits = self._client.stats().waits - waits

    def _thread(self) -> None:
        self._start.wait(WAIT)
        self._one_is_ready()
        self.asked_at.append(time.time())
        self.tokens.append(mint(self._client))

    async def _loop(self) -> None:
        asked = 0

        async def task() -> None:
            nonlocal asked
            asked += 1
            self.asked_at.append(time.time())
            self.tokens.append(await self._client.generate_auth_token_async(host=HOST, user="app"))

        async def beat(last: float) -> None:
            beats = 0
            while beats < BEATS or not work.done():
                await asyncio.sleep(0.002)
                now = time.perf_counter()
                self.longest_gap, last = max(self.longest_gap, now - last), now
                if asked == TASKS // LOOPS and self._exchange.reached_sts.is_set():
                    beats += 1
                    if beats == BEATS:
                        self._one_is_ready()

        tasks = [task() for _ in range(TASKS // LOOPS)]
        self._start.wait(WAIT)
        released = time.perf_counter()
        work = asyncio.gather(*tasks)
        await asyncio.gather(work, beat(released))

    def _one_is_ready(self) -> None:
        with self._lock:
            self._awaited -= 1
            if self._awaited == 0:
                self.tokens_before_the_answer = len(self.tokens)
                self._exchange.may_end.set()


@pytest.fixture
def exchange(box: AwsBox, monkeypatch: pytest.MonkeyPatch) -> Exchange:
    """STS answers when `may_end` is set."""
    held = Exchange()
    perform = box.services.sts._perform

    async def gated(*arguments: Any) -> Any:
        held.reached_sts.set()
        assert await asyncio.to_thread(held.may_end.wait, WAIT), "a loop stood still, or somebody never asked"
        return await perform(*arguments)

    monkeypatch.setattr(box.services.sts, "_perform", gated)
    return held


@pytest.fixture
def client(on: Callable[..., dict[str, str]]) -> pgiam.Client:
    on("github_actions")
    return pgiam.Client()


@pytest.fixture(autouse=True)
def small_stacks() -> Iterator[None]:
    before = threading.stack_size(STACK)
    yield
    threading.stack_size(before)


def warm(box: AwsBox, client: pgiam.Client, exchange: Exchange) -> tuple[str, float]:
    """Gives the client credentials of a short life; returns their key and their end."""
    box.control("session_lifetime", seconds=LIFE)
    exchange.may_end.set()
    credentials = client.credentials()
    assert credentials.expires_at is not None
    box.control("session_lifetime", seconds=None)
    exchange.may_end.clear()
    exchange.reached_sts.clear()
    return credentials.access_key, credentials.expires_at.timestamp()


def check_tokens(box: AwsBox, crowd: Crowd, old: tuple[str, float] = ("", 0.0)) -> set[str]:
    """Every token opened the database when it was signed; returns the keys that signed them.

    Old credentials that were handed to a waiting caller may end before a crowded interpreter comes to sign with them.
    """
    assert len(crowd.tokens) == EVERYBODY
    target = verifier.Target.rds(REGION, frozenset({HOST}), 5432, "arn:aws:rds-db:eu-west-1:123456789012:dbuser:x/app")
    keys = set()
    for token in set(crowd.tokens):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(f"https://{token}").query)
        signed_at = datetime.datetime.strptime(query["X-Amz-Date"][0] + "+0000", "%Y%m%dT%H%M%SZ%z").timestamp()
        key = query["X-Amz-Credential"][0].partition("/")[0]
        moment = min(signed_at, old[1] - 0.1) if key == old[0] else signed_at
        decision = verifier.verify(token, "app", target, box.directory, moment)
        assert isinstance(decision, verifier.Accepted), decision
        keys.add(key)
    return keys


def note(record: Callable[[str, object], None], crowd: Crowd) -> None:
    record("longest gap of a loop, ms", round(crowd.longest_gap * 1000, 1))
    record("tokens before STS answered", crowd.tokens_before_the_answer)
    record("waits", crowd.waits)
    print(f"longest gap of a loop: {crowd.longest_gap * 1000:.1f} ms, {crowd.waits} of {EVERYBODY} waited")


def test_on_a_cold_client(
    box: AwsBox, client: pgiam.Client, exchange: Exchange, record_property: Callable[[str, object], None]
) -> None:
    crowd = Crowd(client, exchange)
    crowd.let_go()
    note(record_property, crowd)
    assert crowd.tokens_before_the_answer == 0
    assert len(check_tokens(box, crowd)) == 1
    assert box.calls(WEB_IDENTITY) == 1
    assert box.calls("github_actions:token") == 1
    assert client.stats().refreshes == 1


def test_in_the_early_window(
    box: AwsBox, client: pgiam.Client, exchange: Exchange, record_property: Callable[[str, object], None]
) -> None:
    old_key, end = warm(box, client, exchange)
    crowd = Crowd(client, exchange)
    crowd.let_go(at=end - 0.145 * LIFE)  # past what the process's own spread may add, before the mandatory window
    note(record_property, crowd)
    keys = check_tokens(box, crowd)
    assert old_key in keys
    assert len(keys) <= 2
    # On a slow machine some come when the early window is as good as over. Nobody else waited.
    late = [moment for moment in crowd.asked_at if moment > end - 0.12 * LIFE]
    assert crowd.waits <= len(late)
    assert crowd.tokens_before_the_answer >= TASKS - len(late)
    assert box.calls(WEB_IDENTITY) == 2


def test_in_the_mandatory_window(
    box: AwsBox, client: pgiam.Client, exchange: Exchange, record_property: Callable[[str, object], None]
) -> None:
    old_key, end = warm(box, client, exchange)
    crowd = Crowd(client, exchange)
    crowd.let_go(at=end - 0.095 * LIFE)
    note(record_property, crowd)
    # Whoever came first waits for half of what is left of the old credentials, and then makes do with them.
    keys = check_tokens(box, crowd, (old_key, end))
    assert len(keys - {old_key}) <= 1
    assert crowd.waits > 0
    assert client.credentials().access_key != old_key
    # One exchange, whose one call the SDK attempts anew only where the machine takes ten seconds for it.
    assert box.calls("github_actions:token") == 2
    assert client.stats().refreshes == 2
