"""The sandbox's own time, so that tests can skew it without waiting."""

from __future__ import annotations

import time


class Clock:
    """Real time plus an offset in seconds. Everything that expires in the sandbox asks this clock."""

    def __init__(self, offset: float = 0.0) -> None:
        self.offset = offset

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self.offset
