"""How often each endpoint was called, how it answered, and how many calls there were at once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Call:
    """One request under way. `failed` notes the code it is answered with."""

    def __init__(self) -> None:
        self.failure: str | None = None

    def failed(self, code: str) -> None:
        self.failure = code


class AwsStats:
    """Counters by `target:operation`, such as `sts:AssumeRole` or `imds:credentials`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_flight: Counter[str] = Counter()
        self._clear()

    def reset(self) -> None:
        """Start counting anew; what is in flight stays so."""
        with self._lock:
            self._clear()

    def snapshot(self) -> dict[str, Any]:
        """A copy as plain data: `calls`, `errors` (by code), `peak` concurrency and what is `in_flight`."""
        with self._lock:
            return {
                "calls": dict(self._calls),
                "errors": {name: dict(codes) for name, codes in self._errors.items()},
                "peak": dict(self._peak),
                "in_flight": {name: count for name, count in self._in_flight.items() if count},
            }

    @contextmanager
    def call(self, target: str, operation: str) -> Iterator[Call]:
        name = f"{target}:{operation}"
        with self._lock:
            self._calls[name] += 1
            self._in_flight[name] += 1
            self._peak[name] = max(self._peak[name], self._in_flight[name])
        call = Call()
        try:
            yield call
        except BaseException as error:
            call.failed(type(error).__name__)
            raise
        finally:
            with self._lock:
                self._in_flight[name] -= 1
                if call.failure is not None:
                    self._errors.setdefault(name, Counter())[call.failure] += 1

    def _clear(self) -> None:
        self._calls: Counter[str] = Counter()
        self._errors: dict[str, Counter[str]] = {}
        self._peak: Counter[str] = Counter()
