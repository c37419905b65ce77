"""What a pre-forking server's parent has in hand: a client that mints and refreshes while the forks happen."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import pgiam

client = pgiam.Client()  # with the identity of wherever this runs


def login() -> dict[str, Any]:
    return {"host": os.environ["PGHOST"], "port": int(os.environ["PGPORT"]), "user": os.environ["PGUSER"]}


def _keep_busy() -> None:
    while True:
        client.generate_auth_token(**login())
        time.sleep(0.002)


def keep_busy() -> None:
    """From now on, in a thread that ends with the process."""
    client.refresh()
    threading.Thread(target=_keep_busy, daemon=True).start()
