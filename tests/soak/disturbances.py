"""What STS and the identity provider do meanwhile; nothing that a client may not ride out."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Final

import pgiam
from pgiam.sandbox import ActiveFault, Sandbox

# Seldom enough that the attempts of one exchange do not all meet one.
FAULT_EVERY: Final = 2.0
REFRESHES_PER_FAULT: Final = 8


def disturb(box: Sandbox, client: pgiam.Client, stopping: threading.Event, *, refresh: bool) -> None:
    """Until told to stop. With `refresh` the client is made to exchange all the time, too."""
    sts = box.faults.sts
    choices: tuple[Callable[[], ActiveFault | None], ...] = (
        lambda: sts.throttled(count=1),
        lambda: sts.internal_error(count=1),
        lambda: sts.reset(count=1),
        lambda: sts.slow(0.2, count=1),
        lambda: box.faults.rotate_signing_keys(),
    )
    while not stopping.is_set():
        active = random.choice(choices)()
        for _ in range(REFRESHES_PER_FAULT):
            if stopping.wait(FAULT_EVERY / REFRESHES_PER_FAULT):
                break
            if refresh:
                client.refresh()
        if active is not None:
            active.clear()
