"""A fork while the very first exchange is under way: whatever a process makes only once may be half made then."""

from __future__ import annotations

import sys
import threading
import time

import pgiam
from e2e.services.parent import login
from soak.forks import fork

if __name__ == "__main__":
    client = pgiam.Client()
    threads = [threading.Thread(target=client.generate_auth_token, kwargs=login()) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(float(sys.argv[1]) / 1000)
    problem = fork(client, login())
    for thread in threads:
        thread.join()
    sys.exit(problem)
