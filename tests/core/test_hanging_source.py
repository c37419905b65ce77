"""A source that has failed, and then does not answer: callers get the error, not a hang, and recovery is automatic."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

import pgiam

HOST = "db.cluster-abc123.us-east-1.rds.amazonaws.com"


class Hanging:
    """Fails at first; from then on it answers when it is let go."""

    def __init__(self) -> None:
        self.calls = 0
        self.failure: Exception | None = OSError("no route to the vault")
        self.asked_again = threading.Event()
        self.go = threading.Event()

    def __call__(self) -> pgiam.Credentials:
        self.calls += 1
        if self.calls == 1:
            assert self.failure is not None
            raise self.failure
        self.asked_again.set()
        assert self.go.wait(120)
        return pgiam.Credentials("AKIDEXAMPLE", "secret")


@pytest.fixture
def source() -> Iterator[Hanging]:
    source = Hanging()
    yield source
    source.go.set()


@pytest.fixture
def client(source: Hanging) -> pgiam.Client:
    client = pgiam.Client(source)
    with pytest.raises(pgiam.CredentialsError):
        mint(client)
    return client


def mint(client: pgiam.Client) -> str:
    return client.generate_auth_token(host=HOST, user="app")


async def mint_async(client: pgiam.Client) -> str:
    return await client.generate_auth_token_async(host=HOST, user="app")


def test_threads_get_the_error_while_it_hangs(source: Hanging, client: pgiam.Client) -> None:
    errors: list[BaseException] = []

    def work() -> None:
        while not source.asked_again.is_set():  # the back-off answers first
            with pytest.raises(pgiam.CredentialsError):
                mint(client)
            time.sleep(0.05)
        with pytest.raises(pgiam.CredentialsError) as caught:
            mint(client)
        errors.append(caught.value)

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert not source.go.is_set()
    assert [error.__cause__ for error in errors] == [source.failure] * 20
    assert source.calls == 2
    source.go.set()
    while not client.ready():
        time.sleep(0.01)
    assert mint(client)
    assert source.calls == 2


async def test_tasks_get_the_error_while_it_hangs(source: Hanging, client: pgiam.Client) -> None:
    async def work() -> BaseException | str:
        while not source.asked_again.is_set():
            with pytest.raises(pgiam.CredentialsError):
                await mint_async(client)
            await asyncio.sleep(0.05)
        try:
            return await mint_async(client)
        except pgiam.CredentialsError as error:
            return error

    answers = await asyncio.gather(*[work() for _ in range(20)])
    assert [getattr(answer, "__cause__", answer) for answer in answers] == [source.failure] * 20
    assert source.calls == 2


def test_who_asks_for_new_ones_waits_for_them(source: Hanging, client: pgiam.Client) -> None:
    got: list[pgiam.Credentials] = []
    thread = threading.Thread(target=lambda: got.append(client.refresh()))
    thread.start()
    assert source.asked_again.wait(60)
    # Longer than those wait who have an error to make do with.
    thread.join(3.5)
    assert not got
    source.go.set()
    thread.join(60)
    assert [credentials.access_key for credentials in got] == ["AKIDEXAMPLE"]
