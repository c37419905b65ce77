"""Steady traffic on a service while a test does things to what is underneath."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx

from examples.service import Service

Visit = Callable[[httpx.Client], httpx.Response]


class Traffic:
    """Counts what its callers were answered."""

    def __init__(self) -> None:
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []
        self._changed = threading.Condition()

    def note(self, response: httpx.Response) -> None:
        with self._changed:
            self.answers[str(response.status_code)] += 1
            if not response.is_success:
                self.failures.append(f"{response.request.method} {response.request.url}: {response.text}")
            self._changed.notify_all()

    def failed(self, error: Exception) -> None:
        with self._changed:
            self.failures.append(repr(error))
            self._changed.notify_all()

    @property
    def requests(self) -> int:
        return sum(self.answers.values())

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Until so much has happened that the condition holds; it is looked at after every answer."""
        with self._changed:
            assert self._changed.wait_for(lambda: bool(self.failures) or condition(), 90), "nothing changed"

    def wait_for_more(self, requests: int) -> None:
        enough = self.requests + requests
        self.wait_for(lambda: self.requests >= enough)


def has_grown(counter: Callable[[], int], by: int) -> Callable[[], bool]:
    """Whether the counter stands so much higher than now."""
    enough = counter() + by
    return lambda: counter() >= enough


@contextmanager
def traffic(service: Service, visit: Visit, *, callers: int = 8, pause: float = 0.02) -> Iterator[Traffic]:
    """`visit` again and again, by so many callers at a time, each with connections of its own."""
    seen = Traffic()
    stop = threading.Event()

    def call() -> None:
        with httpx.Client(base_url=service.url, timeout=60, trust_env=False) as http:
            while not stop.is_set():
                try:
                    seen.note(visit(http))
                except httpx.HTTPError as error:
                    seen.failed(error)
                stop.wait(pause)

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()
