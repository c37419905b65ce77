"""Many tasks of one event loop that wait for the same credentials: one wait, an answer each, and room for others."""

from __future__ import annotations

import asyncio
import threading
import traceback

import pytest

import pgiam

HOST = "db.cluster-abc123.us-east-1.rds.amazonaws.com"
CROWD = 500
AT_ONCE = 64


class Slow:
    """A source whose answer comes when it is let go, and a task that waits for the first question."""

    def __init__(self) -> None:
        self.asked = 0
        self.go = threading.Event()
        self.error: Exception | None = None

    def __call__(self) -> pgiam.Credentials:
        self.asked += 1
        assert self.go.wait(60)
        if self.error is not None:
            raise self.error
        return pgiam.Credentials("AKIDEXAMPLE", "secret")


async def mint(client: pgiam.Client) -> str:
    return await client.generate_auth_token_async(host=HOST, user="app")


async def crowd(client: pgiam.Client, count: int = CROWD) -> list[asyncio.Task[str]]:
    """Tasks that all wait by the time this returns."""
    tasks = [asyncio.ensure_future(mint(client)) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_the_event_loop_comes_round_between_a_few_of_them() -> None:
    source = Slow()
    client = pgiam.Client(source)
    loop = asyncio.get_running_loop()
    since_last_turn = most = 0

    async def waiting() -> None:
        nonlocal since_last_turn, most
        await mint(client)
        since_last_turn += 1
        most = max(most, since_last_turn)

    def turn() -> None:
        nonlocal since_last_turn
        since_last_turn = 0
        loop.call_soon(turn)

    tasks = [asyncio.ensure_future(waiting()) for _ in range(CROWD)]
    await asyncio.sleep(0)
    turn()
    source.go.set()
    await asyncio.gather(*tasks)
    assert source.asked == 1
    assert 0 < most <= AT_ONCE


async def test_whoever_is_cancelled_leaves_the_others_waiting() -> None:
    source = Slow()
    tasks = await crowd(pgiam.Client(source))
    for task in tasks[::2]:
        task.cancel()
    await asyncio.sleep(0)
    source.go.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(answer, asyncio.CancelledError) for answer in answers[::2])
    assert all(isinstance(answer, str) for answer in answers[1::2])
    assert source.asked == 1


async def test_all_may_be_cancelled() -> None:
    source = Slow()
    client = pgiam.Client(source)
    tasks = await crowd(client)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    late = asyncio.ensure_future(mint(client))
    await asyncio.sleep(0)
    source.go.set()
    assert await late
    assert source.asked == 1


async def test_each_gets_an_exception_of_its_own() -> None:
    source = Slow()
    source.error = OSError("the vault is shut")
    tasks = await crowd(pgiam.Client(source))
    source.go.set()
    errors = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(error) for error in errors} == {pgiam.CredentialsError}
    assert len({id(error) for error in errors}) == CROWD
    assert len({len(traceback.extract_tb(error.__traceback__)) for error in errors if not isinstance(error, str)}) == 1
    assert source.asked == 1


async def test_who_comes_while_the_others_go_on_is_served_too() -> None:
    source = Slow()
    client = pgiam.Client(source)
    tasks = await crowd(client)
    source.go.set()
    await tasks[0]
    assert not tasks[-1].done()
    late = await crowd(client)
    assert all("AKIDEXAMPLE" in token for token in await asyncio.gather(*tasks, *late))
    assert source.asked == 1


async def test_what_was_invalidated_meanwhile_is_not_waited_for() -> None:
    first, second = pgiam.Credentials("AKIDFIRST", "secret"), pgiam.Credentials("AKIDSECOND", "secret")
    asked = [threading.Event(), threading.Event()]
    go = [threading.Event(), threading.Event()]
    answers = iter([(asked[0], go[0], first), (asked[1], go[1], second)])

    def source() -> pgiam.Credentials:
        mark, gate, answer = next(answers)
        mark.set()
        assert gate.wait(60)
        return answer

    client = pgiam.Client(source)
    before = asyncio.ensure_future(mint(client))
    assert await asyncio.to_thread(asked[0].wait, 60)
    client.invalidate()
    after = asyncio.ensure_future(mint(client))
    assert await asyncio.to_thread(asked[1].wait, 60)
    go[0].set()
    assert "AKIDFIRST" in await before
    assert not after.done()
    go[1].set()
    assert "AKIDSECOND" in await after


def test_loops_of_several_threads_each_get_their_answer() -> None:
    source = Slow()
    client = pgiam.Client(source)
    all_wait = threading.Barrier(4)
    tokens: list[str] = []

    async def main() -> None:
        tasks = await crowd(client)
        await asyncio.to_thread(all_wait.wait, 60)
        tokens.extend(await asyncio.gather(*tasks))

    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    all_wait.wait(60)
    source.go.set()
    for thread in threads:
        thread.join(60)
    assert len(tokens) == 3 * CROWD
    assert source.asked == 1


def test_a_loop_that_closed_does_not_take_the_next_one_along() -> None:
    source = Slow()
    client = pgiam.Client(source)

    async def give_up() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(mint(client), 0.05)

    for _ in range(20):  # a new loop is often where the last one was
        asyncio.run(give_up())
    source.go.set()
    assert asyncio.run(mint(client))
    assert source.asked == 1
